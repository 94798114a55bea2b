/* SPDX-License-Identifier: Apache-2.0 */
/* snapshots.c - LXD's view of an instance's checkpoints */
#include "api/checkpoints.h"
#include "api/handlers.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/operation.h"

int get_snapshots(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(checkpoint_list_free) struct checkpoint_info **list = NULL;
	int64_t recursion = 0;
	struct json *j;
	int r;

	r = request_query_int(rq, "recursion", 0, 2, &recursion, err);
	if (r >= 0)
		r = checkpoint_list(rq->engine, rq->args[0], &list, err);
	if (r < 0)
		return r;
	j = json_new_array();
	for (size_t i = 0; list[i]; i++) {
		autofree char *url = xasprintf("/1.0/%s/%s/snapshots/%s", rq->collection, rq->args[0], list[i]->name);

		json_add(j, recursion == 0 ? json_new_str(url) : encode_snapshot(list[i]));
	}
	reply_sync(ret, j);
	return 0;
}

int get_snapshot(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(checkpoint_info_free) struct checkpoint_info *info = NULL;
	int r;

	r = checkpoint_find(rq->engine, rq->args[0], rq->args[1], &info, err);
	if (r < 0)
		return r;
	reply_sync(ret, encode_snapshot(info));
	return 0;
}

int post_snapshots(struct request *rq, struct reply *ret, struct err *err)
{
	struct {
		const char *name, *description, *max_pause;
		struct json *expires_at;
		bool stateful;
	} in = { 0 };
	static const struct json_field fields[] = {
		{ "description", JSON_F_STR, offsetof(__typeof__(in), description), false },
		{ "expires_at", JSON_F_JSON, offsetof(__typeof__(in), expires_at), false },
		{ "max_pause", JSON_F_STR, offsetof(__typeof__(in), max_pause), false },
		{ "name", JSON_F_STR, offsetof(__typeof__(in), name), false },
		{ "stateful", JSON_F_BOOL, offsetof(__typeof__(in), stateful), false },
	};
	struct checkpoint_options o = { .tcp_established = -1, .file_locks = -1 };
	int r;

	r = json_decode(rq->json, fields, ARRAY_SIZE(fields), &in, err);
	if (r >= 0)
		r = decode_expiry(in.expires_at, "expires_at", &o.expires_us, err);
	if (r < 0)
		return r;
	if (in.max_pause && str_to_us(in.max_pause, &o.max_pause_us, err) < 0)
		return err_wrap(err, -EINVAL, "max_pause");
	o.name = in.name;
	o.description = in.description;
	o.is_stateless = !in.stateful;
	return take_start(rq, &o, ret, err);
}

/* ---- changes ----------------------------------------------------------------------------------------------------- */

static int run_nothing(struct operation *op, void *arg, struct err *err)
{
	return 0;
}

/* LXD's clients expect an operation even where the request itself has done all. */
static int reply_done_already(struct request *rq, const char *description, const char *snapshot, struct reply *ret,
			      struct err *err)
{
	AUTO(strv_free) char **names = strv_new(rq->args[0], NULL);
	struct operation_spec spec = {
		.description = description,
		.instances = names,
		.snapshot = snapshot,
		.run = run_nothing,
	};
	struct operation *op;
	int r;

	r = operation_start(rq->engine, &spec, &op, err);
	if (r < 0)
		return r;
	reply_async(ret, op);
	return 0;
}

/* LXD knows no more that could be changed. */
int put_snapshot(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(instance_release) struct instance *in = NULL;
	struct json *expires_at = NULL;
	static const struct json_field fields[] = {
		{ "expires_at", JSON_F_JSON, 0, false },
	};
	uint64_t us = 0;
	int r;

	r = json_decode(rq->json, fields, ARRAY_SIZE(fields), &expires_at, err);
	if (r >= 0 && !json_has(rq->json, "expires_at"))
		return err_set(err, -EINVAL, "expires_at is missing: a time, or null for never");
	if (r >= 0)
		r = decode_expiry(expires_at, "expires_at", &us, err);
	if (r >= 0)
		r = instance_claim(rq->engine, rq->args[0], "changing a checkpoint", &in, err);
	if (r >= 0)
		r = checkpoint_set_expiry(rq->engine, rq->args[0], rq->args[1], us, err);
	if (r < 0)
		return r;
	return reply_done_already(rq, "Updating snapshot", rq->args[1], ret, err);
}

int post_snapshot(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(instance_release) struct instance *instance = NULL;
	struct {
		const char *name;
		bool migration;
	} in = { 0 };
	static const struct json_field fields[] = {
		{ "migration", JSON_F_BOOL, offsetof(__typeof__(in), migration), false },
		{ "name", JSON_F_STR, offsetof(__typeof__(in), name), true },
		/* LXD's clients send these with every rename. */
		{ "live", JSON_F_IGNORE, 0, false },
		{ "target", JSON_F_IGNORE, 0, false },
	};
	int r;

	r = json_decode(rq->json, fields, ARRAY_SIZE(fields), &in, err);
	if (r < 0)
		return r;
	if (in.migration)
		return err_set(err, -EOPNOTSUPP, "migration is not supported yet");
	r = checkpoint_check_name(in.name, err);
	if (r >= 0)
		r = instance_claim(rq->engine, rq->args[0], "renaming a checkpoint", &instance, err);
	if (r >= 0)
		r = checkpoint_rename(rq->engine, rq->args[0], rq->args[1], in.name, err);
	if (r < 0)
		return r;
	return reply_done_already(rq, "Renaming snapshot", in.name, ret, err);
}

int delete_snapshot(struct request *rq, struct reply *ret, struct err *err)
{
	return checkpoint_delete_start(rq, ret, err);
}
