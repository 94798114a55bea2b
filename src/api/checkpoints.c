/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoints.c - an instance's checkpoints with all that is known of them */
#include "api/checkpoints.h"

#include <string.h>

#include "api/handlers.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/operation.h"

/* Instances can be renamed: how the one is called now. NULL: it is being deleted. */
static const char *name_now(struct instance_info *const *instances, const struct checkpoint_info *c)
{
	for (; *instances; instances++)
		if (str_eq((*instances)->uuid, c->instance_uuid))
			return (*instances)->name;
	return NULL;
}

static int reply_list(struct request *rq, const char *instance, struct reply *ret, struct err *err)
{
	AUTO(checkpoint_list_free) struct checkpoint_info **list = NULL;
	AUTO(instance_list_free) struct instance_info **instances = NULL;
	int64_t recursion = 0;
	struct json *j;
	int r;

	r = request_query_int(rq, "recursion", 0, 2, &recursion, err);
	if (r >= 0)
		r = checkpoint_list(rq->engine, instance, &list, err);
	if (r >= 0)
		r = instance_list(rq->engine, /* live= */ false, &instances, err);
	if (r < 0)
		return r;
	j = json_new_array();
	for (size_t i = 0; list[i]; i++) {
		const char *name = name_now(instances, list[i]);
		autofree char *url =
			name ? xasprintf("/1.0/%s/%s/checkpoints/%s", rq->collection, name, list[i]->name) : NULL;

		if (name)
			json_add(j, recursion == 0 ? json_new_str(url) : encode_checkpoint(list[i], name, false));
	}
	reply_sync(ret, j);
	return 0;
}

int get_all_checkpoints(struct request *rq, struct reply *ret, struct err *err)
{
	return reply_list(rq, NULL, ret, err);
}

int get_checkpoints(struct request *rq, struct reply *ret, struct err *err)
{
	return reply_list(rq, rq->args[0], ret, err);
}

int get_checkpoint(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(checkpoint_info_free) struct checkpoint_info *info = NULL;
	int r;

	r = checkpoint_find(rq->engine, rq->args[0], rq->args[1], &info, err);
	if (r < 0)
		return r;
	reply_sync(ret, encode_checkpoint(info, rq->args[0], /* with_manifest= */ true));
	return 0;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

struct take {
	const char *name, *description, *max_pause;
	struct json *expires_at, *file_locks, *tcp_established;
	bool ignore_rootfs, ignore_volumes, stateless;
};

/* Absent and null: what the instance's configuration says. */
static int decode_choice(const struct json *j, const char *name, int *ret, struct err *err)
{
	if (!j || json_type(j) == JSON_NULL)
		return 0;
	if (json_type(j) != JSON_BOOL)
		return err_set(err, -EINVAL, "%s must be true, false or null", name);
	*ret = json_bool(j, false);
	return 0;
}

int post_checkpoints(struct request *rq, struct reply *ret, struct err *err)
{
	struct take in = { 0 };
	static const struct json_field fields[] = {
		{ "description", JSON_F_STR, offsetof(struct take, description), false },
		{ "expires_at", JSON_F_JSON, offsetof(struct take, expires_at), false },
		{ "file_locks", JSON_F_JSON, offsetof(struct take, file_locks), false },
		{ "ignore_rootfs", JSON_F_BOOL, offsetof(struct take, ignore_rootfs), false },
		{ "ignore_volumes", JSON_F_BOOL, offsetof(struct take, ignore_volumes), false },
		{ "max_pause", JSON_F_STR, offsetof(struct take, max_pause), false },
		{ "name", JSON_F_STR, offsetof(struct take, name), false },
		{ "stateless", JSON_F_BOOL, offsetof(struct take, stateless), false },
		{ "tcp_established", JSON_F_JSON, offsetof(struct take, tcp_established), false },
	};
	struct checkpoint_options o = { .tcp_established = -1, .file_locks = -1 };
	int r;

	r = json_decode(rq->json, fields, ARRAY_SIZE(fields), &in, err);
	if (r >= 0)
		r = decode_expiry(in.expires_at, "expires_at", &o.expires_us, err);
	if (r >= 0)
		r = decode_choice(in.tcp_established, "tcp_established", &o.tcp_established, err);
	if (r >= 0)
		r = decode_choice(in.file_locks, "file_locks", &o.file_locks, err);
	if (r < 0)
		return r;
	if (in.max_pause && str_to_us(in.max_pause, &o.max_pause_us, err) < 0)
		return err_wrap(err, -EINVAL, "max_pause");
	o.name = in.name;
	o.description = in.description;
	o.is_stateless = in.stateless;
	o.ignore_rootfs = in.ignore_rootfs;
	o.ignore_volumes = in.ignore_volumes;
	return take_start(rq, &o, ret, err);
}

/* ---- deleting ---------------------------------------------------------------------------------------------------- */

struct job {
	struct engine *engine;
	struct instance *in; /* claimed: nobody goes back to it meanwhile */
	char *instance;
	char uuid[UUID_SIZE];
};

static void free_job(void *arg)
{
	struct job *job = arg;

	if (!job)
		return;
	instance_release(job->in);
	free(job->instance);
	free(job);
}
AUTO_DEFINE(struct job *, free_job)

static int run_delete(struct operation *op, void *arg, struct err *err)
{
	const struct job *job = arg;

	return checkpoint_delete(job->engine, job->instance, job->uuid, err);
}

int checkpoint_delete_start(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(checkpoint_info_free) struct checkpoint_info *info = NULL;
	AUTO(strv_free) char **names = strv_new(rq->args[0], NULL);
	struct operation_spec spec = {
		.description = "Deleting snapshot",
		.instances = names,
		.run = run_delete,
		.free_arg = free_job,
	};
	AUTO(free_job) struct job *job = xcalloc(1, sizeof(*job));
	struct operation *op;
	int r;

	*job = (struct job){ .engine = rq->engine, .instance = xstrdup(rq->args[0]) };
	r = checkpoint_find(rq->engine, rq->args[0], rq->args[1], &info, err);
	if (r >= 0)
		r = instance_claim(rq->engine, rq->args[0], "deleting a checkpoint", &job->in, err);
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

int delete_checkpoint(struct request *rq, struct reply *ret, struct err *err)
{
	return checkpoint_delete_start(rq, ret, err);
}
