/* SPDX-License-Identifier: Apache-2.0 */
/* export.c - a checkpoint as an archive, written while the client reads; or as an image, written elsewhere */
#include <string.h>

#include "api/checkpoints.h"
#include "api/handlers.h"
#include "api/producer.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/operation.h"

static const struct {
	const char *name;
	const char *content_type;
} compressions[] = {
	[CHECKPOINT_ZSTD] = { "zstd", "application/zstd" },
	[CHECKPOINT_GZIP] = { "gzip", "application/gzip" },
	[CHECKPOINT_NONE] = { "none", "application/x-tar" },
};

struct job {
	struct engine *engine;
	char *instance;
	char uuid[UUID_SIZE];
	struct export_options options;
	int fd;
};

static void free_job(void *arg)
{
	struct job *job = arg;

	if (job->fd >= 0)
		(void)close(job->fd);
	free(job->instance);
	free(job);
}

static int run(struct operation *op, void *arg, struct err *err)
{
	const struct job *job = arg;

	return checkpoint_export(job->engine, job->instance, job->uuid, &job->options, job->fd, op, err);
}

static int decode_compression(const char *name, int *ret, struct err *err)
{
	if (!name || !*name)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(compressions); i++) {
		if (!str_eq(name, compressions[i].name))
			continue;
		*ret = (int)i;
		return 0;
	}
	return err_set(err, -EINVAL, "compression must be zstd, gzip or none, not '%.64s'", name);
}

static int decode(const struct request *rq, struct export_options *ret, struct err *err)
{
	int r;

	r = decode_compression(uri_query(&rq->uri, "compression"), &ret->compression, err);
	if (r >= 0)
		r = request_query_bool(rq, "ignore_rootfs", &ret->ignore_rootfs, err);
	if (r >= 0)
		r = request_query_bool(rq, "ignore_volumes", &ret->ignore_volumes, err);
	return r;
}

int get_export(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(checkpoint_info_free) struct checkpoint_info *info = NULL;
	AUTO(strv_free) char **names = strv_new(rq->args[0], NULL);
	struct operation_spec spec = {
		.description = "Exporting checkpoint",
		.instances = names,
		.may_cancel = true,
		.run = run,
		.free_arg = free_job,
	};
	struct export_options options = { .compression = CHECKPOINT_ZSTD };
	struct producer *producer;
	struct job *job;
	int r;

	r = decode(rq, &options, err);
	if (r >= 0)
		r = checkpoint_find(rq->engine, rq->args[0], rq->args[1], &info, err);
	if (r < 0)
		return r;
	job = xcalloc(1, sizeof(*job));
	*job = (struct job){
		.engine = rq->engine,
		.instance = xstrdup(rq->args[0]),
		.options = options,
		.fd = -1,
	};
	memcpy(job->uuid, info->uuid, sizeof(job->uuid));
	spec.snapshot = info->name;
	spec.arg = job;
	r = producer_start(rq, &spec, &job->fd, &producer, err);
	if (r < 0)
		return r;
	reply_producer(ret, producer, compressions[options.compression].content_type);
	return 0;
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

struct image_job {
	struct engine *engine;
	char *instance, *reference;
	char uuid[UUID_SIZE];
	struct image_push_options options;
};

static void free_image_job(void *arg)
{
	struct image_job *job = arg;

	free(job->instance);
	free(job->reference);
	free(job);
}

static int run_image(struct operation *op, void *arg, struct err *err)
{
	const struct image_job *job = arg;

	return checkpoint_push(job->engine, job->instance, job->uuid, &job->options, op, err);
}

struct image_body {
	const char *compression, *reference;
	bool ignore_rootfs, ignore_volumes, insecure;
};

/* The reference is borrowed from the body. */
static int decode_image(const struct json *j, struct image_push_options *ret, struct err *err)
{
	struct image_body in = { 0 };
	static const struct json_field fields[] = {
		{ "compression", JSON_F_STR, offsetof(struct image_body, compression), false },
		{ "ignore_rootfs", JSON_F_BOOL, offsetof(struct image_body, ignore_rootfs), false },
		{ "ignore_volumes", JSON_F_BOOL, offsetof(struct image_body, ignore_volumes), false },
		{ "insecure", JSON_F_BOOL, offsetof(struct image_body, insecure), false },
		{ "reference", JSON_F_STR, offsetof(struct image_body, reference), true },
	};
	int r;

	r = json_decode(j, fields, ARRAY_SIZE(fields), &in, err);
	if (r >= 0)
		r = decode_compression(in.compression, &ret->archive.compression, err);
	ret->reference = in.reference;
	ret->is_insecure = in.insecure;
	ret->archive.ignore_rootfs = in.ignore_rootfs;
	ret->archive.ignore_volumes = in.ignore_volumes;
	return r;
}

int post_checkpoint_image(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(checkpoint_info_free) struct checkpoint_info *info = NULL;
	AUTO(strv_free) char **names = strv_new(rq->args[0], NULL);
	struct operation_spec spec = {
		.description = "Writing checkpoint image",
		.instances = names,
		.may_cancel = true,
		.run = run_image,
		.free_arg = free_image_job,
	};
	struct image_push_options options = { .archive.compression = CHECKPOINT_GZIP };
	struct image_job *job;
	struct operation *op;
	int r;

	r = decode_image(rq->json, &options, err);
	if (r >= 0)
		r = checkpoint_find(rq->engine, rq->args[0], rq->args[1], &info, err);
	if (r < 0)
		return r;
	job = xcalloc(1, sizeof(*job));
	*job = (struct image_job){
		.engine = rq->engine,
		.instance = xstrdup(rq->args[0]),
		.reference = xstrdup(options.reference),
		.options = options,
	};
	job->options.reference = job->reference;
	memcpy(job->uuid, info->uuid, sizeof(job->uuid));
	spec.snapshot = info->name;
	spec.arg = job;
	r = operation_start(rq->engine, &spec, &op, err);
	if (r < 0)
		return r;
	reply_async(ret, op);
	return 0;
}
