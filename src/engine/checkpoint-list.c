/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint-list.c - the checkpoints that exist are the folders that have a manifest: there is no row that could say
 * otherwise */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/checkpoint-folder.h"
#include "engine/checkpoint.h"
#include "engine/manifest.h"
#include "engine/state.h"
#include "engine/watch.h"

#define MIN_PREFIX 6

char *checkpoint_path(const struct engine *e, const char *uuid, const char *name)
{
	return xasprintf("%s/checkpoints/%s%s%s", e->settings.state_dir, uuid, *name ? "/" : "", name);
}

char *checkpoint_new_path(const struct engine *e, const char *uuid)
{
	return xasprintf("%s/checkpoints/%s.new", e->settings.state_dir, uuid);
}

int checkpoint_commit(struct engine *e, const char *uuid, struct err *err)
{
	autofree char *from = checkpoint_new_path(e, uuid), *to = checkpoint_path(e, uuid, "");
	autofree char *parent = path_join(e->settings.state_dir, "checkpoints");

	if (rename(from, to) < 0)
		return err_sys(err, "cannot rename '%s'", from);
	watch_poke(e); /* it may be the next to expire */
	return file_sync_dir(parent, err);
}

int checkpoint_check_name(const char *name, struct err *err)
{
	size_t n = strlen(name);

	if (n == 0 || n > 63 || name[0] == '.' || name[0] == '-')
		return err_set(err, -EINVAL,
			       "'%.80s' is no name for a checkpoint: 1 to 63 characters, not beginning with '.' or '-'",
			       name);
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
			return err_set(err, -EINVAL,
				       "'%.80s' is no name for a checkpoint: only letters, digits, '.', '_' and '-'",
				       name);
	return 0;
}

static uint64_t phase(const struct json *m, const char *name)
{
	return (uint64_t)json_get_int(json_get(m, "phases"), name, 0);
}

static void read_time(const struct json *m, const char *key, uint64_t *ret)
{
	const char *text = json_get_str(m, key);

	if (!text || clock_parse_rfc3339(text, ret) < 0)
		*ret = 0;
}

static void read_trees(const struct json *m, struct checkpoint_info *c)
{
	c->rootfs_bytes = (uint64_t)json_int(json_at(m, "/rootfs/bytes"), 0);
	c->is_captured_by_reflink = json_int(json_at(m, "/rootfs/cloned_bytes"), 0) > 0;
	for (struct json_iter it = json_iter(json_get(m, "volumes")); json_next(&it);) {
		strv_add(&c->volumes, it.key);
		c->volume_bytes += (uint64_t)json_get_int(it.value, "bytes", 0);
	}
}

static struct checkpoint_info *read_info(struct json *m)
{
	struct checkpoint_info *c = xcalloc(1, sizeof(*c));

	(void)snprintf(c->uuid, sizeof(c->uuid), "%s", json_get_str(m, "uuid") ? json_get_str(m, "uuid") : "");
	c->name = xstrdup_null(json_get_str(m, "name"));
	c->description = xstrdup_null(json_get_str(m, "description"));
	c->instance = xstrdup_null(json_str(json_at(m, "/instance/name")));
	c->instance_uuid = xstrdup_null(json_str(json_at(m, "/instance/uuid")));
	c->image = xstrdup_null(json_str(json_at(m, "/instance/image")));
	c->has_memory = json_get_bool(m, "has_memory", false);
	c->was_paused = json_get_bool(m, "was_paused", false);
	c->memory_bytes = (uint64_t)json_get_int(m, "bytes", 0);
	c->processes = json_get_int(m, "processes", 0);
	read_time(m, "created_at", &c->created_us);
	read_time(m, "expires_at", &c->expires_us);
	read_trees(m, c);
	c->phases = (struct checkpoint_phases){
		.prepare = phase(m, "prepare_us"),
		.freeze = phase(m, "freeze_us"),
		.dump = phase(m, "dump_us"),
		.capture = phase(m, "capture_us"),
		.paused = phase(m, "paused_us"),
		.copy = phase(m, "copy_us"),
		.digest = phase(m, "digest_us"),
		.sync = phase(m, "sync_us"),
		.total = phase(m, "total_us"),
	};
	c->manifest = m;
	return c;
}

void checkpoint_info_free(struct checkpoint_info *c)
{
	if (!c)
		return;
	free(c->name);
	free(c->description);
	free(c->instance);
	free(c->instance_uuid);
	free(c->image);
	strv_free(c->volumes);
	json_free(c->manifest);
	free(c);
}

void checkpoint_list_free(struct checkpoint_info **list)
{
	for (size_t i = 0; list && list[i]; i++)
		checkpoint_info_free(list[i]);
	free(list);
}

static int by_time(const void *a, const void *b)
{
	const struct checkpoint_info *x = *(struct checkpoint_info *const *)a, *y = *(struct checkpoint_info *const *)b;

	return x->created_us < y->created_us ? -1 : x->created_us > y->created_us;
}

/* A damaged one is passed over: it cannot be used, and its folder stays to be looked at. */
static struct checkpoint_info **list_all(struct engine *e, const char *instance_uuid)
{
	autofree char *dir = path_join(e->settings.state_dir, "checkpoints");
	struct checkpoint_info **list = xcalloc(1, sizeof(struct checkpoint_info *));
	DIR *d = opendir(dir);
	struct dirent *entry;
	size_t n = 0;

	while (d && (entry = readdir(d))) {
		autofree char *folder = path_join(dir, entry->d_name);
		struct json *m;

		if (!uuid_is_valid(entry->d_name) || manifest_read(folder, &m, NULL) < 0)
			continue;
		if (instance_uuid && !str_eq(json_str(json_at(m, "/instance/uuid")), instance_uuid)) {
			json_free(m);
			continue;
		}
		list = xreallocarray(list, n + 2, sizeof(struct checkpoint_info *));
		list[n++] = read_info(m);
		list[n] = NULL;
	}
	if (d)
		(void)closedir(d);
	qsort(list, n, sizeof(list[0]), by_time);
	return list;
}

int checkpoint_list(struct engine *e, const char *instance, struct checkpoint_info ***ret, struct err *err)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;
	int r = instance ? instance_info(e, instance, /* live= */ false, &info, err) : 0;

	if (r < 0)
		return r;
	*ret = list_all(e, info ? info->uuid : NULL);
	return 0;
}

static bool is_called(const struct checkpoint_info *c, const char *which)
{
	return str_eq(c->name, which) || str_eq(c->uuid, which) ||
	       (strlen(which) >= MIN_PREFIX && str_after(c->uuid, which));
}

int checkpoint_find(struct engine *e, const char *instance, const char *which, struct checkpoint_info **ret,
		    struct err *err)
{
	AUTO(checkpoint_list_free) struct checkpoint_info **list = NULL;
	size_t n = 0, at = 0;
	int r = checkpoint_list(e, instance, &list, err);

	if (r < 0)
		return r;
	for (size_t i = 0; list[i]; i++) {
		if (!is_called(list[i], which))
			continue;
		at = i;
		n++;
	}
	if (n == 0)
		return err_set(err, -ENOENT, "'%s' has no checkpoint '%.80s'", instance, which);
	if (n > 1)
		return err_set(err, -EINVAL, "'%s' has more than one checkpoint that begins with '%.80s'", instance,
			       which);
	*ret = list[at];
	for (; list[at]; at++)
		list[at] = list[at + 1]; /* taken out of the list */
	return 0;
}

int checkpoint_delete(struct engine *e, const char *instance, const char *which, struct err *err)
{
	AUTO(checkpoint_info_free) struct checkpoint_info *c = NULL;
	autofree char *folder = NULL;
	int r = checkpoint_find(e, instance, which, &c, err);

	if (r < 0)
		return r;
	folder = checkpoint_path(e, c->uuid, "");
	return manifest_remove_folder(folder, err);
}

/* Writes the manifest anew with one member changed; whole, so that it is never half. */
static int change(struct engine *e, const struct checkpoint_info *c, const char *key, const char *value,
		  struct err *err)
{
	autofree char *folder = checkpoint_path(e, c->uuid, "");
	AUTO(json_free) struct json *m = json_copy(c->manifest);

	if (value)
		json_set_str(m, key, value);
	else
		json_unset(m, key);
	return manifest_rewrite(folder, m, err);
}

int checkpoint_rename(struct engine *e, const char *instance, const char *which, const char *new_name, struct err *err)
{
	AUTO(checkpoint_info_free) struct checkpoint_info *c = NULL, *other = NULL;
	int r = checkpoint_check_name(new_name, err);

	if (r < 0)
		return r;
	r = checkpoint_find(e, instance, which, &c, err);
	if (r < 0)
		return r;
	if (checkpoint_find(e, instance, new_name, &other, NULL) == 0)
		return err_set(err, -EEXIST, "'%s' has a checkpoint '%s' already", instance, new_name);
	return change(e, c, "name", new_name, err);
}

int checkpoint_set_expiry(struct engine *e, const char *instance, const char *which, uint64_t expires_us,
			  struct err *err)
{
	AUTO(checkpoint_info_free) struct checkpoint_info *c = NULL;
	char when[CLOCK_RFC3339_SIZE];
	int r = checkpoint_find(e, instance, which, &c, err);

	if (r == 0)
		r = change(e, c, "expires_at", expires_us ? clock_rfc3339(expires_us, when) : NULL, err);
	watch_poke(e);
	return r;
}

uint64_t checkpoint_expire(struct engine *e)
{
	AUTO(checkpoint_list_free) struct checkpoint_info **list = list_all(e, NULL);
	uint64_t now = clock_real_us(), next = UINT64_MAX;

	for (size_t i = 0; list[i]; i++) {
		autofree char *folder = checkpoint_path(e, list[i]->uuid, "");

		if (!list[i]->expires_us)
			continue;
		if (list[i]->expires_us <= now)
			(void)manifest_remove_folder(folder, NULL);
		else if (list[i]->expires_us < next)
			next = list[i]->expires_us;
	}
	return next;
}

int checkpoint_delete_all(struct engine *e, const char *instance_uuid, struct err *err)
{
	AUTO(checkpoint_list_free) struct checkpoint_info **list = list_all(e, instance_uuid);
	int r = 0;

	for (size_t i = 0; r == 0 && list[i]; i++) {
		autofree char *folder = checkpoint_path(e, list[i]->uuid, "");

		r = manifest_remove_folder(folder, err);
	}
	return r;
}

void checkpoint_sweep(struct engine *e)
{
	autofree char *dir = path_join(e->settings.state_dir, "checkpoints");
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		autofree char *folder = path_join(dir, entry->d_name), *manifest = path_join(folder, MANIFEST_NAME);

		if (entry->d_name[0] != '.' && (str_ends(entry->d_name, ".new") || !path_exists(manifest)))
			(void)manifest_remove_folder(folder, NULL);
	}
	if (d)
		(void)closedir(d);
}
