/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes.c - the table of everything that can be asked
 *
 * Sorted by bytes, pattern first: '{' comes behind all letters, so that a literal segment is found before a name.
 * /1.0/containers is /1.0/instances under the name that LXD gave it first.
 */
#include "api/routes.h"

#include <string.h>

#include "api/handlers.h"
#include "base/strv.h"

const struct route routes[] = {
	{ "/", "GET", BODY_NONE, get_root },
	{ "/1.0", "GET", BODY_NONE, get_server },
	{ "/1.0/boot", "PUT", BODY_NONE, put_boot },
	{ "/1.0/checkpoints", "GET", BODY_NONE, get_all_checkpoints },
	{ "/1.0/config-keys", "GET", BODY_NONE, get_config_keys },
	{ "/1.0/images", "GET", BODY_NONE, get_images },
	{ "/1.0/images", "POST", BODY_JSON_OR_STREAM, post_images },
	{ "/1.0/images/aliases", "GET", BODY_NONE, get_aliases },
	{ "/1.0/images/aliases", "POST", BODY_JSON, post_aliases },
	{ "/1.0/images/aliases/{alias}", "DELETE", BODY_NONE, delete_alias },
	{ "/1.0/images/aliases/{alias}", "GET", BODY_NONE, get_alias },
	{ "/1.0/images/{image}", "DELETE", BODY_NONE, delete_image },
	{ "/1.0/images/{image}", "GET", BODY_NONE, get_image },
	{ "/1.0/instances", "GET", BODY_NONE, get_instances },
	{ "/1.0/instances", "POST", BODY_JSON_OR_OCTETS, post_instances },
	{ "/1.0/instances", "PUT", BODY_JSON, put_instances },
	{ "/1.0/instances/{name}", "DELETE", BODY_NONE, delete_instance },
	{ "/1.0/instances/{name}", "GET", BODY_NONE, get_instance },
	{ "/1.0/instances/{name}", "PATCH", BODY_JSON, patch_instance },
	{ "/1.0/instances/{name}", "POST", BODY_JSON, post_instance },
	{ "/1.0/instances/{name}", "PUT", BODY_JSON, put_instance },
	{ "/1.0/instances/{name}/check", "GET", BODY_NONE, get_check },
	{ "/1.0/instances/{name}/checkpoints", "GET", BODY_NONE, get_checkpoints },
	{ "/1.0/instances/{name}/checkpoints", "POST", BODY_JSON, post_checkpoints },
	{ "/1.0/instances/{name}/checkpoints/{checkpoint}", "DELETE", BODY_NONE, delete_checkpoint },
	{ "/1.0/instances/{name}/checkpoints/{checkpoint}", "GET", BODY_NONE, get_checkpoint },
	{ "/1.0/instances/{name}/checkpoints/{checkpoint}/export", "GET", BODY_NONE, get_export },
	{ "/1.0/instances/{name}/checkpoints/{checkpoint}/image", "POST", BODY_JSON, post_checkpoint_image },
	{ "/1.0/instances/{name}/console", "GET", BODY_NONE, get_console },
	{ "/1.0/instances/{name}/console", "POST", BODY_JSON, post_console },
	{ "/1.0/instances/{name}/exec", "POST", BODY_JSON, post_exec },
	{ "/1.0/instances/{name}/logs", "GET", BODY_NONE, get_logs },
	{ "/1.0/instances/{name}/logs/{file}", "GET", BODY_NONE, get_log },
	{ "/1.0/instances/{name}/snapshots", "GET", BODY_NONE, get_snapshots },
	{ "/1.0/instances/{name}/snapshots", "POST", BODY_JSON, post_snapshots },
	{ "/1.0/instances/{name}/snapshots/{snapshot}", "DELETE", BODY_NONE, delete_snapshot },
	{ "/1.0/instances/{name}/snapshots/{snapshot}", "GET", BODY_NONE, get_snapshot },
	{ "/1.0/instances/{name}/snapshots/{snapshot}", "POST", BODY_JSON, post_snapshot },
	{ "/1.0/instances/{name}/snapshots/{snapshot}", "PUT", BODY_JSON, put_snapshot },
	{ "/1.0/instances/{name}/state", "GET", BODY_NONE, get_state },
	{ "/1.0/instances/{name}/state", "PUT", BODY_JSON, put_state },
	{ "/1.0/operations", "GET", BODY_NONE, get_operations },
	{ "/1.0/operations/{id}", "DELETE", BODY_NONE, delete_operation },
	{ "/1.0/operations/{id}", "GET", BODY_NONE, get_operation },
	{ "/1.0/operations/{id}/wait", "GET", BODY_NONE, get_operation_wait },
	{ "/1.0/operations/{id}/websocket", "GET", BODY_NONE, get_operation_websocket },
	{ "/1.0/shutdown", "PUT", BODY_NONE, put_shutdown },
	{ "/1.0/storage-pools", "GET", BODY_NONE, get_pools },
	{ "/1.0/storage-pools/{pool}", "GET", BODY_NONE, get_pool },
	{ "/1.0/storage-pools/{pool}/volumes", "GET", BODY_NONE, get_volumes },
	{ "/1.0/storage-pools/{pool}/volumes/custom", "GET", BODY_NONE, get_volumes },
	{ "/1.0/storage-pools/{pool}/volumes/custom", "POST", BODY_JSON, post_volumes },
	{ "/1.0/storage-pools/{pool}/volumes/custom/{volume}", "DELETE", BODY_NONE, delete_volume },
	{ "/1.0/storage-pools/{pool}/volumes/custom/{volume}", "GET", BODY_NONE, get_volume },
	{ 0 },
};

static bool is_containers(const struct request *rq)
{
	char **s = rq->uri.segments;

	return s && s[0] && s[1] && strcmp(s[0], "1.0") == 0 && strcmp(s[1], "containers") == 0;
}

/* Walks pattern and path side by side; @args may be NULL. */
static bool matches(const char *pattern, const struct request *rq, const char **args)
{
	char **segments = rq->uri.segments;
	size_t n_args = 0;
	size_t i = 0;

	while (*pattern == '/' && pattern[1]) {
		size_t len = strcspn(++pattern, "/");
		const char *have = segments ? segments[i] : NULL;

		if (!have)
			return false;
		if (i == 1 && is_containers(rq))
			have = "instances";
		if (*pattern == '{') {
			if (!*have || n_args == REQUEST_MAX_ARGS)
				return false;
			if (args)
				args[n_args] = have;
			n_args++;
		} else if (strlen(have) != len || memcmp(have, pattern, len) != 0) {
			return false;
		}
		pattern += len;
		i++;
	}
	return !segments || !segments[i];
}

int route_find(struct request *rq, struct err *err)
{
	bool is_known = false;

	for (const struct route *r = routes; r->pattern; r++) {
		if (!matches(r->pattern, rq, NULL))
			continue;
		/* The first pattern that fits is the path's; a later one would take a literal for a name. */
		if (is_known && strcmp(r->pattern, r[-1].pattern) != 0)
			break;
		is_known = true;
		if (strcmp(r->method, rq->method) != 0)
			continue;
		(void)matches(r->pattern, rq, rq->args);
		rq->route = r;
		rq->collection = is_containers(rq) ? "containers" : "instances";
		return 0;
	}
	if (is_known)
		return err_set(err, -ENOTSUP, "%s is not allowed here", rq->method);
	return err_set(err, -ENOENT, "no such path");
}

char *route_allowed(const struct request *rq)
{
	AUTO(strv_free) char **methods = NULL;
	const char *pattern = NULL;

	for (const struct route *r = routes; r->pattern; r++) {
		if (!matches(r->pattern, rq, NULL) || (pattern && strcmp(pattern, r->pattern) != 0))
			continue;
		pattern = r->pattern;
		strv_add(&methods, r->method);
	}
	return strv_join(methods, ", ");
}
