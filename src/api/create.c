/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create.c - POST /1.0/instances
 *
 * The instance is made in the request itself, which takes milliseconds: the answer names it even when its name was made
 * up, and what is wrong is an error of the request. The operation starts it, where that is asked for.
 */
#include <string.h>

#include "api/checkpoints.h"
#include "api/decode.h"
#include "api/devices.h"
#include "api/handlers.h"
#include "base/json.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/instance.h"
#include "engine/lifecycle.h"
#include "engine/operation.h"

/* What the body says; strings are borrowed from it. */
struct create {
	const char *name, *description, *type;
	struct json *config, *devices, *profiles, *source, *command;
	bool ephemeral, start, stateless, ignore_volumes;
};

struct source {
	const char *type, *alias, *fingerprint, *server, *mode;
};

static int decode_source(const struct json *j, const char **ret_image, struct err *err)
{
	struct source in = { 0 };
	static const struct json_field fields[] = {
		{ "alias", JSON_F_STR, offsetof(struct source, alias), false },
		{ "fingerprint", JSON_F_STR, offsetof(struct source, fingerprint), false },
		{ "mode", JSON_F_STR, offsetof(struct source, mode), false },
		{ "server", JSON_F_STR, offsetof(struct source, server), false },
		{ "type", JSON_F_STR, offsetof(struct source, type), false },
		/* LXD's clients send the whole struct. */
		{ "allow_inconsistent", JSON_F_IGNORE, 0, false },
		{ "base-image", JSON_F_IGNORE, 0, false },
		{ "certificate", JSON_F_IGNORE, 0, false },
		{ "container_only", JSON_F_IGNORE, 0, false },
		{ "instance_only", JSON_F_IGNORE, 0, false },
		{ "live", JSON_F_IGNORE, 0, false },
		{ "operation", JSON_F_IGNORE, 0, false },
		{ "project", JSON_F_IGNORE, 0, false },
		{ "properties", JSON_F_IGNORE, 0, false },
		{ "protocol", JSON_F_IGNORE, 0, false },
		{ "refresh", JSON_F_IGNORE, 0, false },
		{ "secret", JSON_F_IGNORE, 0, false },
		{ "secrets", JSON_F_IGNORE, 0, false },
		{ "source", JSON_F_IGNORE, 0, false },
		{ "websockets", JSON_F_IGNORE, 0, false },
	};
	int r;

	if (!j || json_type(j) == JSON_NULL)
		return 0;
	if (json_type(j) != JSON_OBJECT)
		return err_set(err, -EINVAL, "source must be an object");
	r = json_decode(j, fields, ARRAY_SIZE(fields), &in, err);
	if (r < 0)
		return err_wrap(err, r, "source");
	if (in.type && *in.type && !str_eq(in.type, "image"))
		return err_set(err, -EOPNOTSUPP, "source.type '%s' is not supported yet: only 'image'", in.type);
	if (in.server && *in.server)
		return err_set(err, -EOPNOTSUPP, "images of other servers are not supported: pull it first");
	if (in.fingerprint && *in.fingerprint)
		*ret_image = in.fingerprint;
	else if (in.alias && *in.alias)
		*ret_image = in.alias;
	return 0;
}

static int decode(const struct json *j, struct create *ret, struct err *err)
{
	static const struct json_field fields[] = {
		{ "command", JSON_F_JSON, offsetof(struct create, command), false },
		{ "config", JSON_F_JSON, offsetof(struct create, config), false },
		{ "description", JSON_F_STR, offsetof(struct create, description), false },
		{ "devices", JSON_F_JSON, offsetof(struct create, devices), false },
		{ "ephemeral", JSON_F_BOOL, offsetof(struct create, ephemeral), false },
		{ "ignore_volumes", JSON_F_BOOL, offsetof(struct create, ignore_volumes), false },
		{ "name", JSON_F_STR, offsetof(struct create, name), false },
		{ "profiles", JSON_F_JSON, offsetof(struct create, profiles), false },
		{ "source", JSON_F_JSON, offsetof(struct create, source), false },
		{ "start", JSON_F_BOOL, offsetof(struct create, start), false },
		{ "stateless", JSON_F_BOOL, offsetof(struct create, stateless), false },
		{ "type", JSON_F_STR, offsetof(struct create, type), false },
		/* LXD's clients send these. */
		{ "architecture", JSON_F_IGNORE, 0, false },
		{ "disk_only", JSON_F_IGNORE, 0, false },
		{ "instance_type", JSON_F_IGNORE, 0, false },
		{ "restore", JSON_F_IGNORE, 0, false },
		{ "stateful", JSON_F_IGNORE, 0, false },
	};
	int r;

	r = json_decode(j, fields, ARRAY_SIZE(fields), ret, err);
	if (r < 0)
		return r;
	if (ret->type && *ret->type && !str_eq(ret->type, "container"))
		return err_set(err, -EINVAL, "type must be 'container', not '%s'", ret->type);
	r = decode_profiles(ret->profiles, err);
	if (r < 0)
		return r;
	return ret->name && *ret->name ? instance_check_name(ret->name, err) : 0;
}

static int create(struct request *rq, const struct create *in, struct instance **ret, struct err *err)
{
	AUTO(strv_free) char **config = NULL;
	AUTO(strv_free) char **command = NULL;
	AUTO(devices_done) struct devices devices = { 0 };
	struct instance_create spec = {
		.name = in->name,
		.description = in->description,
		.is_ephemeral = in->ephemeral,
		.devices = &devices,
	};
	int r;

	r = decode_source(in->source, &spec.image, err);
	if (r < 0)
		return r;
	r = decode_map(in->config, "config", &config, err);
	if (r < 0)
		return r;
	r = decode_strv(in->command, "command", &command, err);
	if (r < 0)
		return r;
	r = decode_devices(in->devices, &devices, err);
	if (r < 0)
		return r;
	spec.config = config;
	spec.command = strv_len(command) > 0 ? command : NULL;
	return instance_create(rq->engine, &spec, NULL, ret, err);
}

static int run_start(struct operation *op, void *arg, struct err *err)
{
	return lifecycle_start(arg, /* is_stateless= */ false, op, err);
}

static int run_nothing(struct operation *op, void *arg, struct err *err)
{
	return 0;
}

static void free_claim(void *arg)
{
	instance_release(arg);
}

/* {"source": {"type": "copy", "source": "web/snap0"}} */
static bool is_from(const struct json *body, const char *type)
{
	return str_eq(json_get_str(json_get(body, "source"), "type"), type);
}

/* Devices, profiles and image are those of what is copied: what LXD's clients send along is an echo of them. */
static int post_copy(struct request *rq, struct reply *ret, struct err *err)
{
	struct create in = { 0 };
	struct copy copy = { 0 };
	int r;

	r = decode(rq->json, &in, err);
	if (r < 0)
		return r;
	copy = (struct copy){
		.source = json_get_str(in.source, "source"),
		.name = in.name,
		.description = in.description,
		.config = in.config,
		.is_stateless = in.stateless,
		.is_ephemeral = in.ephemeral,
		.is_started = in.start,
		.ignore_volumes = in.ignore_volumes,
	};
	return copy_start(rq, &copy, ret, err);
}

int post_instances(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(strv_free) char **names = NULL;
	struct operation_spec spec = { .description = "Creating instance", .free_arg = free_claim };
	struct create in = { 0 };
	struct instance *instance;
	struct operation *op;
	int r;

	if (!rq->json)
		return import_start(rq, ret, err);
	if (is_from(rq->json, "copy"))
		return post_copy(rq, ret, err);
	if (is_from(rq->json, "checkpoint-image"))
		return import_image_start(rq, ret, err);
	r = decode(rq->json, &in, err);
	if (r >= 0 && (in.stateless || in.ignore_volumes))
		return err_set(err, -EINVAL, "stateless and ignore_volumes are for copies");
	if (r < 0)
		return r;
	r = create(rq, &in, &instance, err);
	if (r < 0)
		return r;
	names = strv_new(instance_name(instance), NULL);
	spec.instances = names;
	spec.may_cancel = in.start;
	spec.run = in.start ? run_start : run_nothing;
	spec.arg = instance;
	r = operation_start(rq->engine, &spec, &op, err);
	if (r < 0)
		return r;
	reply_async(ret, op);
	return 0;
}
