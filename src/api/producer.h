/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * producer.h - an operation that writes into a pipe, and the client that reads what comes out
 *
 * Other than a stream (streams.h) it can fail, and then the client must not take what it has got for all there is: a
 * failure before the first byte is the request's error, a later one cuts the connection, and the operation says why.
 * A client that goes away cancels the operation.
 */
#include <sys/types.h>

#include "base/auto.h"
#include "base/err.h"

struct operation_spec;
struct producer;
struct request;

/*
 * producer_start() - start @spec's operation, whose job writes into *@out_fd until it closes it
 *
 * *out_fd (somewhere in spec->arg, -1 until now) is the job's to close, as spec->arg is to be freed, also on failure.
 * Waits for the first byte, so that what fails before is -errno here.
 */
int producer_start(const struct request *rq, const struct operation_spec *spec, int *out_fd, struct producer **ret,
		   struct err *err);

/* What comes next: bytes, 0 at an end that is one, or a negative errno: there will be no more. Blocks. */
ssize_t producer_read(struct producer *p, void *buf, size_t size);

/* The operation's path in the API, "/1.0/operations/…"; a heap string. */
char *producer_url(const struct producer *p);

/* Cancels what still runs. NULL is fine. */
void producer_free(struct producer *p);
AUTO_DEFINE(struct producer *, producer_free)
