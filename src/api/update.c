/* SPDX-License-Identifier: Apache-2.0 */
/*
 * update.c - PUT and PATCH of an instance
 *
 * The instance is claimed before its ETag is compared, so that nobody changes it in between. What is wrong with the
 * configuration is an error of the request.
 */
#include <string.h>

#include "api/checkpoints.h"
#include "api/decode.h"
#include "api/devices.h"
#include "api/encode.h"
#include "api/handlers.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/config.h"
#include "engine/instance.h"
#include "engine/operation.h"
#include "engine/volume.h"

/* What the body says; strings are borrowed from it. */
struct update {
	const char *description, *restore;
	struct json *config, *devices, *profiles, *stateful;
	bool ephemeral;
};

static int decode(const struct json *j, struct update *ret, struct err *err)
{
	static const struct json_field fields[] = {
		{ "config", JSON_F_JSON, offsetof(struct update, config), false },
		{ "description", JSON_F_STR, offsetof(struct update, description), false },
		{ "devices", JSON_F_JSON, offsetof(struct update, devices), false },
		{ "ephemeral", JSON_F_BOOL, offsetof(struct update, ephemeral), false },
		{ "profiles", JSON_F_JSON, offsetof(struct update, profiles), false },
		{ "restore", JSON_F_STR, offsetof(struct update, restore), false },
		{ "stateful", JSON_F_JSON, offsetof(struct update, stateful), false },
		/* LXD's clients send back what they were given. */
		{ "architecture", JSON_F_IGNORE, 0, false },
		{ "disk_only", JSON_F_IGNORE, 0, false },
	};
	int r;

	r = json_decode(j, fields, ARRAY_SIZE(fields), ret, err);
	if (r < 0)
		return r;
	/* With it LXD's clients send all other members empty, and mean nothing by them. */
	if (ret->restore && *ret->restore)
		return 0;
	return decode_profiles(ret->profiles, err);
}

/* "image.description" and the like are shown in expanded_config, and an echo of them is no request. */
static bool is_derived(const char *pair)
{
	return encode_is_volatile(pair) || str_after(pair, "volatile.") || str_after(pair, "image.");
}

static int check_config(char *const *config, struct err *err)
{
	for (; config && *config; config++) {
		const char *eq = strchr(*config, '=');
		autofree char *key = xstrndup(*config, (size_t)(eq - *config));
		int r = config_check(key, eq + 1, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* PUT: all of the configuration, without what only the engine keeps. */
static int replaced_config(const struct json *j, char ***ret, struct err *err)
{
	AUTO(strv_free) char **given = NULL;
	AUTO(strv_free) char **kept = xcalloc(1, sizeof(*kept));
	int r;

	r = decode_map(j, "config", &given, err);
	if (r < 0)
		return r;
	for (char **c = given; c && *c; c++)
		if (!is_derived(*c))
			strv_add(&kept, *c);
	r = check_config(kept, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(kept);
	return 0;
}

/* json_get() does not tell a null from nothing. */
static bool has_member(const struct json *j, const char *key)
{
	for (struct json_iter it = json_iter(j); json_next(&it);)
		if (strcmp(it.key, key) == 0)
			return true;
	return false;
}

/* PATCH: what is there with some keys set, and some (null) removed. */
static int patched_config(char *const *now, const struct json *j, char ***ret, struct err *err)
{
	AUTO(strv_free) char **merged = xcalloc(1, sizeof(*merged));

	if (j && json_type(j) != JSON_OBJECT && json_type(j) != JSON_NULL)
		return err_set(err, -EINVAL, "config must be an object of strings and nulls");
	for (; now && *now; now++) {
		autofree char *key = xstrndup(*now, strcspn(*now, "="));

		if (!is_derived(*now) && !has_member(j, key))
			strv_add(&merged, *now);
	}
	for (struct json_iter it = json_iter(j); json_next(&it);) {
		const char *value = json_str(it.value);
		int r;

		if (json_type(it.value) == JSON_NULL)
			continue;
		if (!value)
			return err_set(err, -EINVAL, "config.%s must be a string, or null to remove it", it.key);
		r = config_check(it.key, value, err);
		if (r < 0)
			return r;
		strv_addf(&merged, "%s=%s", it.key, value);
	}
	strv_sort(merged);
	*ret = TAKE_PTR(merged);
	return 0;
}

/* Claims, and compares If-Match with what is there now. */
static int claim(struct request *rq, struct instance **ret, struct instance_info **ret_info, struct err *err)
{
	AUTO(instance_release) struct instance *in = NULL;
	AUTO(instance_info_free) struct instance_info *info = NULL;
	char etag[DIGEST_HEX_SIZE];
	int r;

	r = instance_claim(rq->engine, rq->args[0], "changing its configuration", &in, err);
	if (r < 0)
		return r;
	r = instance_info(rq->engine, rq->args[0], /* live= */ false, &info, err);
	if (r < 0)
		return r;
	encode_instance_etag(info, etag);
	r = request_match(rq, etag, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(in);
	*ret_info = TAKE_PTR(info);
	return 0;
}

/* ---- PATCH ------------------------------------------------------------------------------------------------------- */

int patch_instance(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(instance_release) struct instance *in = NULL;
	AUTO(instance_info_free) struct instance_info *info = NULL;
	AUTO(strv_free) char **config = NULL;
	AUTO(devices_done) struct devices devices = { 0 };
	struct update up = { 0 };
	int r;

	r = claim(rq, &in, &info, err);
	if (r < 0)
		return r;
	up.ephemeral = info->is_ephemeral;
	up.description = info->description;
	r = decode(rq->json, &up, err);
	if (r < 0)
		return r;
	if (up.restore && *up.restore)
		return err_set(err, -EINVAL, "restore is for PUT");
	r = patched_config(info->config, up.config, &config, err);
	if (r == 0)
		r = decode_devices_patch(up.devices, &info->devices, &devices, err);
	if (r == 0)
		r = volume_set_devices(in, &devices, err);
	if (r < 0)
		return r;
	r = instance_update(in, config, up.description, up.ephemeral, err);
	if (r < 0)
		return r;
	reply_sync(ret, NULL);
	return 0;
}

/* ---- PUT --------------------------------------------------------------------------------------------------------- */

struct job {
	struct instance *in; /* claimed */
	char **config;
	char *description;
	bool is_ephemeral;
};

static void free_job(void *arg)
{
	struct job *job = arg;

	if (!job)
		return;
	instance_release(job->in);
	strv_free(job->config);
	free(job->description);
	free(job);
}
AUTO_DEFINE(struct job *, free_job)

static int run_job(struct operation *op, void *arg, struct err *err)
{
	struct job *job = arg;

	return instance_update(job->in, job->config, job->description, job->is_ephemeral, err);
}

int put_instance(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(free_job) struct job *job = xcalloc(1, sizeof(*job));
	AUTO(instance_info_free) struct instance_info *info = NULL;
	AUTO(strv_free) char **names = strv_new(rq->args[0], NULL);
	AUTO(devices_done) struct devices devices = { 0 };
	struct operation_spec spec = { .description = "Updating instance", .run = run_job, .free_arg = free_job };
	struct update up = { 0 };
	struct operation *op;
	int r;

	r = decode(rq->json, &up, err);
	if (r < 0)
		return r;
	if (up.restore && *up.restore)
		return revert_start(rq, up.restore, up.stateful, ret, err);
	r = replaced_config(up.config, &job->config, err);
	if (r == 0)
		r = decode_devices(up.devices, &devices, err);
	if (r == 0)
		r = claim(rq, &job->in, &info, err);
	if (r == 0)
		r = volume_set_devices(job->in, &devices, err);
	if (r < 0)
		return r;
	job->description = xstrdup(up.description ? up.description : "");
	job->is_ephemeral = up.ephemeral;
	spec.instances = names;
	spec.arg = TAKE_PTR(job);
	r = operation_start(rq->engine, &spec, &op, err);
	if (r < 0)
		return r;
	reply_async(ret, op);
	return 0;
}
