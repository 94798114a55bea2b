/* SPDX-License-Identifier: Apache-2.0 */
/* revert.c - PUT of an instance with "restore": it becomes what it was at a checkpoint */
#include <string.h>

#include "api/checkpoints.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/operation.h"

struct job {
	struct instance *in; /* claimed */
	char uuid[UUID_SIZE];
	bool is_stateless;
};

static void free_job(void *arg)
{
	struct job *job = arg;

	if (!job)
		return;
	instance_release(job->in);
	free(job);
}
AUTO_DEFINE(struct job *, free_job)

static int run(struct operation *op, void *arg, struct err *err)
{
	const struct job *job = arg;

	return checkpoint_restore(job->in, job->uuid, job->is_stateless, op, err);
}

/* LXD's clients say "web/snap0". */
static int strip_instance(const char *instance, const char *which, const char **ret, struct err *err)
{
	const char *slash = strchr(which, '/');
	size_t n = strlen(instance);

	*ret = which;
	if (!slash)
		return 0;
	if ((size_t)(slash - which) != n || strncmp(which, instance, n) != 0)
		return err_set(err, -EINVAL, "'%.128s' is no checkpoint of '%s'", which, instance);
	*ret = slash + 1;
	return 0;
}

/* Absent: with memory where there is some. LXD's clients always say which. */
static int decide(const struct checkpoint_info *info, const struct json *stateful, bool *ret_stateless, struct err *err)
{
	bool is_said = stateful && json_type(stateful) != JSON_NULL;

	if (is_said && json_type(stateful) != JSON_BOOL)
		return err_set(err, -EINVAL, "stateful must be true or false");
	if (is_said && json_bool(stateful, false) && !info->has_memory)
		return err_set(err, -EINVAL, "'%s' holds no memory: it can only be restored without (stateful: false)",
			       info->name);
	*ret_stateless = is_said ? !json_bool(stateful, false) : !info->has_memory;
	return 0;
}

int revert_start(struct request *rq, const char *which, const struct json *stateful, struct reply *ret, struct err *err)
{
	AUTO(free_job) struct job *job = xcalloc(1, sizeof(*job));
	AUTO(checkpoint_info_free) struct checkpoint_info *info = NULL;
	AUTO(strv_free) char **names = strv_new(rq->args[0], NULL);
	struct operation_spec spec = {
		.description = "Restoring snapshot",
		.instances = names,
		.may_cancel = true,
		.run = run,
		.free_arg = free_job,
	};
	struct operation *op;
	int r;

	r = strip_instance(rq->args[0], which, &which, err);
	if (r >= 0)
		r = instance_claim(rq->engine, rq->args[0], "restoring a checkpoint", &job->in, err);
	if (r >= 0)
		r = checkpoint_find(rq->engine, rq->args[0], which, &info, err);
	if (r >= 0)
		r = decide(info, stateful, &job->is_stateless, err);
	if (r < 0)
		return r;
	memcpy(job->uuid, info->uuid, sizeof(job->uuid));
	spec.snapshot = info->name;
	spec.arg = TAKE_PTR(job);
	r = operation_start(rq->engine, &spec, &op, err);
	if (r < 0)
		return r;
	reply_async(ret, op);
	return 0;
}
