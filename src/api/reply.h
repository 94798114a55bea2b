/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * reply.h - what a request is answered with, and LXD's envelopes
 *
 * A handler fills one in by exactly one of the functions below, or returns an error, which reply_error() makes a reply
 * of. httpd.c sends it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct json;
struct operation;
struct producer;
struct session_slot;

enum reply_kind {
	REPLY_NONE,
	REPLY_TEXT,	/* body, body_len */
	REPLY_FILE,	/* fd from 0 to fd_size */
	REPLY_PIPE,	/* fd until its end */
	REPLY_PRODUCER, /* what producer gives; its failure cuts the connection */
	REPLY_UPGRADE	/* 101, then the connection is slot's */
};

struct reply {
	enum reply_kind kind;
	int status;
	const char *content_type;
	char *body;
	size_t body_len;
	int fd; /* -1 or ours */
	uint64_t fd_size;
	char *etag, *location, *allow; /* headers, NULL: none */
	char *stasis_operation;	       /* X-Stasis-operation: who produces this */
	struct operation *operation;   /* of an async reply: the reference */
	struct session_slot *slot;     /* of an upgrade: claimed */
	struct producer *producer;
};

void reply_init(struct reply *re);
void reply_done(struct reply *re);
AUTO_DEFINE_IN(struct reply, reply_done)

/* 200 with LXD's "sync" envelope; takes over @metadata (NULL: {}). */
void reply_sync(struct reply *re, struct json *metadata);

/* As reply_sync() with an ETag, "\"<sha-256>\"". */
void reply_sync_etag(struct reply *re, struct json *metadata, const char *etag);

/* 201 and the place of what was made. */
void reply_created(struct reply *re, const char *location);

/* 202 with LXD's "async" envelope, showing the operation as it is now; takes over the reference @op. */
void reply_async(struct reply *re, struct operation *op);

/* A regular file from its beginning to the size it has now; takes over @fd, also on failure. */
int reply_file(struct reply *re, int fd, struct err *err);

/* What comes out of the pipe until its end; takes over @fd. */
void reply_pipe(struct reply *re, int fd);

/* What the operation of @producer writes; takes it over. X-Stasis-operation names it: who is cut off finds out why. */
void reply_producer(struct reply *re, struct producer *producer, const char *content_type);

/* Hands the connection to a claimed websocket of a session; takes over @slot. */
void reply_upgrade(struct reply *re, struct session_slot *slot);

/* The error envelope; the status is reply_status(code). Replaces what @re held before. */
void reply_error(struct reply *re, int code, const struct err *err);

/* The same with a status of its own. */
void reply_fail(struct reply *re, int status, const char *text);

/* HTTP status for a negative errno; the table of doc/api.md. */
int reply_status(int code);
