/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * httpd.h - HTTP by libmicrohttpd, which is known in httpd.c only
 *
 * A thread per connection: handlers may block. TLS is to come as a second listening socket.
 */
#include <stddef.h>

#include "base/auto.h"
#include "base/err.h"

struct api_context;
struct httpd;

#define HTTPD_MAX_CONNECTIONS 1000
#define HTTPD_IDLE_S	      30  /* without a byte while we read a request or send a short reply */
#define HTTPD_FILE_IDLE_S     600 /* for a reader of a file that makes no progress */

/* Answers on @listen_fd (taken over, also on failure) with the routes of routes.c. @ctx must outlive it. */
int httpd_start(int listen_fd, struct api_context *ctx, struct httpd **ret, struct err *err);

/* Refuses new connections from now on; those that exist go on. */
void httpd_quiesce(struct httpd *h);

/* Cuts upgraded connections, waits for their owners to let go of them and for all handlers to end. Whoever waits in a
 * handler must see ctx->is_stopping before. NULL is fine. */
void httpd_stop(struct httpd *h);
AUTO_DEFINE(struct httpd *, httpd_stop)

/* A connection after its upgrade: no longer HTTP, but the library's until it is freed. */
struct upgraded;
int upgraded_fd(const struct upgraded *u); /* blocking; not ours to close */
void upgraded_free(struct upgraded *u);	   /* NULL is fine */
