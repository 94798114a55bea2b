/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * request.h - one request from its first line to its reply, without a word of libmicrohttpd
 *
 * httpd.c drives it: request_new() at the request line, request_begin() when the headers are in, request_body() for
 * each piece of body, request_end() when it is complete, request_free(). One thread at a time.
 *
 * A JSON body is collected up to REQUEST_MAX_JSON. An upload is a pipe: its handler runs before the body, hands the
 * read end to an operation and has its reply sent when the body has ended; what a refusing operation does not read is
 * swallowed, because the library cannot answer in the middle of a body.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "api/reply.h"
#include "api/uri.h"
#include "base/auto.h"
#include "base/err.h"
#include "base/str.h"

#define REQUEST_MAX_JSON    (1024 * 1024)
#define REQUEST_MAX_SWALLOW (64ULL * 1024 * 1024)	 /* of a body that is too large, before hanging up */
#define REQUEST_MAX_REFUSED (16ULL * 1024 * 1024 * 1024) /* of an upload whose operation has failed */
#define REQUEST_MAX_BODY_US (60ULL * 1000 * 1000)	 /* for a JSON body, from its first byte to its last */
#define REQUEST_MAX_ARGS    3

struct engine;
struct json;
struct route;
struct sessions;
struct streams;

/* What all requests share; owned by api.c. */
struct api_context {
	struct engine *engine;
	struct sessions *sessions;
	struct streams *streams;
	atomic_bool is_stopping; /* whoever waits looks at it from time to time */
};

/* The headers that mean something to us; borrowed from the connection, NULL where absent. */
struct request_headers {
	const char *content_length, *content_type, *transfer_encoding;
	const char *if_match;
	const char *alias, *name, *image; /* X-Stasis-… */
	const char *ignore_rootfs, *ignore_volumes, *stopped;
	const char *connection, *upgrade, *ws_key, *ws_version;
};

struct request {
	struct api_context *ctx;
	struct engine *engine; /* ctx->engine */
	char *target;	       /* as in the request line, for the log */
	const char *method;
	struct request_headers headers;
	struct {
		pid_t pid;
		uid_t uid;
	} peer;
	int socket_fd; /* borrowed, to see whether the client is still there */

	struct uri uri;
	const struct route *route;
	const char *args[REQUEST_MAX_ARGS]; /* what the {names} of the route stand for */
	const char *collection;		    /* "instances", or "containers" where the client says so */

	struct strbuf text; /* the JSON body */
	struct json *json;  /* parsed; NULL for a route without body */
	int upload_fd;	    /* read end, for the handler to take; else -1 */

	uint64_t started_us, body_len;
	bool is_swallowing; /* the rest of the body is not wanted */
	bool is_complete;   /* the body has ended */
	bool is_hopeless;   /* nobody knows where the body ends: reply at once, and hang up */
	int write_fd;	    /* write end of the upload */
	struct reply reply;
};

/* @target is copied. */
struct request *request_new(struct api_context *ctx, const char *target);
void request_begin(struct request *rq, const char *method, const struct request_headers *headers);
/* 0, or a negative errno: hang up. May block for as long as an upload's reader is slow. */
int request_body(struct request *rq, const void *data, size_t len);
/* Fills rq->reply; from here on the reply is httpd.c's to send. */
void request_end(struct request *rq);
/* An upload that did not come to its end is cancelled. */
void request_free(struct request *rq);
AUTO_DEFINE(struct request *, request_free)

/* For handlers. */

/* True when the client has hung up or the daemon stops: no use in waiting for anything. */
bool request_is_gone(const struct request *rq);

/* Query parameters: absent leaves *ret. -EINVAL names the parameter. */
int request_query_int(const struct request *rq, const char *key, int64_t min, int64_t max, int64_t *ret,
		      struct err *err);
int request_query_bool(const struct request *rq, const char *key, bool *ret, struct err *err);

/* If-Match: fits @etag (without quotes), or is absent: 0; else -ESTALE. */
int request_match(const struct request *rq, const char *etag, struct err *err);

/* -EINVAL unless this is a proper RFC 6455 handshake. */
int request_check_websocket(const struct request *rq, struct err *err);
