/* SPDX-License-Identifier: Apache-2.0 */
/* storage.c - volumes as LXD has them: of one pool that is always there, and of the type "custom" */
#include <string.h>

#include "api/devices.h"
#include "api/encode.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/volume.h"

#define POOL_URL   "/1.0/storage-pools/" DEVICES_POOL
#define VOLUME_URL POOL_URL "/volumes/custom"

static int check_pool(const struct request *rq, struct err *err)
{
	if (str_eq(rq->args[0], DEVICES_POOL))
		return 0;
	return err_set(err, -ENOENT, "there is no storage pool '%s': only '" DEVICES_POOL "'", rq->args[0]);
}

static char *volume_url(const char *name)
{
	autofree char *part = uri_encode(name);

	return xasprintf(VOLUME_URL "/%s", part);
}

/* "web:/data" is used by the instance "web". */
static struct json *encode_users(char *const *users)
{
	struct json *j = json_new_array();

	for (; users && *users; users++) {
		autofree char *url = xasprintf("/1.0/instances/%.*s", (int)strcspn(*users, ":"), *users);

		json_add_str(j, url);
	}
	return j;
}

static struct json *encode_volume(const struct volume_info *v, bool live)
{
	struct json *j = json_new_object(), *own = json_new_object();
	char created[CLOCK_RFC3339_SIZE];

	json_set_str(j, "name", v->name);
	json_set_str(j, "type", "custom");
	json_set_str(j, "content_type", "filesystem");
	json_set_str(j, "description", "");
	json_set_str(j, "created_at", clock_rfc3339(v->created_us, created));
	json_set_str(j, "location", "none");
	json_set_str(j, "project", "default");
	json_set_str(j, "pool", DEVICES_POOL);
	json_set(j, "config", json_new_object());
	json_set(j, "used_by", encode_users(v->users));
	if (live)
		json_set_int(own, "usage", (int64_t)v->bytes);
	json_set(own, "attached", v->users ? json_new_strv(v->users) : json_new_array());
	json_set(j, "stasis", own);
	return j;
}

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

static int encode_pool(struct request *rq, struct json **ret, struct err *err)
{
	AUTO(volume_list_free) struct volume_info **list = NULL;
	struct json *j, *users;
	int r;

	r = volume_list(rq->engine, /* live= */ false, &list, err);
	if (r < 0)
		return r;
	users = json_new_array();
	for (size_t i = 0; list[i]; i++) {
		autofree char *url = volume_url(list[i]->name);

		json_add_str(users, url);
	}
	j = json_new_object();
	json_set_str(j, "name", DEVICES_POOL);
	json_set_str(j, "description", "");
	json_set_str(j, "driver", "dir");
	json_set_str(j, "status", "Created");
	json_set(j, "config", json_new_object());
	json_set(j, "locations", json_new_array());
	json_set(j, "used_by", users);
	*ret = j;
	return 0;
}

int get_pools(struct request *rq, struct reply *ret, struct err *err)
{
	struct json *j, *pool = NULL;
	int64_t recursion = 0;
	int r;

	r = request_query_int(rq, "recursion", 0, 2, &recursion, err);
	if (r == 0 && recursion > 0)
		r = encode_pool(rq, &pool, err);
	if (r < 0)
		return r;
	j = json_new_array();
	json_add(j, pool ? pool : json_new_str(POOL_URL));
	reply_sync(ret, j);
	return 0;
}

int get_pool(struct request *rq, struct reply *ret, struct err *err)
{
	struct json *pool = NULL;
	int r;

	r = check_pool(rq, err);
	if (r == 0)
		r = encode_pool(rq, &pool, err);
	if (r < 0)
		return r;
	reply_sync(ret, pool);
	return 0;
}

/* ---- volumes ----------------------------------------------------------------------------------------------------- */

/* recursion=2 measures each: a plain list stays cheap. */
int get_volumes(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(volume_list_free) struct volume_info **list = NULL;
	struct json *j;
	int64_t recursion = 0;
	int r;

	r = request_query_int(rq, "recursion", 0, 2, &recursion, err);
	if (r == 0)
		r = check_pool(rq, err);
	if (r < 0)
		return r;
	r = volume_list(rq->engine, /* live= */ recursion == 2, &list, err);
	if (r < 0)
		return r;
	j = json_new_array();
	for (size_t i = 0; list[i]; i++) {
		autofree char *url = volume_url(list[i]->name);

		json_add(j, recursion == 0 ? json_new_str(url) : encode_volume(list[i], recursion == 2));
	}
	reply_sync(ret, j);
	return 0;
}

/* What the body says; strings are borrowed from it. */
struct create {
	const char *name, *description, *type, *content_type;
	struct json *config, *source;
};

static int decode(const struct json *j, struct create *ret, struct err *err)
{
	static const struct json_field fields[] = {
		{ "config", JSON_F_JSON, offsetof(struct create, config), false },
		{ "content_type", JSON_F_STR, offsetof(struct create, content_type), false },
		{ "description", JSON_F_STR, offsetof(struct create, description), false },
		{ "name", JSON_F_STR, offsetof(struct create, name), true },
		{ "source", JSON_F_JSON, offsetof(struct create, source), false },
		{ "type", JSON_F_STR, offsetof(struct create, type), false },
		{ "restore", JSON_F_IGNORE, 0, false }, /* LXD's clients send it */
	};
	int r;

	r = json_decode(j, fields, ARRAY_SIZE(fields), ret, err);
	if (r < 0)
		return r;
	if (ret->type && *ret->type && !str_eq(ret->type, "custom"))
		return err_set(err, -EINVAL, "type must be 'custom', not '%s'", ret->type);
	if (ret->content_type && *ret->content_type && !str_eq(ret->content_type, "filesystem"))
		return err_set(err, -EOPNOTSUPP, "content_type '%s' is not supported: only 'filesystem'",
			       ret->content_type);
	if (ret->description && *ret->description)
		return err_set(err, -EOPNOTSUPP, "volumes have no description yet");
	if (json_len(ret->config) > 0)
		return err_set(err, -EOPNOTSUPP, "volumes have no configuration yet");
	for (struct json_iter it = json_iter(ret->source); json_next(&it);)
		if (json_type(it.value) == JSON_STRING && *json_str(it.value))
			return err_set(err, -EOPNOTSUPP, "volumes cannot be copied yet");
	return 0;
}

int post_volumes(struct request *rq, struct reply *ret, struct err *err)
{
	struct create in = { 0 };
	autofree char *url = NULL;
	int r;

	r = check_pool(rq, err);
	if (r == 0)
		r = decode(rq->json, &in, err);
	if (r == 0)
		r = volume_create(rq->engine, in.name, err);
	if (r < 0)
		return r;
	url = volume_url(in.name);
	reply_created(ret, url);
	return 0;
}

int get_volume(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(volume_info_free) struct volume_info *v = NULL;
	int r;

	r = check_pool(rq, err);
	if (r == 0)
		r = volume_find(rq->engine, rq->args[1], /* live= */ true, &v, err);
	if (r < 0)
		return r;
	reply_sync(ret, encode_volume(v, /* live= */ true));
	return 0;
}

int delete_volume(struct request *rq, struct reply *ret, struct err *err)
{
	int r;

	r = check_pool(rq, err);
	if (r == 0)
		r = volume_delete(rq->engine, rq->args[1], err);
	if (r < 0)
		return r;
	reply_sync(ret, NULL);
	return 0;
}
