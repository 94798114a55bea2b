/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume.c - named volumes: made, listed, deleted, attached
 *
 * A volume's row is written when its folder is there and deleted before the folder goes: what has no row is swept at
 * start-up. Names in the folder of volumes that begin with a dot are never volumes. That folder is closed to other
 * users, because a container's root can leave set-user-ID programs in a volume.
 */
#include "engine/volume.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "base/uuid.h"
#include "engine/state.h"
#include "engine/swap.h"
#include "image/tree.h"
#include "store/volumes.h"

static char *volumes_dir(const struct engine *e)
{
	return path_join(e->settings.state_dir, "volumes");
}

char *volume_path(struct engine *e, const char *name)
{
	return path_joinf(e->settings.state_dir, "volumes/%s", name);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

void volume_info_free(struct volume_info *v)
{
	if (!v)
		return;
	free(v->name);
	strv_free(v->users);
	free(v);
}

void volume_list_free(struct volume_info **list)
{
	for (size_t i = 0; list && list[i]; i++)
		volume_info_free(list[i]);
	free(list);
}

static struct volume_info *info_from_row(struct volume_row *row)
{
	struct volume_info *v = xcalloc(1, sizeof(*v));

	v->name = TAKE_PTR(row->name);
	v->created_us = row->created_us;
	v->users = TAKE_PTR(row->users);
	return v;
}

/* Containers write meanwhile: what cannot be measured is 0. */
static void add_live(struct engine *e, struct volume_info *v)
{
	autofree char *path = volume_path(e, v->name);

	(void)path_disk_usage(path, &v->bytes, NULL);
}

int volume_find(struct engine *e, const char *name, bool live, struct volume_info **ret, struct err *err)
{
	AUTO(volume_row_done) struct volume_row row = { 0 };
	int r = volumes_find(e->db, name, &row, err);

	if (r < 0)
		return r;
	*ret = info_from_row(&row);
	if (live)
		add_live(e, *ret);
	return 0;
}

struct listing {
	struct volume_info **list;
	size_t n;
};

static int add_to_listing(struct volume_row *row, void *ctx)
{
	struct listing *l = ctx;

	l->list = xreallocarray(l->list, l->n + 2, sizeof(*l->list));
	l->list[l->n++] = info_from_row(row);
	l->list[l->n] = NULL;
	return 0;
}

int volume_list(struct engine *e, bool live, struct volume_info ***ret, struct err *err)
{
	struct listing l = { .list = xcalloc(1, sizeof(*l.list)) };
	int r = volumes_each(e->db, add_to_listing, &l, err);

	if (r < 0) {
		volume_list_free(l.list);
		return r;
	}
	for (size_t i = 0; live && i < l.n; i++)
		add_live(e, l.list[i]);
	*ret = l.list;
	return 0;
}

/* ---- making and deleting ----------------------------------------------------------------------------------------- */

static int make_folder(struct engine *e, const char *name, struct err *err)
{
	autofree char *dir = volumes_dir(e), *path = volume_path(e, name);
	AUTO(volume_row_done) struct volume_row row = { 0 };

	if (mkdir(path, 0755) < 0) {
		if (errno != EEXIST)
			return err_sys(err, "cannot make the folder of volume '%s'", name);
		if (volumes_find(e->db, name, &row, NULL) == 0)
			return err_set(err, -EEXIST, "a volume '%s' exists already", name);
		return err_set(err, -EBUSY, "a volume '%s' is just being made or deleted: try again", name);
	}
	if (chmod(path, 0755) < 0) /* whatever our umask is */
		return err_sys(err, "%s", path);
	return file_sync_dir(dir, err);
}

int volume_create(struct engine *e, const char *name, struct err *err)
{
	const struct volume_row row = { .name = (char *)name, .created_us = clock_real_us() };
	autofree char *path = volume_path(e, name);
	int r;

	r = instance_check_name(name, err);
	if (r == 0)
		r = make_folder(e, name, err);
	if (r < 0)
		return r;
	r = volumes_insert(e->db, &row, err);
	if (r < 0)
		(void)rmdir(path);
	return r;
}

/* Out of the way at once, so that the name is free again; then file by file. */
static int remove_folder(struct engine *e, const char *name, struct err *err)
{
	autofree char *path = volume_path(e, name), *gone = NULL, *filled = NULL;
	char uuid[UUID_SIZE];
	int r;

	filled = path_joinf(e->settings.state_dir, "volumes/" VOLUME_FILL_PREFIX "%s", name);
	r = path_remove_all(filled, err);
	if (r < 0)
		return r;
	uuid_new(uuid);
	gone = path_joinf(e->settings.state_dir, "volumes/.gone-%s", uuid);
	if (rename(path, gone) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "%s", path);
	return path_remove_all(gone, err);
}

int volume_delete(struct engine *e, const char *name, struct err *err)
{
	int r;

	r = volumes_delete(e->db, name, err);
	if (r < 0)
		return r;
	r = remove_folder(e, name, err);
	return r < 0 ? err_wrap(err, r, "volume '%s' is deleted, but some of its files are not", name) : 0;
}

/* ---- at start-up ------------------------------------------------------------------------------------------------- */

/* NAME.old and NAME.new are of a swap; recovery has undone those that a crash interrupted, unless it could not. */
static bool is_of_open_swap(const struct engine *e, const char *name)
{
	if (!str_ends(name, ".old") && !str_ends(name, ".new"))
		return false;
	list_each (node, &e->instances)
		if (swap_is_open(list_of(node, struct instance, link)))
			return true;
	return false;
}

/* A copy on its way into a volume belongs to that; the volume's next boot ends it. */
static void sweep_entry(struct engine *e, int dir_fd, const char *name)
{
	const char *filled = str_after(name, VOLUME_FILL_PREFIX);
	AUTO(volume_row_done) struct volume_row row = { 0 };

	if (!is_of_open_swap(e, name) && volumes_find(e->db, filled ? filled : name, &row, NULL) == -ENOENT)
		(void)path_remove_all_at(dir_fd, name, NULL);
}

int volume_sweep(struct engine *e, struct err *err)
{
	autofree char *path = volumes_dir(e);
	AUTO(strv_free) char **names = NULL;
	struct dirent *entry;
	DIR *dir;
	int r;

	r = path_mkdirs(path, 0700, err);
	if (r < 0)
		return r;
	dir = opendir(path);
	if (!dir)
		return err_sys(err, "%s", path);
	while ((entry = readdir(dir)))
		if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
			strv_add(&names, entry->d_name);
	for (size_t i = 0; names && names[i]; i++)
		sweep_entry(e, dirfd(dir), names[i]);
	(void)closedir(dir);
	return 0;
}

static int add_device(const struct attachment_row *row, void *ctx)
{
	devices_add(ctx, row->name, row->volume, row->path, row->is_readonly);
	return 0;
}

int volume_load(struct instance *in, struct err *err)
{
	return attachments_each(in->engine->db, in->row.uuid, add_device, &in->devices, err);
}

/* ---- attaching --------------------------------------------------------------------------------------------------- */

int volume_check_path(const char *path, char **ret, struct err *err)
{
	static const char *const kept[] = { "proc", "sys", "dev" };
	char clean[TREE_NAME_SIZE];
	int r;

	if (path[0] != '/')
		return err_set(err, -EINVAL, "'%.80s' is no absolute path", path);
	for (const char *c = path; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f || *c == ':')
			return err_set(err, -EINVAL, "a path to mount at has neither ':' nor control characters in it");
	r = tree_clean_name(path, clean, err);
	if (r < 0)
		return r == -ENAMETOOLONG ? -EINVAL : r;
	if (!clean[0])
		return err_set(err, -EINVAL, "a volume cannot be mounted at '/'");
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		const char *rest = str_after(clean, kept[i]);

		if (rest && (!*rest || *rest == '/'))
			return err_set(err, -EINVAL, "a volume cannot be mounted at /%s or below it", kept[i]);
	}
	*ret = xasprintf("/%s", clean);
	return 0;
}

/* A saved state has been saved with what is attached now: CRIU compares. */
static int require_at_rest(const struct instance *in, struct err *err)
{
	if (in->status != INSTANCE_STOPPED)
		return err_set(err, -EBUSY, "'%s' is running: volumes change only while it is stopped", in->row.name);
	if (in->state.exists)
		return err_set(err, -EBUSY,
			       "'%s' has a saved state, which needs its volumes as they are: start it and stop it, or "
			       "discard the state with start --stateless",
			       in->row.name);
	return 0;
}

static int check_devices(const struct devices *given, struct devices *ret, struct err *err)
{
	AUTO(devices_done) struct devices checked = { 0 };

	for (size_t i = 0; i < given->n; i++) {
		const struct device *d = &given->v[i];
		autofree char *path = NULL;
		int r = volume_check_path(d->path, &path, err);

		if (r < 0)
			return err_wrap(err, r, "volume '%s'", d->volume);
		devices_add(&checked, d->name, d->volume, path, d->is_readonly);
	}
	*ret = checked;
	checked = (struct devices){ 0 };
	return 0;
}

static int store_devices(const struct instance *in, const struct devices *devices, struct err *err)
{
	autofree struct attachment_row *rows = xcalloc(devices->n + 1, sizeof(*rows));

	for (size_t i = 0; i < devices->n; i++)
		rows[i] = (struct attachment_row){ .name = devices->v[i].name,
						   .volume = devices->v[i].volume,
						   .path = devices->v[i].path,
						   .is_readonly = devices->v[i].is_readonly };
	return attachments_set(in->engine->db, in->row.uuid, rows, devices->n, err);
}

int volume_set_devices(struct instance *in, const struct devices *devices, struct err *err)
{
	AUTO(devices_done) struct devices checked = { 0 };
	struct devices old;
	int r;

	r = check_devices(devices, &checked, err);
	if (r < 0)
		return r;
	if (devices_equal(&checked, &in->devices))
		return 0;
	r = require_at_rest(in, err);
	if (r == 0)
		r = store_devices(in, &checked, err);
	if (r < 0)
		return r;
	SCOPED_LOCK(&in->engine->mutex);
	old = in->devices;
	in->devices = checked;
	checked = old;
	return 0;
}

int volume_attach(struct instance *in, const char *volume, const char *path, bool is_readonly, struct err *err)
{
	AUTO(devices_done) struct devices devices = devices_copy(&in->devices);

	devices_add(&devices, volume, volume, path, is_readonly);
	return volume_set_devices(in, &devices, err);
}

int volume_detach(struct instance *in, const char *volume, struct err *err)
{
	AUTO(devices_done) struct devices devices = devices_copy(&in->devices);
	const struct device *found = devices_find_volume(&devices, volume);

	if (!found)
		return err_set(err, -ENOENT, "volume '%s' is not attached to '%s'", volume, in->row.name);
	devices_remove(&devices, found->name);
	return volume_set_devices(in, &devices, err);
}

struct volume_mount *volume_mounts(const struct instance *in, size_t *ret_n)
{
	struct volume_mount *list = xcalloc(in->devices.n + 1, sizeof(*list));

	for (size_t i = 0; i < in->devices.n; i++) {
		const struct device *d = &in->devices.v[i];

		list[i] = (struct volume_mount){ .volume = xstrdup(d->volume),
						 .source = volume_path(in->engine, d->volume),
						 .path = xstrdup(d->path),
						 .is_readonly = d->is_readonly };
	}
	*ret_n = in->devices.n;
	return list;
}

void volume_mounts_free(struct volume_mount *list, size_t n)
{
	for (size_t i = 0; list && i < n; i++) {
		free(list[i].volume);
		free(list[i].source);
		free(list[i].path);
	}
	free(list);
}
