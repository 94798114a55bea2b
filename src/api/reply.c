/* SPDX-License-Identifier: Apache-2.0 */
/* reply.c - envelopes, and the one place where an errno becomes an HTTP status */
#include "api/reply.h"

#include <string.h>
#include <sys/stat.h>

#include "api/encode.h"
#include "api/producer.h"
#include "api/session.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/operation.h"

void reply_init(struct reply *re)
{
	*re = (struct reply){ .fd = -1 };
}

void reply_done(struct reply *re)
{
	free(re->body);
	free(re->etag);
	free(re->location);
	free(re->allow);
	free(re->stasis_operation);
	if (re->fd >= 0)
		(void)close(re->fd);
	operation_unref(re->operation);
	session_slot_drop(re->slot);
	producer_free(re->producer);
	reply_init(re);
}

static void set_json(struct reply *re, int status, const struct json *envelope)
{
	autofree char *text = NULL;

	re->kind = REPLY_TEXT;
	re->status = status;
	re->content_type = "application/json";
	text = json_print(envelope, JSON_COMPACT);
	re->body = xasprintf("%s\n", text); /* for people with curl */
	re->body_len = strlen(re->body);
}

/* LXD's clients want all the members, whatever the type. */
static struct json *envelope_new(const char *type, const char *status, int status_code, const char *operation)
{
	struct json *j = json_new_object();

	json_set_str(j, "type", type);
	json_set_str(j, "status", status);
	json_set_int(j, "status_code", status_code);
	json_set_str(j, "operation", operation);
	json_set_int(j, "error_code", 0);
	json_set_str(j, "error", "");
	return j;
}

void reply_sync(struct reply *re, struct json *metadata)
{
	AUTO(json_free) struct json *j = envelope_new("sync", "Success", 200, "");

	json_set(j, "metadata", metadata ? metadata : json_new_object());
	set_json(re, 200, j);
}

void reply_sync_etag(struct reply *re, struct json *metadata, const char *etag)
{
	reply_sync(re, metadata);
	re->etag = xasprintf("\"%s\"", etag);
}

void reply_created(struct reply *re, const char *location)
{
	reply_sync(re, NULL);
	re->status = 201;
	re->location = xstrdup(location);
}

void reply_async(struct reply *re, struct operation *op)
{
	autofree char *url = xasprintf("/1.0/operations/%s", operation_uuid(op));
	AUTO(json_free) struct json *j = envelope_new("async", "Operation created", 100, url);

	json_set(j, "metadata", encode_operation(op));
	set_json(re, 202, j);
	re->location = TAKE_PTR(url);
	re->operation = op;
}

int reply_file(struct reply *re, int fd, struct err *err)
{
	struct stat st;

	re->fd = fd;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot look at the file");
	re->kind = REPLY_FILE;
	re->status = 200;
	re->content_type = "text/plain; charset=utf-8";
	re->fd_size = (uint64_t)st.st_size;
	return 0;
}

void reply_pipe(struct reply *re, int fd)
{
	re->kind = REPLY_PIPE;
	re->status = 200;
	re->content_type = "text/plain; charset=utf-8";
	re->fd = fd;
}

void reply_producer(struct reply *re, struct producer *producer, const char *content_type)
{
	re->kind = REPLY_PRODUCER;
	re->status = 200;
	re->content_type = content_type;
	re->producer = producer;
	re->stasis_operation = producer_url(producer);
}

void reply_upgrade(struct reply *re, struct session_slot *slot)
{
	re->kind = REPLY_UPGRADE;
	re->status = 101;
	re->slot = slot;
}

/* JSON must be UTF-8, and a text that was cut at its limit or quotes a program's output may not be. */
static char *clean_text(const char *text)
{
	char *s = xstrdup(text);

	if (!str_is_utf8(s, strlen(s))) {
		for (char *p = s; *p; p++)
			if ((unsigned char)*p >= 0x80)
				*p = '?';
	}
	return s;
}

void reply_fail(struct reply *re, int status, const char *text)
{
	AUTO(json_free) struct json *j = json_new_object();
	autofree char *clean = clean_text(text);

	reply_done(re);
	json_set_str(j, "type", "error");
	json_set_str(j, "status", "");
	json_set_int(j, "status_code", 0);
	json_set_str(j, "operation", "");
	json_set_int(j, "error_code", status);
	json_set_str(j, "error", clean);
	json_set(j, "metadata", json_new_null());
	set_json(re, status, j);
}

void reply_error(struct reply *re, int code, const struct err *err)
{
	reply_fail(re, reply_status(code), err->text[0] ? err->text : strerror(-code));
}

int reply_status(int code)
{
	static const struct {
		int code, status;
	} table[] = {
		{ -EINVAL, 400 },    { -ERANGE, 400 }, { -EPERM, 403 },	    { -EACCES, 403 }, { -ENOENT, 404 },
		{ -EEXIST, 409 },    { -EBUSY, 409 },  { -ESTALE, 412 },    { -EFBIG, 413 },  { -EOPNOTSUPP, 501 },
		{ -ESHUTDOWN, 503 }, { -EAGAIN, 503 }, { -ETIMEDOUT, 504 }, { -ENOSPC, 507 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].code == code)
			return table[i].status;
	return 500;
}
