/* SPDX-License-Identifier: Apache-2.0 */
/* request.c - collecting a body within limits, finding the handler, asking it */
#include "api/request.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <strings.h>

#include "api/routes.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/operation.h"

struct request *request_new(struct api_context *ctx, const char *target)
{
	struct request *rq = xcalloc(1, sizeof(*rq));

	rq->ctx = ctx;
	rq->engine = ctx->engine;
	rq->target = xstrdup(target);
	rq->method = "";
	rq->socket_fd = rq->upload_fd = rq->write_fd = -1;
	rq->started_us = clock_mono_us();
	strbuf_init(&rq->text);
	reply_init(&rq->reply);
	return rq;
}

void request_free(struct request *rq)
{
	if (!rq)
		return;
	/* The reader must know that this is not the end before it sees the end. */
	if (!rq->is_complete && rq->write_fd >= 0 && rq->reply.operation)
		(void)operation_cancel(rq->reply.operation, NULL);
	if (rq->write_fd >= 0)
		(void)close(rq->write_fd);
	if (rq->upload_fd >= 0)
		(void)close(rq->upload_fd);
	reply_done(&rq->reply);
	json_free(rq->json);
	strbuf_done(&rq->text);
	uri_done(&rq->uri);
	free(rq->target);
	free(rq);
}

static void fail(struct request *rq, int code, const struct err *err)
{
	reply_error(&rq->reply, code, err);
	if (rq->reply.status >= 500)
		log_warn("%s %s: %s", rq->method, rq->target, err->text);
	rq->is_swallowing = true;
}

static void run_handler(struct request *rq)
{
	struct err err = ERR_INIT;
	int r = rq->route->handle(rq, &rq->reply, &err);

	if (r < 0)
		fail(rq, r, &err);
}

static bool is_type(const struct request *rq, const char *type)
{
	const char *have = rq->headers.content_type;

	return have && strncasecmp(have, type, strlen(type)) == 0;
}

static bool wants_stream(const struct request *rq)
{
	if (rq->route->body == BODY_JSON_OR_OCTETS)
		return is_type(rq, "application/octet-stream");
	return rq->route->body == BODY_JSON_OR_STREAM && !is_type(rq, "application/json");
}

/* Asks the handler now; it reads from the pipe while we write. */
static void begin_upload(struct request *rq)
{
	struct err err = ERR_INIT;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0) {
		fail(rq, err_sys(&err, "cannot make a pipe"), &err);
		return;
	}
	rq->upload_fd = fds[0];
	rq->write_fd = fds[1];
	run_handler(rq);
	if (rq->is_swallowing && rq->write_fd >= 0) {
		(void)close(rq->write_fd);
		rq->write_fd = -1;
	}
}

/* Where readers could disagree on where a message ends, one of them can be made to see a second one inside it. */
static int check_framing(struct request *rq, struct err *err)
{
	const struct request_headers *h = &rq->headers;

	if (!h->transfer_encoding)
		return 0;
	if (strcasecmp(h->transfer_encoding, "chunked") == 0 && !h->content_length)
		return 0;
	rq->is_hopeless = true;
	return err_set(err, -EINVAL, "Transfer-Encoding must be 'chunked', and alone");
}

/* A body that says beforehand that it is too large is not waited for. */
static int check_length(const struct request *rq, struct err *err)
{
	const char *text = rq->headers.content_length;
	int64_t len;

	if (!text || wants_stream(rq))
		return 0;
	if (str_to_i64(text, 0, INT64_MAX, &len, NULL) < 0)
		return err_set(err, -EINVAL, "Content-Length is not a number");
	if (len > REQUEST_MAX_JSON)
		return err_set(err, -EFBIG, "the body is larger than 1 MiB");
	return 0;
}

void request_begin(struct request *rq, const char *method, const struct request_headers *headers)
{
	struct err err = ERR_INIT;
	int r;

	rq->method = strcmp(method, "HEAD") == 0 ? "GET" : method;
	rq->headers = *headers;
	r = check_framing(rq, &err);
	if (r >= 0)
		r = uri_parse(rq->target, &rq->uri, &err);
	if (r >= 0)
		r = route_find(rq, &err);
	if (r == -ENOTSUP) {
		reply_fail(&rq->reply, 405, err.text);
		rq->reply.allow = route_allowed(rq);
		rq->is_swallowing = true;
		return;
	}
	if (r >= 0)
		r = check_length(rq, &err);
	if (r < 0) {
		fail(rq, r, &err);
		return;
	}
	if (wants_stream(rq))
		begin_upload(rq);
}

/* Into the pipe; a reader that has gone makes us swallow the rest, its operation knows why. */
static int body_upload(struct request *rq, const void *data, size_t len)
{
	if (file_write_all(rq->write_fd, data, len, NULL) < 0) {
		(void)close(rq->write_fd);
		rq->write_fd = -1;
		rq->is_swallowing = true;
	}
	return 0;
}

int request_body(struct request *rq, const void *data, size_t len)
{
	struct err err = ERR_INIT;
	bool is_upload = rq->route && wants_stream(rq);

	rq->body_len += len;
	if (rq->is_swallowing || !rq->route)
		return rq->body_len > (is_upload ? REQUEST_MAX_REFUSED : REQUEST_MAX_SWALLOW) ? -EFBIG : 0;
	if (is_upload)
		return body_upload(rq, data, len);
	if (clock_mono_us() - rq->started_us > REQUEST_MAX_BODY_US)
		return -ETIMEDOUT;
	if (rq->body_len > REQUEST_MAX_JSON) {
		fail(rq, err_set(&err, -EFBIG, "the body is larger than 1 MiB"), &err);
		return 0;
	}
	/* The body of a GET is read and forgotten: `incus query` sends one. */
	if (rq->route->body != BODY_NONE)
		strbuf_add(&rq->text, data, len);
	return 0;
}

/* The upload has ended well; an operation that has not is better reported here than by an answer of 202. */
static void end_upload(struct request *rq)
{
	AUTO(operation_info_done) struct operation_info info = { 0 };
	struct err err = ERR_INIT;

	if (rq->write_fd >= 0)
		(void)close(rq->write_fd);
	rq->write_fd = -1;
	if (!rq->reply.operation)
		return;
	operation_get(rq->reply.operation, &info);
	if (info.status != OPERATION_FAILURE)
		return;
	(void)err_set(&err, info.error_code, "%s", info.error);
	reply_error(&rq->reply, info.error_code, &err);
}

static int parse_json(struct request *rq, struct err *err)
{
	int r;

	if (rq->text.len == 0)
		return err_set(err, -EINVAL, "a JSON object is expected as the body");
	r = json_parse(rq->text.s, rq->text.len, &rq->json, err);
	if (r < 0)
		return err_wrap(err, r, "the body is not proper JSON");
	if (json_type(rq->json) != JSON_OBJECT)
		return err_set(err, -EINVAL, "the body must be a JSON object");
	return 0;
}

void request_end(struct request *rq)
{
	struct err err = ERR_INIT;
	int r;

	rq->is_complete = true;
	if (rq->route && wants_stream(rq)) {
		end_upload(rq);
		return;
	}
	if (rq->reply.kind != REPLY_NONE || !rq->route)
		return;
	if (rq->route->body != BODY_NONE) {
		r = parse_json(rq, &err);
		if (r < 0) {
			fail(rq, r, &err);
			return;
		}
	}
	run_handler(rq);
}

bool request_is_gone(const struct request *rq)
{
	struct pollfd p = { .fd = rq->socket_fd };

	if (atomic_load(&rq->ctx->is_stopping))
		return true;
	/* POLLHUP, not POLLRDHUP: a client may close its sending side and still wait for the answer. */
	return rq->socket_fd >= 0 && poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

int request_query_int(const struct request *rq, const char *key, int64_t min, int64_t max, int64_t *ret,
		      struct err *err)
{
	const char *s = uri_query(&rq->uri, key);
	int r;

	if (!s || !*s)
		return 0;
	r = str_to_i64(s, min, max, ret, err);
	return r < 0 ? err_wrap(err, -EINVAL, "parameter '%s'", key) : 0;
}

int request_query_bool(const struct request *rq, const char *key, bool *ret, struct err *err)
{
	const char *s = uri_query(&rq->uri, key);
	int r;

	if (!s || !*s)
		return 0;
	r = str_to_bool(s, ret, err);
	return r < 0 ? err_wrap(err, -EINVAL, "parameter '%s'", key) : 0;
}

int request_match(const struct request *rq, const char *etag, struct err *err)
{
	const char *s = rq->headers.if_match;
	size_t len;

	if (!s || strcmp(s, "*") == 0)
		return 0;
	/* LXD's are bare, RFC 9110's are quoted: both are taken. */
	if (strncmp(s, "W/", 2) == 0)
		s += 2;
	if (*s == '"')
		s++;
	len = strcspn(s, "\"");
	if (len == strlen(etag) && strncmp(s, etag, len) == 0)
		return 0;
	return err_set(err, -ESTALE, "it has been changed since you read it (ETag %s): read it again", etag);
}

static bool has_word(const char *list, const char *word)
{
	AUTO(strv_free) char **words = list ? strv_split(list, ',') : NULL;

	for (char **w = words; w && *w; w++) {
		str_rtrim(*w);
		if (strcasecmp(*w + strspn(*w, " \t"), word) == 0)
			return true;
	}
	return false;
}

int request_check_websocket(const struct request *rq, struct err *err)
{
	const struct request_headers *h = &rq->headers;

	if (!has_word(h->upgrade, "websocket") || !has_word(h->connection, "upgrade"))
		return err_set(err, -EINVAL, "this is for websockets: ask with 'Upgrade: websocket'");
	if (!str_eq(h->ws_version, "13"))
		return err_set(err, -EINVAL, "websocket version 13 is spoken here");
	/* 16 bytes in base64 */
	if (!h->ws_key || strlen(h->ws_key) != 24 || !str_ends(h->ws_key, "=="))
		return err_set(err, -EINVAL, "Sec-WebSocket-Key must be 16 bytes in base64");
	return 0;
}
