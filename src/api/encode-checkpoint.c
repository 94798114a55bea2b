/* SPDX-License-Identifier: Apache-2.0 */
/* encode-checkpoint.c - checkpoints our way and as LXD's snapshots */
#include <string.h>

#include "api/checkpoints.h"
#include "api/encode.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

static void set_time(struct json *j, const char *key, uint64_t real_us)
{
	char buf[CLOCK_RFC3339_SIZE];

	json_set_str(j, key, clock_rfc3339(real_us, buf));
}

static const char *text_of(const char *s)
{
	return s ? s : "";
}

static int64_t size_of(const struct checkpoint_info *c)
{
	return (int64_t)(c->memory_bytes + c->rootfs_bytes + c->volume_bytes);
}

static struct json *encode_phases(const struct checkpoint_phases *p)
{
	const struct {
		const char *name;
		uint64_t us;
	} rows[] = {
		{ "prepare", p->prepare }, { "freeze", p->freeze }, { "dump", p->dump },
		{ "capture", p->capture }, { "paused", p->paused }, { "copy", p->copy },
		{ "digest", p->digest },   { "sync", p->sync },	    { "total", p->total },
	};
	struct json *j = json_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		json_set_int(j, rows[i].name, (int64_t)rows[i].us);
	return j;
}

struct json *encode_checkpoint(const struct checkpoint_info *c, const char *instance, bool with_manifest)
{
	struct json *j = json_new_object();

	json_set_str(j, "name", text_of(c->name));
	json_set_str(j, "uuid", c->uuid);
	json_set_str(j, "instance", instance);
	json_set_str(j, "instance_uuid", text_of(c->instance_uuid));
	json_set_str(j, "image", text_of(c->image));
	json_set_str(j, "description", text_of(c->description));
	set_time(j, "created_at", c->created_us);
	set_time(j, "expires_at", c->expires_us);
	json_set_bool(j, "stateful", c->has_memory);
	json_set_bool(j, "paused", c->was_paused);
	json_set_bool(j, "reflink", c->is_captured_by_reflink);
	json_set_int(j, "size", size_of(c));
	json_set_int(j, "memory_bytes", (int64_t)c->memory_bytes);
	json_set_int(j, "rootfs_bytes", (int64_t)c->rootfs_bytes);
	json_set_int(j, "volume_bytes", (int64_t)c->volume_bytes);
	json_set(j, "volumes", json_new_strv(c->volumes));
	json_set_int(j, "processes", c->processes);
	json_set(j, "phases", encode_phases(&c->phases));
	if (with_manifest)
		json_set(j, "manifest", c->manifest ? json_copy(c->manifest) : json_new_null());
	return j;
}

/* ["key=value"] as an object; what the engine keeps for itself only where it is expanded. */
static struct json *encode_config(const struct json *pairs, bool is_expanded)
{
	struct json *j = json_new_object();

	for (size_t i = 0; i < json_len(pairs); i++) {
		const char *pair = json_str(json_item(pairs, i)), *eq = pair ? strchr(pair, '=') : NULL;
		autofree char *key = eq ? xstrndup(pair, (size_t)(eq - pair)) : NULL;

		if (eq && (is_expanded || !encode_is_volatile(pair)))
			json_set_str(j, key, eq + 1);
	}
	return j;
}

/* Members that mean nothing here are there because LXD's clients look for them. */
struct json *encode_snapshot(const struct checkpoint_info *c)
{
	const struct json *config = json_at(c->manifest, "/instance/config");
	struct json *j = json_new_object();

	json_set_str(j, "name", text_of(c->name));
	json_set_str(j, "description", text_of(c->description));
	set_time(j, "created_at", c->created_us);
	set_time(j, "expires_at", c->expires_us);
	set_time(j, "last_used_at", 0);
	json_set_bool(j, "stateful", c->has_memory);
	json_set_int(j, "size", size_of(c));
	json_set_str(j, "architecture", encode_architecture(json_str(json_at(c->manifest, "/instance/architecture"))));
	json_set_bool(j, "ephemeral", json_bool(json_at(c->manifest, "/instance/ephemeral"), false));
	json_set(j, "profiles", json_new_array());
	json_set(j, "config", encode_config(config, /* is_expanded= */ false));
	json_set(j, "devices", json_new_object());
	json_set(j, "expanded_config", encode_config(config, /* is_expanded= */ true));
	json_set(j, "expanded_devices", json_new_object());
	json_set_str(j, "project", "default");
	return j;
}

struct json *encode_snapshots(struct checkpoint_info *const *all, const char *instance_uuid)
{
	struct json *j = json_new_array();

	for (; all && *all; all++)
		if (str_eq((*all)->instance_uuid, instance_uuid))
			json_add(j, encode_snapshot(*all));
	return j;
}
