/* SPDX-License-Identifier: Apache-2.0 */
/* import.c - an archive becomes an instance; the operation reads while the client sends, or fetches it as an image */
#include <string.h>

#include "api/checkpoints.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/operation.h"

struct job {
	struct engine *engine;
	struct import_options options;
	char *name, *image; /* what the options point to */
	int fd;		    /* where the upload comes out */
	char *reference;    /* of an image, in its place */
	bool is_insecure;
};

static void free_job(void *arg)
{
	struct job *job = arg;

	if (!job)
		return;
	if (job->fd >= 0)
		(void)close(job->fd);
	free(job->name);
	free(job->image);
	free(job->reference);
	free(job);
}
AUTO_DEFINE(struct job *, free_job)

static int run(struct operation *op, void *arg, struct err *err)
{
	AUTO(instance_release) struct instance *in = NULL;
	const struct job *job = arg;
	uint64_t began = clock_mono_us();
	int r;

	if (job->reference)
		r = checkpoint_pull(job->engine, job->reference, job->is_insecure, &job->options, op, &in, err);
	else
		r = checkpoint_import(job->engine, job->fd, &job->options, op, &in, err);
	if (r < 0)
		return r;
	/* Only now its name is known, where the archive says it. */
	operation_set(op, "instance", json_new_str(instance_name(in)));
	operation_set(op, "duration_us", json_new_int((int64_t)(clock_mono_us() - began)));
	return 0;
}

static int decode_flag(const char *header, const char *name, bool *ret, struct err *err)
{
	int r;

	if (!header || !*header)
		return 0;
	r = str_to_bool(header, ret, err);
	return r < 0 ? err_wrap(err, -EINVAL, "%s", name) : 0;
}

/* Gigabytes later it would be a pity to find the name taken. NULL and "": as the archive says. */
static int take_name(struct job *job, const char *name, struct err *err)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;
	int r;

	if (!name || !*name)
		return 0;
	r = instance_check_name(name, err);
	if (r < 0)
		return r;
	if (instance_info(job->engine, name, /* live= */ false, &info, NULL) == 0)
		return err_set(err, -EEXIST, "there is an instance '%s' already", name);
	job->name = xstrdup(name);
	job->options.name = job->name;
	return 0;
}

static int decode(const struct request *rq, struct job *job, struct err *err)
{
	const struct request_headers *h = &rq->headers;
	struct import_options *o = &job->options;
	int r;

	r = decode_flag(h->ignore_rootfs, "X-Stasis-ignore-rootfs", &o->ignore_rootfs, err);
	if (r >= 0)
		r = decode_flag(h->ignore_volumes, "X-Stasis-ignore-volumes", &o->ignore_volumes, err);
	if (r >= 0)
		r = decode_flag(h->stopped, "X-Stasis-stopped", &o->is_stopped, err);
	if (r < 0)
		return r;
	if (h->image && !str_is_utf8(h->image, strlen(h->image)))
		return err_set(err, -EINVAL, "X-Stasis-image is not UTF-8");
	job->image = h->image && *h->image ? xstrdup(h->image) : NULL;
	o->image = job->image;
	return take_name(job, h->name, err);
}

/* Takes over @job. */
static int start(struct request *rq, struct job *job, struct reply *ret, struct err *err)
{
	AUTO(strv_free) char **names = NULL;
	struct operation_spec spec = {
		.description = "Importing checkpoint",
		.may_cancel = true,
		.run = run,
		.free_arg = free_job,
	};
	struct operation *op;
	int r;

	if (job->name)
		names = strv_new(job->name, NULL);
	spec.instances = names;
	spec.arg = job;
	r = operation_start(rq->engine, &spec, &op, err);
	if (r < 0)
		return r;
	reply_async(ret, op);
	return 0;
}

int import_start(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(free_job) struct job *job = xcalloc(1, sizeof(*job));
	int r;

	job->engine = rq->engine;
	job->fd = -1;
	r = decode(rq, job, err);
	if (r < 0)
		return r;
	job->fd = TAKE_FD(rq->upload_fd);
	return start(rq, TAKE_PTR(job), ret, err);
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

struct source {
	const char *reference, *type;
	bool ignore_rootfs, ignore_volumes, insecure;
};

static int decode_source(const struct json *j, struct job *job, struct err *err)
{
	struct source in = { 0 };
	static const struct json_field fields[] = {
		{ "ignore_rootfs", JSON_F_BOOL, offsetof(struct source, ignore_rootfs), false },
		{ "ignore_volumes", JSON_F_BOOL, offsetof(struct source, ignore_volumes), false },
		{ "insecure", JSON_F_BOOL, offsetof(struct source, insecure), false },
		{ "reference", JSON_F_STR, offsetof(struct source, reference), true },
		{ "type", JSON_F_STR, offsetof(struct source, type), true },
	};
	int r;

	r = json_decode(j, fields, ARRAY_SIZE(fields), &in, err);
	if (r < 0)
		return err_wrap(err, r, "source");
	job->reference = xstrdup(in.reference);
	job->is_insecure = in.insecure;
	job->options.ignore_rootfs = in.ignore_rootfs;
	job->options.ignore_volumes = in.ignore_volumes;
	return 0;
}

int import_image_start(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(free_job) struct job *job = xcalloc(1, sizeof(*job));
	struct {
		const char *image, *name;
		struct json *source;
		bool start;
	} in = { .start = true };
	static const struct json_field fields[] = {
		{ "image", JSON_F_STR, offsetof(__typeof__(in), image), false },
		{ "name", JSON_F_STR, offsetof(__typeof__(in), name), false },
		{ "source", JSON_F_JSON, offsetof(__typeof__(in), source), true },
		{ "start", JSON_F_BOOL, offsetof(__typeof__(in), start), false },
	};
	int r;

	job->engine = rq->engine;
	job->fd = -1;
	r = json_decode(rq->json, fields, ARRAY_SIZE(fields), &in, err);
	if (r >= 0)
		r = take_name(job, in.name, err);
	if (r >= 0)
		r = decode_source(in.source, job, err);
	if (r < 0)
		return r;
	job->image = in.image && *in.image ? xstrdup(in.image) : NULL;
	job->options.image = job->image;
	job->options.is_stopped = !in.start;
	return start(rq, TAKE_PTR(job), ret, err);
}
