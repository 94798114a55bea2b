/* SPDX-License-Identifier: Apache-2.0 */
/* aliases.c - names for images */
#include <string.h>

#include "api/encode.h"
#include "api/handlers.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/image.h"

int get_aliases(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(image_list_free) struct image_info **list = NULL;
	struct json *j;
	int64_t recursion = 0;
	int r;

	r = request_query_int(rq, "recursion", 0, 2, &recursion, err);
	if (r < 0)
		return r;
	r = image_list(rq->engine, &list, err);
	if (r < 0)
		return r;
	j = json_new_array();
	for (size_t i = 0; list[i]; i++) {
		for (char **a = list[i]->aliases; a && *a; a++) {
			autofree char *name = uri_encode(*a);
			autofree char *url = xasprintf("/1.0/images/aliases/%s", name);

			json_add(j, recursion == 0 ? json_new_str(url) : encode_alias(list[i], *a));
		}
	}
	reply_sync(ret, j);
	return 0;
}

/* Not image_find(): that also takes fingerprints, and makes the built-in image when it is asked for it. */
int get_alias(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(image_list_free) struct image_info **list = NULL;
	const char *alias = rq->args[0];
	int r;

	r = image_list(rq->engine, &list, err);
	if (r < 0)
		return r;
	for (size_t i = 0; list[i]; i++) {
		if (!strv_has(list[i]->aliases, alias))
			continue;
		reply_sync(ret, encode_alias(list[i], alias));
		return 0;
	}
	return err_set(err, -ENOENT, "there is no image alias '%s'", alias);
}

int post_aliases(struct request *rq, struct reply *ret, struct err *err)
{
	struct {
		const char *name, *target;
	} in = { 0 };
	static const struct json_field fields[] = {
		{ "description", JSON_F_IGNORE, 0, false },
		{ "name", JSON_F_STR, offsetof(__typeof__(in), name), true },
		{ "target", JSON_F_STR, offsetof(__typeof__(in), target), true },
		{ "type", JSON_F_IGNORE, 0, false },
	};
	autofree char *name = NULL;
	autofree char *url = NULL;
	int r;

	r = json_decode(rq->json, fields, ARRAY_SIZE(fields), &in, err);
	if (r < 0)
		return r;
	if (!*in.name)
		return err_set(err, -EINVAL, "an alias must have a name");
	r = image_alias_add(rq->engine, in.name, in.target, err);
	if (r < 0)
		return r;
	name = uri_encode(in.name);
	url = xasprintf("/1.0/images/aliases/%s", name);
	reply_created(ret, url);
	return 0;
}

int delete_alias(struct request *rq, struct reply *ret, struct err *err)
{
	int r;

	r = image_alias_delete(rq->engine, rq->args[0], err);
	if (r < 0)
		return r;
	reply_sync(ret, NULL);
	return 0;
}
