/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* streams.h - replies that a thread of ours writes while the client reads */
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct api_context;
struct reply;
struct request;
struct stream;
struct streams; /* all that run */

struct streams *streams_new(void);
/* Waits for those that run: ctx->is_stopping must be set. NULL is fine. */
void streams_free(struct streams *all);

/*
 * stream_start() - answer @rq with what @produce writes
 *
 * @produce runs in a thread of its own and returns at the end, which is the reply's end. @free_arg is called once,
 * after it or when it could not be started.
 */
int stream_start(const struct request *rq, void (*produce)(struct stream *s, void *arg), void (*free_arg)(void *arg),
		 void *arg, struct reply *ret, struct err *err);

/* For the producer: blocks while the client is slow; -EPIPE when it has gone. */
int stream_write(struct stream *s, const void *data, size_t len);
/* Waits until @timeout_ms have passed (false) or nobody listens any more (true). */
bool stream_is_over(struct stream *s, int timeout_ms);
