/* SPDX-License-Identifier: Apache-2.0 */
/*
 * images.c - images and their aliases
 *
 * An image comes from a body of octets, from a path that the daemon opens, or by skopeo. All three are operations; an
 * upload's operation reads while the client sends.
 */
#include "engine/image.h"

#include <string.h>

#include "api/encode.h"
#include "api/handlers.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/operation.h"

#define MAX_ALIASES 32

/* ---- looking ----------------------------------------------------------------------------------------------------- */

int get_images(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(image_list_free) struct image_info **list = NULL;
	struct json *j;
	int64_t recursion = 0;
	int r;

	r = request_query_int(rq, "recursion", 0, 2, &recursion, err);
	if (r < 0)
		return r;
	r = image_list(rq->engine, &list, err);
	if (r < 0)
		return r;
	j = json_new_array();
	for (size_t i = 0; list[i]; i++) {
		autofree char *url = xasprintf("/1.0/images/%s", list[i]->fingerprint);

		json_add(j, recursion == 0 ? json_new_str(url) : encode_image(list[i]));
	}
	reply_sync(ret, j);
	return 0;
}

int get_image(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(image_info_free) struct image_info *info = NULL;
	int r;

	r = image_find(rq->engine, rq->args[0], &info, err);
	if (r < 0)
		return r;
	reply_sync(ret, encode_image(info));
	return 0;
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

enum origin { ORIGIN_FD, ORIGIN_FILE, ORIGIN_PULL };

struct job {
	struct engine *engine;
	enum origin origin;
	int fd;	     /* ORIGIN_FD: where the upload comes out */
	char *place; /* a path or a reference */
	bool is_insecure;
	char **aliases;
};

static void free_job(void *arg)
{
	struct job *job = arg;

	if (!job)
		return;
	if (job->fd >= 0)
		(void)close(job->fd);
	free(job->place);
	strv_free(job->aliases);
	free(job);
}
AUTO_DEFINE(struct job *, free_job)

static int fetch(struct job *job, struct operation *op, char **ret_fingerprint, struct err *err)
{
	const char *alias = job->aliases ? job->aliases[0] : NULL;

	switch (job->origin) {
	case ORIGIN_FD:
		return image_import_fd(job->engine, job->fd, alias, op, ret_fingerprint, err);
	case ORIGIN_FILE:
		return image_import(job->engine, job->place, alias, op, ret_fingerprint, err);
	case ORIGIN_PULL:
		return image_pull(job->engine, job->place, alias, job->is_insecure, op, ret_fingerprint, err);
	}
	return err_set(err, -EINVAL, "unknown origin");
}

static int run_job(struct operation *op, void *arg, struct err *err)
{
	struct job *job = arg;
	autofree char *fingerprint = NULL;
	int r;

	r = fetch(job, op, &fingerprint, err);
	if (r < 0)
		return r;
	operation_set(op, "fingerprint", json_new_str(fingerprint));
	for (char **a = job->aliases ? job->aliases + 1 : NULL; a && *a; a++) {
		r = image_alias_add(job->engine, *a, fingerprint, err);
		if (r < 0)
			return err_wrap(err, r, "the image is there, but");
	}
	return 0;
}

/* Takes over @job. */
static int start_job(struct request *rq, struct job *job, const char *description, struct reply *ret, struct err *err)
{
	struct operation_spec spec = {
		.description = description,
		.may_cancel = true,
		.run = run_job,
		.free_arg = free_job,
		.arg = job,
	};
	struct operation *op;
	int r;

	r = operation_start(rq->engine, &spec, &op, err);
	if (r < 0)
		return r;
	reply_async(ret, op);
	return 0;
}

static int post_upload(struct request *rq, struct reply *ret, struct err *err)
{
	const char *alias = rq->headers.alias;
	struct job *job;

	if (alias && !str_is_utf8(alias, strlen(alias)))
		return err_set(err, -EINVAL, "X-Stasis-alias is not UTF-8");
	job = xcalloc(1, sizeof(*job));
	job->engine = rq->engine;
	job->origin = ORIGIN_FD;
	job->fd = TAKE_FD(rq->upload_fd);
	job->aliases = alias && *alias ? strv_new(alias, NULL) : NULL;
	return start_job(rq, job, "Importing image", ret, err);
}

static int decode_aliases(const struct json *j, char ***ret, struct err *err)
{
	if (j && json_type(j) != JSON_NULL && json_type(j) != JSON_ARRAY)
		return err_set(err, -EINVAL, "aliases must be a list of objects");
	if (json_len(j) > MAX_ALIASES)
		return err_set(err, -EINVAL, "more than %d aliases", MAX_ALIASES);
	for (size_t i = 0; i < json_len(j); i++) {
		const char *name = json_get_str(json_item(j, i), "name");

		if (!name || !*name)
			return err_set(err, -EINVAL, "an alias must have a name");
		strv_add(ret, name);
	}
	return 0;
}

struct source {
	const char *type, *mode, *reference, *path;
	bool insecure;
};

static int decode_source(const struct json *j, struct job *job, struct err *err)
{
	struct source in = { 0 };
	static const struct json_field fields[] = {
		{ "insecure", JSON_F_BOOL, offsetof(struct source, insecure), false },
		{ "mode", JSON_F_STR, offsetof(struct source, mode), false },
		{ "path", JSON_F_STR, offsetof(struct source, path), false },
		{ "reference", JSON_F_STR, offsetof(struct source, reference), false },
		{ "type", JSON_F_STR, offsetof(struct source, type), true },
	};
	int r;

	if (json_type(j) != JSON_OBJECT)
		return err_set(err, -EINVAL, "source must be an object");
	r = json_decode(j, fields, ARRAY_SIZE(fields), &in, err);
	if (r < 0)
		return err_wrap(err, r, "source");
	if (str_eq(in.type, "file")) {
		if (!in.path || *in.path != '/')
			return err_set(err, -EINVAL, "source.path must be an absolute path");
		job->origin = ORIGIN_FILE;
		job->place = xstrdup(in.path);
		return 0;
	}
	if (!str_eq(in.type, "image"))
		return err_set(err, -EOPNOTSUPP, "source.type must be 'image' or 'file', not '%s'", in.type);
	if (in.mode && *in.mode && !str_eq(in.mode, "pull"))
		return err_set(err, -EINVAL, "source.mode must be 'pull', not '%s'", in.mode);
	if (!in.reference || !*in.reference)
		return err_set(err, -EINVAL, "source.reference is missing: docker://host/name:tag");
	job->origin = ORIGIN_PULL;
	job->place = xstrdup(in.reference);
	job->is_insecure = in.insecure;
	return 0;
}

static int decode_job(const struct json *j, struct job *job, struct err *err)
{
	struct {
		struct json *source, *aliases;
	} in = { 0 };
	static const struct json_field fields[] = {
		{ "aliases", JSON_F_JSON, offsetof(__typeof__(in), aliases), false },
		{ "source", JSON_F_JSON, offsetof(__typeof__(in), source), true },
		/* LXD's clients send these. */
		{ "auto_update", JSON_F_IGNORE, 0, false },
		{ "compression_algorithm", JSON_F_IGNORE, 0, false },
		{ "expires_at", JSON_F_IGNORE, 0, false },
		{ "filename", JSON_F_IGNORE, 0, false },
		{ "format", JSON_F_IGNORE, 0, false },
		{ "profiles", JSON_F_IGNORE, 0, false },
		{ "properties", JSON_F_IGNORE, 0, false },
		{ "public", JSON_F_IGNORE, 0, false },
	};
	int r;

	r = json_decode(j, fields, ARRAY_SIZE(fields), &in, err);
	if (r < 0)
		return r;
	r = decode_source(in.source, job, err);
	if (r < 0)
		return r;
	return decode_aliases(in.aliases, &job->aliases, err);
}

int post_images(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(free_job) struct job *job = NULL;
	int r;

	if (!rq->json)
		return post_upload(rq, ret, err);
	job = xcalloc(1, sizeof(*job));
	job->engine = rq->engine;
	job->fd = -1;
	r = decode_job(rq->json, job, err);
	if (r < 0)
		return r;
	return start_job(rq, TAKE_PTR(job), "Downloading image", ret, err);
}

/* ---- removing ---------------------------------------------------------------------------------------------------- */

static int run_delete(struct operation *op, void *arg, struct err *err)
{
	const struct job *job = arg;

	return image_delete(job->engine, job->place, err);
}

int delete_image(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(image_info_free) struct image_info *info = NULL;
	struct operation_spec spec = { .description = "Deleting image", .run = run_delete, .free_arg = free_job };
	struct operation *op;
	struct job *job;
	int r;

	r = image_find(rq->engine, rq->args[0], &info, err);
	if (r < 0)
		return r;
	if (info->n_users > 0)
		return image_delete(rq->engine, info->fingerprint,
				    err); /* refuses, and says who needs it: at once, with 409 */
	job = xcalloc(1, sizeof(*job));
	job->engine = rq->engine;
	job->fd = -1;
	job->place = xstrdup(info->fingerprint);
	spec.arg = job;
	r = operation_start(rq->engine, &spec, &op, err);
	if (r < 0)
		return r;
	reply_async(ret, op);
	return 0;
}
