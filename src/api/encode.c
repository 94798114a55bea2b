/* SPDX-License-Identifier: Apache-2.0 */
/* encode.c - the engine's objects as LXD spells them */
#include "api/encode.h"

#include <stdio.h>
#include <string.h>

#include "api/devices.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/config.h"

static void set_time(struct json *j, const char *key, uint64_t real_us)
{
	char buf[CLOCK_RFC3339_SIZE];

	json_set_str(j, key, clock_rfc3339(real_us, buf));
}

/* "key=value" as a member. */
static void set_pair(struct json *object, const char *pair)
{
	const char *eq = strchr(pair, '=');
	autofree char *key = NULL;

	if (!eq)
		return;
	key = xstrndup(pair, (size_t)(eq - pair));
	json_set_str(object, key, eq + 1);
}

const char *encode_architecture(const char *oci)
{
	static const struct {
		const char *oci, *lxd;
	} table[] = {
		{ "386", "i686" },	  { "amd64", "x86_64" },    { "arm", "armv7l" },  { "arm64", "aarch64" },
		{ "ppc64le", "ppc64le" }, { "riscv64", "riscv64" }, { "s390x", "s390x" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (str_eq(oci, table[i].oci))
			return table[i].lxd;
	return oci ? oci : "";
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int code;
} operation_statuses[] = {
	[OPERATION_RUNNING] = { "Running", 103 },     [OPERATION_CANCELLING] = { "Cancelling", 104 },
	[OPERATION_SUCCESS] = { "Success", 200 },     [OPERATION_FAILURE] = { "Failure", 400 },
	[OPERATION_CANCELLED] = { "Cancelled", 401 },
};

const char *encode_operation_status(enum operation_status status)
{
	return operation_statuses[status].name;
}

static struct json *encode_urls(const char *collection, char *const *names)
{
	struct json *j = json_new_array();

	for (; names && *names; names++) {
		autofree char *url = xasprintf("/1.0/%s/%s", collection, *names);

		json_add_str(j, url);
	}
	return j;
}

static struct json *encode_snapshot_url(const char *collection, const char *instance, const char *snapshot)
{
	struct json *j = json_new_array();
	autofree char *url = xasprintf("/1.0/%s/%s/snapshots/%s", collection, instance, snapshot);

	json_add_str(j, url);
	return j;
}

/* LXD's older client looks for "containers". */
static struct json *encode_resources(char *const *instances, const char *snapshot)
{
	struct json *j = json_new_object();

	if (!instances || !*instances)
		return j;
	json_set(j, "instances", encode_urls("instances", instances));
	json_set(j, "containers", encode_urls("containers", instances));
	if (!snapshot)
		return j;
	json_set(j, "instances_snapshots", encode_snapshot_url("instances", instances[0], snapshot));
	json_set(j, "containers_snapshots", encode_snapshot_url("containers", instances[0], snapshot));
	return j;
}

struct json *encode_operation(struct operation *op)
{
	AUTO(operation_info_done) struct operation_info info = { 0 };
	struct json *j = json_new_object();

	operation_get(op, &info);
	json_set_str(j, "id", info.uuid);
	json_set_str(j, "class", info.kind == OPERATION_WEBSOCKET ? "websocket" : "task");
	json_set_str(j, "description", info.description);
	set_time(j, "created_at", info.created_us);
	set_time(j, "updated_at", info.updated_us);
	json_set_str(j, "status", operation_statuses[info.status].name);
	json_set_int(j, "status_code", operation_statuses[info.status].code);
	json_set(j, "resources", encode_resources(info.instances, info.snapshot));
	json_set(j, "metadata", info.metadata ? json_copy(info.metadata) : json_new_null());
	json_set_bool(j, "may_cancel", info.may_cancel);
	json_set_str(j, "err", info.error);
	json_set_str(j, "location", "none");
	return j;
}

/* ---- instances --------------------------------------------------------------------------------------------------- */

static const int instance_codes[] = {
	[INSTANCE_STOPPED] = 102, [INSTANCE_STARTING] = 106, [INSTANCE_RUNNING] = 103,
	[INSTANCE_FROZEN] = 110,  [INSTANCE_STOPPING] = 107, [INSTANCE_ERROR] = 112,
};

bool encode_is_volatile(const char *pair)
{
	char key[128];
	const struct config_key *row;

	(void)snprintf(key, sizeof(key), "%.*s", (int)strcspn(pair, "="), pair);
	row = config_find(key);
	return row && row->is_volatile;
}

static struct json *encode_config(const struct instance_info *info, bool is_expanded)
{
	struct json *j = json_new_object();

	for (char **c = info->config; c && *c; c++)
		if (is_expanded || !encode_is_volatile(*c))
			set_pair(j, *c);
	if (!is_expanded)
		return j;
	json_set_str(j, "image.architecture", encode_architecture(info->architecture));
	json_set_str(j, "image.description", info->image_description ? info->image_description : "");
	json_set_str(j, "volatile.base_image", info->image ? info->image : "");
	json_set_str(j, "volatile.uuid", info->uuid);
	return j;
}

static struct json *encode_saved_state(const struct saved_state_info *s)
{
	struct json *j;

	if (!s->exists)
		return json_new_null();
	j = json_new_object();
	json_set_str(j, "uuid", s->uuid);
	set_time(j, "created_at", s->created_us);
	json_set_int(j, "bytes", (int64_t)s->bytes);
	json_set_int(j, "processes", s->processes);
	json_set_int(j, "frozen_ms", (int64_t)(s->frozen_us / US_PER_MS));
	json_set_int(j, "dump_ms", (int64_t)(s->dump_us / US_PER_MS));
	json_set_int(j, "copy_ms", (int64_t)(s->copy_us / US_PER_MS));
	json_set_int(j, "sync_ms", (int64_t)(s->sync_us / US_PER_MS));
	return j;
}

/* What LXD has no word for. */
static struct json *encode_own(const struct instance_info *info)
{
	struct json *j = json_new_object();

	json_set_str(j, "uuid", info->uuid);
	json_set_str(j, "image", info->image ? info->image : "");
	json_set_str(j, "image_description", info->image_description ? info->image_description : "");
	json_set_int(j, "pid", info->pid);
	json_set(j, "exit_code", info->has_exit_code ? json_new_int(info->exit_code) : json_new_null());
	set_time(j, "started_at", info->started_us);
	json_set_str(j, "last_error", info->last_error ? info->last_error : "");
	json_set_bool(j, "busy", info->is_busy);
	json_set(j, "state", encode_saved_state(&info->state));
	json_set(j, "previous", encode_saved_state(&info->previous));
	return j;
}

static void set_status(struct json *j, const struct instance_info *info)
{
	json_set_str(j, "status", instance_status_name(info->status));
	json_set_int(j, "status_code", instance_codes[info->status]);
}

struct json *encode_instance(const struct instance_info *info, bool with_state)
{
	struct json *j = json_new_object();

	json_set_str(j, "name", info->name);
	json_set_str(j, "description", info->description ? info->description : "");
	set_status(j, info);
	set_time(j, "created_at", info->created_us);
	set_time(j, "last_used_at", info->last_used_us);
	json_set_str(j, "location", "none");
	json_set_str(j, "type", "container");
	json_set_str(j, "project", "default");
	json_set_str(j, "architecture", encode_architecture(info->architecture));
	json_set_bool(j, "ephemeral", info->is_ephemeral);
	json_set_bool(j, "stateful", info->state.exists);
	json_set(j, "profiles", json_new_array());
	json_set(j, "config", encode_config(info, /* is_expanded= */ false));
	json_set(j, "devices", encode_devices(&info->devices));
	json_set(j, "expanded_config", encode_config(info, /* is_expanded= */ true));
	json_set(j, "expanded_devices", encode_devices(&info->devices));
	json_set(j, "stasis", encode_own(info));
	if (with_state) {
		json_set(j, "state", encode_instance_state(info));
		json_set(j, "snapshots", json_new_array());
		json_set(j, "backups", json_new_array());
	}
	return j;
}

static struct json *object_of(const char *key, int64_t n)
{
	struct json *j = json_new_object();

	json_set_int(j, key, n);
	return j;
}

struct json *encode_instance_state(const struct instance_info *info)
{
	struct json *j = json_new_object(), *disk = json_new_object();

	set_status(j, info);
	json_set_int(j, "pid", info->pid);
	json_set_int(j, "processes", info->processes > 0 ? info->processes : 0);
	json_set(j, "memory", object_of("usage", (int64_t)info->memory_bytes));
	json_set(j, "cpu", object_of("usage", (int64_t)info->cpu_ns));
	json_set(disk, "root", object_of("usage", (int64_t)info->disk_bytes));
	json_set(j, "disk", disk);
	json_set(j, "network", json_new_object());
	return j;
}

void encode_instance_etag(const struct instance_info *info, char out[DIGEST_HEX_SIZE])
{
	AUTO(json_free) struct json *j = encode_config(info, /* is_expanded= */ false);
	AUTO(json_free) struct json *devices = encode_devices(&info->devices);
	AUTO(digest_free) struct digest *d = digest_new();
	autofree char *text = json_print(j, JSON_COMPACT), *devices_text = json_print(devices, JSON_COMPACT);
	const char *description = info->description ? info->description : "";

	digest_add(d, text, strlen(text));
	digest_add(d, devices_text, strlen(devices_text));
	digest_add(d, description, strlen(description));
	digest_add(d, info->is_ephemeral ? "\0e" : "\0p", 2);
	digest_hex(d, out);
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

static struct json *encode_image_own(const struct image_info *info)
{
	struct json *j = json_new_object();

	json_set(j, "entrypoint", json_new_strv(info->entrypoint));
	json_set(j, "cmd", json_new_strv(info->cmd));
	json_set(j, "env", json_new_strv(info->env));
	json_set_str(j, "cwd", info->cwd);
	json_set_str(j, "user", info->user);
	json_set_str(j, "stop_signal", info->stop_signal);
	json_set_int(j, "instances", (int64_t)info->n_users);
	return j;
}

struct json *encode_image(const struct image_info *info)
{
	struct json *j = json_new_object(), *aliases = json_new_array(), *properties = json_new_object();

	for (char **a = info->aliases; a && *a; a++) {
		struct json *one = json_new_object();

		json_set_str(one, "name", *a);
		json_set_str(one, "description", "");
		json_add(aliases, one);
	}
	json_set_str(properties, "description", info->description ? info->description : "");
	json_set_str(j, "fingerprint", info->fingerprint);
	json_set(j, "aliases", aliases);
	json_set(j, "properties", properties);
	json_set_str(j, "architecture", encode_architecture(info->architecture));
	json_set_int(j, "size", (int64_t)info->bytes);
	json_set_str(j, "type", "container");
	json_set_str(j, "filename", "");
	json_set_bool(j, "public", false);
	json_set_bool(j, "cached", false);
	json_set_bool(j, "auto_update", false);
	set_time(j, "created_at", info->created_us);
	set_time(j, "uploaded_at", info->uploaded_us);
	set_time(j, "expires_at", 0);
	set_time(j, "last_used_at", 0);
	json_set(j, "profiles", json_new_array());
	json_set(j, "stasis", encode_image_own(info));
	return j;
}

struct json *encode_alias(const struct image_info *info, const char *alias)
{
	struct json *j = json_new_object();

	json_set_str(j, "name", alias);
	json_set_str(j, "description", "");
	json_set_str(j, "target", info->fingerprint);
	json_set_str(j, "type", "container");
	return j;
}
