/* SPDX-License-Identifier: Apache-2.0 */
/* instances.c - listing, showing, renaming and deleting instances */
#include "engine/instance.h"

#include "api/checkpoints.h"
#include "api/encode.h"
#include "api/handlers.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/lifecycle.h"

/* An LXD filter that were ignored would show too much. */
static int refuse_filter(const struct request *rq, struct err *err)
{
	const char *filter = uri_query(&rq->uri, "filter");

	if (filter && *filter)
		return err_set(err, -EOPNOTSUPP, "filters are not supported yet");
	return 0;
}

/* With LXD's InstanceFull come the snapshots, out of @all. */
static struct json *encode_full(const struct instance_info *info, struct checkpoint_info *const *all)
{
	struct json *j = encode_instance(info, /* with_state= */ true);

	json_set(j, "snapshots", encode_snapshots(all, info->uuid));
	return j;
}

/* recursion=2 alone asks the kernel about each instance: a plain list stays cheap. */
int get_instances(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(instance_list_free) struct instance_info **list = NULL;
	AUTO(checkpoint_list_free) struct checkpoint_info **checkpoints = NULL;
	struct json *j;
	int64_t recursion = 0;
	int r;

	r = request_query_int(rq, "recursion", 0, 2, &recursion, err);
	if (r >= 0)
		r = refuse_filter(rq, err);
	if (r < 0)
		return r;
	r = instance_list(rq->engine, /* live= */ recursion == 2, &list, err);
	if (r >= 0 && recursion == 2)
		r = checkpoint_list(rq->engine, NULL, &checkpoints, err);
	if (r < 0)
		return r;
	j = json_new_array();
	for (size_t i = 0; list[i]; i++) {
		autofree char *url = xasprintf("/1.0/%s/%s", rq->collection, list[i]->name);

		json_add(j, recursion == 0   ? json_new_str(url)
			    : recursion == 1 ? encode_instance(list[i], /* with_state= */ false)
					     : encode_full(list[i], checkpoints));
	}
	reply_sync(ret, j);
	return 0;
}

int get_instance(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;
	AUTO(checkpoint_list_free) struct checkpoint_info **checkpoints = NULL;
	char etag[DIGEST_HEX_SIZE];
	int64_t recursion = 0;
	int r;

	r = request_query_int(rq, "recursion", 0, 2, &recursion, err);
	if (r < 0)
		return r;
	r = instance_info(rq->engine, rq->args[0], /* live= */ recursion > 0, &info, err);
	if (r >= 0 && recursion > 0)
		r = checkpoint_list(rq->engine, rq->args[0], &checkpoints, err);
	if (r < 0)
		return r;
	encode_instance_etag(info, etag);
	reply_sync_etag(ret, recursion > 0 ? encode_full(info, checkpoints) : encode_instance(info, false), etag);
	return 0;
}

/* ---- jobs on a claimed instance ---------------------------------------------------------------------------------- */

struct job {
	struct instance *in; /* claimed */
	char *new_name;	     /* of a rename */
	bool is_forced;	     /* of a delete */
};

static void free_job(void *arg)
{
	struct job *job = arg;

	instance_release(job->in);
	free(job->new_name);
	free(job);
}

static int run_rename(struct operation *op, void *arg, struct err *err)
{
	struct job *job = arg;

	return instance_rename(job->in, job->new_name, err);
}

static int run_delete(struct operation *op, void *arg, struct err *err)
{
	struct job *job = arg;

	return lifecycle_delete(job->in, job->is_forced, op, err);
}

/* Claims the instance and starts the operation; takes over @job. */
static int start_job(struct request *rq, struct job *job, const char *doing, struct operation_spec *spec,
		     struct reply *ret, struct err *err)
{
	AUTO(strv_free) char **names = strv_new(rq->args[0], NULL);
	struct operation *op;
	int r;

	r = instance_claim(rq->engine, rq->args[0], doing, &job->in, err);
	if (r < 0) {
		job->in = NULL;
		free_job(job);
		return r;
	}
	spec->instances = names;
	spec->free_arg = free_job;
	spec->arg = job;
	r = operation_start(rq->engine, spec, &op, err);
	if (r < 0)
		return r;
	reply_async(ret, op);
	return 0;
}

int delete_instance(struct request *rq, struct reply *ret, struct err *err)
{
	struct operation_spec spec = { .description = "Deleting instance", .run = run_delete };
	bool is_forced = false;
	struct job *job;
	int r;

	r = request_query_bool(rq, "force", &is_forced, err);
	if (r < 0)
		return r;
	job = xcalloc(1, sizeof(*job));
	job->is_forced = is_forced;
	return start_job(rq, job, "deleting", &spec, ret, err);
}

static int decode_rename(const struct json *j, const char **ret_name, struct err *err)
{
	struct {
		const char *name;
		bool migration;
	} in = { 0 };
	static const struct json_field fields[] = {
		{ "name", JSON_F_STR, offsetof(__typeof__(in), name), true },
		{ "migration", JSON_F_BOOL, offsetof(__typeof__(in), migration), false },
		/* LXD's clients send these with every rename. */
		{ "allow_inconsistent", JSON_F_IGNORE, 0, false },
		{ "config", JSON_F_IGNORE, 0, false },
		{ "container_only", JSON_F_IGNORE, 0, false },
		{ "devices", JSON_F_IGNORE, 0, false },
		{ "instance_only", JSON_F_IGNORE, 0, false },
		{ "live", JSON_F_IGNORE, 0, false },
		{ "pool", JSON_F_IGNORE, 0, false },
		{ "profiles", JSON_F_IGNORE, 0, false },
		{ "project", JSON_F_IGNORE, 0, false },
		{ "target", JSON_F_IGNORE, 0, false },
	};
	int r;

	r = json_decode(j, fields, ARRAY_SIZE(fields), &in, err);
	if (r < 0)
		return r;
	if (in.migration)
		return err_set(err, -EOPNOTSUPP, "migration is not supported yet");
	*ret_name = in.name;
	return instance_check_name(in.name, err);
}

int post_instance(struct request *rq, struct reply *ret, struct err *err)
{
	struct operation_spec spec = { .description = "Renaming instance", .run = run_rename };
	const char *new_name = NULL;
	struct job *job;
	int r;

	r = decode_rename(rq->json, &new_name, err);
	if (r < 0)
		return r;
	job = xcalloc(1, sizeof(*job));
	job->new_name = xstrdup(new_name);
	return start_job(rq, job, "renaming", &spec, ret, err);
}
