/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/swap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/extras.h"
#include "engine/saved.h"
#include "engine/state.h"
#include "engine/volume.h"

#define NOTE	 "swap.json"
#define NOTE_MAX (1 << 20)

/* One thing that is swapped: its path, and whether there was one before. */
struct item {
	char *path;
	bool existed;
};

struct items {
	struct item *v;
	size_t n;
};

static void items_done(struct items *items)
{
	for (size_t i = 0; i < items->n; i++)
		free(items->v[i].path);
	free(items->v);
	*items = (struct items){ 0 };
}
AUTO_DEFINE_IN(struct items, items_done)

static void add(struct items *items, char *path, bool existed)
{
	items->v = xreallocarray(items->v, items->n + 1, sizeof(*items->v));
	items->v[items->n++] = (struct item){ .path = path, .existed = existed };
}

static void add_now(struct items *items, char *path)
{
	add(items, path, path_exists(path));
}

static int write_note(const struct instance *in, const struct items *items, struct err *err)
{
	autofree char *path = instance_path(in, NOTE), *text = NULL;
	AUTO(json_free) struct json *list = json_new_array();

	for (size_t i = 0; i < items->n; i++) {
		struct json *o = json_new_object();

		json_set_str(o, "path", items->v[i].path);
		json_set_bool(o, "existed", items->v[i].existed);
		json_add(list, o);
	}
	text = json_print(list, JSON_PRETTY);
	return file_write_whole(path, text, strlen(text), 0600, err);
}

static int read_note(const struct instance *in, struct items *items, struct err *err)
{
	autofree char *path = instance_path(in, NOTE);
	AUTO(json_free) struct json *list = NULL;
	int r = json_parse_file(path, NOTE_MAX, &list, err);

	for (size_t i = 0; r == 0 && i < json_len(list); i++) {
		const struct json *o = json_item(list, i);

		add(items, xstrdup(json_get_str(o, "path")), json_get_bool(o, "existed", false));
	}
	return r;
}

bool swap_is_open(const struct instance *in)
{
	autofree char *path = instance_path(in, NOTE);

	return path_exists(path);
}

static int swap_one(const struct item *item, struct err *err)
{
	autofree char *old = xasprintf("%s.old", item->path), *new = xasprintf("%s.new", item->path);

	if (item->existed && rename(item->path, old) < 0)
		return err_sys(err, "cannot rename '%s'", item->path);
	if (path_exists(new) && rename(new, item->path) < 0)
		return err_sys(err, "cannot rename '%s'", new);
	return 0;
}

int swap_begin(struct instance *in, bool with_upper, char *const *volumes, struct err *err)
{
	autofree char *new_shm = instance_path(in, EXTRAS_SHM ".new");
	AUTO(items_done) struct items items = { 0 };
	int r;

	if (with_upper) {
		add_now(&items, instance_path(in, "upper"));
		add_now(&items, instance_path(in, "work")); /* its index knows the old upper's files */
	}
	if (path_exists(new_shm))
		add_now(&items, instance_path(in, EXTRAS_SHM));
	add_now(&items, instance_path(in, SAVED_STATE));
	for (size_t i = 0; volumes && volumes[i]; i++)
		add_now(&items, volume_path(in->engine, volumes[i]));
	r = write_note(in, &items, err);
	if (r < 0)
		return r;
	FAULT_HERE("rollback.started");
	for (size_t i = 0; r == 0 && i < items.n; i++)
		r = swap_one(&items.v[i], err);
	if (r < 0)
		(void)swap_undo(in, NULL);
	FAULT_HERE("rollback.swapped");
	return r;
}

static int close_note(const struct instance *in, struct err *err)
{
	autofree char *path = instance_path(in, NOTE), *folder = instance_path(in, "");

	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, "'%s'", path);
	return file_sync_dir(folder, err);
}

static void remove_beside(const struct items *items, const char *suffix)
{
	for (size_t i = 0; i < items->n; i++) {
		autofree char *path = xasprintf("%s%s", items->v[i].path, suffix);

		(void)path_remove_all(path, NULL);
	}
}

int swap_commit(struct instance *in, struct err *err)
{
	AUTO(items_done) struct items items = { 0 };
	int r = read_note(in, &items, err);

	if (r == 0)
		r = close_note(in, err);
	if (r == 0)
		remove_beside(&items, ".old");
	return r;
}

static int undo_one(const struct item *item, struct err *err)
{
	autofree char *old = xasprintf("%s.old", item->path);
	int r;

	if (item->existed && !path_exists(old))
		return 0; /* it had not been moved yet */
	r = path_remove_all(item->path, err);
	if (r == 0 && item->existed && rename(old, item->path) < 0)
		r = err_sys(err, "cannot rename '%s'", old);
	return r;
}

void swap_sweep(const struct instance *in)
{
	static const char *const names[] = { "upper.new", "upper.old", "work.old", SAVED_STATE ".old" };

	for (size_t i = 0; !swap_is_open(in) && i < ARRAY_SIZE(names); i++) {
		autofree char *path = instance_path(in, names[i]);

		(void)path_remove_all(path, NULL);
	}
}

int swap_undo(struct instance *in, struct err *err)
{
	AUTO(items_done) struct items items = { 0 };
	int r;

	if (!swap_is_open(in))
		return 0;
	r = read_note(in, &items, err);
	for (size_t i = 0; r == 0 && i < items.n; i++)
		r = undo_one(&items.v[i], err);
	if (r < 0)
		return r;
	remove_beside(&items, ".new");
	return close_note(in, err);
}
