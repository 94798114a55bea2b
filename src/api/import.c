/* SPDX-License-Identifier: Apache-2.0 */
/* import.c - an archive becomes an instance; the operation reads while the client sends */
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
	free(job);
}
AUTO_DEFINE(struct job *, free_job)

static int run(struct operation *op, void *arg, struct err *err)
{
	AUTO(instance_release) struct instance *in = NULL;
	const struct job *job = arg;
	uint64_t began = clock_mono_us();
	int r;

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
	if (!h->name || !*h->name)
		return 0;
	r = instance_check_name(h->name, err);
	if (r < 0)
		return r;
	job->name = xstrdup(h->name);
	o->name = job->name;
	return 0;
}

int import_start(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(free_job) struct job *job = xcalloc(1, sizeof(*job));
	AUTO(instance_info_free) struct instance_info *info = NULL;
	AUTO(strv_free) char **names = NULL;
	struct operation_spec spec = {
		.description = "Importing checkpoint",
		.may_cancel = true,
		.run = run,
		.free_arg = free_job,
	};
	struct operation *op;
	int r;

	job->engine = rq->engine;
	job->fd = -1;
	r = decode(rq, job, err);
	if (r < 0)
		return r;
	/* Gigabytes later it would be a pity. */
	if (job->name && instance_info(rq->engine, job->name, /* live= */ false, &info, NULL) == 0)
		return err_set(err, -EEXIST, "there is an instance '%s' already", job->name);
	if (job->name)
		names = strv_new(job->name, NULL);
	job->fd = TAKE_FD(rq->upload_fd);
	spec.instances = names;
	spec.arg = TAKE_PTR(job);
	r = operation_start(rq->engine, &spec, &op, err);
	if (r < 0)
		return r;
	reply_async(ret, op);
	return 0;
}
