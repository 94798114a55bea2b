/* SPDX-License-Identifier: Apache-2.0 */
/*
 * take.c - making a checkpoint
 *
 * The instance is claimed and the name settled in the request itself: LXD's clients look for the snapshot in the
 * operation's resources at once.
 */
#include <string.h>

#include "api/checkpoints.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/operation.h"

int decode_expiry(const struct json *j, const char *name, uint64_t *ret_us, struct err *err)
{
	const char *text = json_str(j);
	uint64_t us = 0;

	if (j && json_type(j) != JSON_NULL && !text)
		return err_set(err, -EINVAL, "%s must be a time or null", name);
	if (text && *text && !str_after(text, "0001-01-01T")) {
		if (clock_parse_rfc3339(text, &us) < 0)
			return err_set(err, -EINVAL, "%s is no time as RFC 3339 has it (2026-12-24T18:00:00Z)", name);
		if (us <= clock_real_us())
			return err_set(err, -EINVAL, "%s has passed already", name);
	}
	*ret_us = us;
	return 0;
}

struct job {
	struct engine *engine;
	struct instance *in; /* claimed */
	struct checkpoint_options options;
	char *instance, *name, *description; /* what the options point to */
};

static void free_job(void *arg)
{
	struct job *job = arg;

	if (!job)
		return;
	instance_release(job->in);
	free(job->instance);
	free(job->name);
	free(job->description);
	free(job);
}
AUTO_DEFINE(struct job *, free_job)

static int run(struct operation *op, void *arg, struct err *err)
{
	AUTO(checkpoint_info_free) struct checkpoint_info *info = NULL;
	const struct job *job = arg;
	char uuid[UUID_SIZE];
	int r;

	r = checkpoint_create(job->in, &job->options, op, uuid, err);
	if (r < 0)
		return r;
	r = checkpoint_find(job->engine, job->instance, uuid, &info, err);
	if (r < 0)
		return r;
	operation_set(op, "checkpoint", encode_checkpoint(info, job->instance, /* with_manifest= */ false));
	return 0;
}

static bool has_name(struct checkpoint_info *const *list, const char *name)
{
	for (; *list; list++)
		if (str_eq((*list)->name, name))
			return true;
	return false;
}

/* "snap0", "snap1", …: the first that is free, unless one is asked for. The instance is claimed. */
static int settle_name(const struct job *job, const char *wanted, char **ret, struct err *err)
{
	AUTO(checkpoint_list_free) struct checkpoint_info **list = NULL;
	int r;

	r = checkpoint_list(job->engine, job->instance, &list, err);
	if (r < 0)
		return r;
	if (wanted && *wanted) {
		if (has_name(list, wanted))
			return err_set(err, -EEXIST, "'%s' has a checkpoint '%s' already", job->instance, wanted);
		*ret = xstrdup(wanted);
		return 0;
	}
	for (unsigned int i = 0;; i++) {
		autofree char *name = xasprintf("snap%u", i);

		if (has_name(list, name))
			continue;
		*ret = TAKE_PTR(name);
		return 0;
	}
}

static int make_job(struct request *rq, const struct checkpoint_options *o, struct job **ret, struct err *err)
{
	AUTO(free_job) struct job *job = xcalloc(1, sizeof(*job));
	int r;

	job->engine = rq->engine;
	job->options = *o;
	job->instance = xstrdup(rq->args[0]);
	if (o->name && *o->name) {
		r = checkpoint_check_name(o->name, err);
		if (r < 0)
			return r;
	}
	r = instance_claim(rq->engine, rq->args[0], "taking a checkpoint", &job->in, err);
	if (r < 0)
		return r;
	r = settle_name(job, o->name, &job->name, err);
	if (r < 0)
		return r;
	job->description = xstrdup_null(o->description);
	job->options.name = job->name;
	job->options.description = job->description;
	*ret = TAKE_PTR(job);
	return 0;
}

int take_start(struct request *rq, const struct checkpoint_options *o, struct reply *ret, struct err *err)
{
	AUTO(strv_free) char **names = strv_new(rq->args[0], NULL);
	struct operation_spec spec = {
		.description = "Snapshotting instance",
		.instances = names,
		.may_cancel = true,
		.run = run,
		.free_arg = free_job,
	};
	struct operation *op;
	struct job *job;
	int r;

	r = make_job(rq, o, &job, err);
	if (r < 0)
		return r;
	spec.snapshot = job->name;
	spec.arg = job;
	r = operation_start(rq->engine, &spec, &op, err);
	if (r < 0)
		return r;
	reply_async(ret, op);
	return 0;
}
