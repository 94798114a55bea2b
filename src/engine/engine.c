/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "engine/host.h"
#include "engine/image.h"
#include "engine/recover.h"
#include "engine/state.h"
#include "engine/volume.h"
#include "engine/watch.h"
#include "runtime/mntns.h"

/* From a build folder the guard lies beside the daemon's own folder; installed, where meson put it. */
static char *find_guard(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n > 0) {
		self[n] = 0;
		slash = strrchr(self, '/');
		if (slash) {
			autofree char *beside = xasprintf("%.*s/../guard/stasis-guard", (int)(slash - self), self);
			char *real = realpath(beside, NULL);

			if (real)
				return real;
		}
	}
	return xstrdup(STASIS_LIBEXECDIR "/stasis-guard");
}

static void fill_in(struct settings *s)
{
	if (!*s->socket) {
		free(s->socket);
		s->socket = path_join(s->run_dir, "stasis.socket");
	}
	if (!*s->guard) {
		free(s->guard);
		s->guard = find_guard();
	}
	if (s->parallel == 0)
		s->parallel = 2 * sysconf(_SC_NPROCESSORS_ONLN);
}

static int make_folders(const struct settings *s, struct err *err)
{
	static const char *const state[] = { "", "/checkpoints", "/instances", "/tmp" }, *const run[] = { "", "/c",
													  "/netns",
													  "/mem" };
	int r = path_mkdirs(s->log_dir, 0700, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(state); i++) {
		autofree char *path = xasprintf("%s%s", s->state_dir, state[i]);

		r = path_mkdirs(path, 0711, err);
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(run); i++) {
		autofree char *path = xasprintf("%s%s", s->run_dir, run[i]);

		r = path_mkdirs(path, 0711, err);
	}
	return r;
}

static int take_lock(const char *dir, struct err *err)
{
	autofree char *path = path_join(dir, "lock");
	autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(err, "'%s'", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? err_set(err, -EBUSY, "another stasisd works in '%s'", dir)
					    : err_sys(err, "'%s'", path);
	return TAKE_FD(fd);
}

/* Dumps go to memory first; only the daemon's namespace has this mount. */
static int mount_memory(const char *run_dir, struct err *err)
{
	autofree char *path = path_join(run_dir, "mem");
	struct statfs parent, own;

	if (statfs(run_dir, &parent) < 0 || statfs(path, &own) < 0)
		return err_sys(err, "'%s'", path);
	if ((long)own.f_type == TMPFS_MAGIC && memcmp(&own.f_fsid, &parent.f_fsid, sizeof(own.f_fsid)) != 0)
		return 0;
	if (mount("stasis-memory", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=100%") < 0)
		return err_sys(err, "cannot mount a memory file system at '%s'", path);
	return 0;
}

static int add_row(struct instance_row *row, void *ctx)
{
	struct engine *e = ctx;
	AUTO(image_info_free) struct image_info *image = NULL;
	struct instance *in = instance_new(e, row);

	if (image_find(e, in->row.image, &image, NULL) == 0) {
		in->image_description = xstrdup_null(image->description);
		in->architecture = xstrdup_null(image->architecture);
	}
	instance_add(in);
	return volume_load(in, NULL);
}

static int open_rooms(struct engine *e, struct err *err)
{
	autofree char *db = path_join(e->settings.state_dir, "stasis.db");
	int r;

	r = db_open(db, &e->db, err);
	if (r == 0)
		r = tools_find(&e->tools, e->settings.tools_dir, e->settings.guard, e->settings.run_dir, err);
	if (r == 0)
		r = mount_memory(e->settings.run_dir, err);
	if (r == 0)
		r = instances_each(e->db, add_row, e, err);
	if (r == 0)
		r = watch_start(e, &e->watcher, err);
	if (r == 0)
		r = recover(e, err);
	if (r == 0)
		r = image_sweep(e, err);
	if (r == 0)
		r = volume_sweep(e, err);
	if (r == 0)
		r = host_open(e, &e->host, err);
	return r;
}

int engine_open(const struct settings *settings, struct engine **ret, struct err *err)
{
	AUTO(engine_close) struct engine *e = xcalloc(1, sizeof(*e));
	int r;

	e->lock_fd = e->run_lock_fd = -1;
	mutex_init(&e->mutex);
	list_init(&e->instances);
	settings_copy(&e->settings, settings);
	fill_in(&e->settings);
	e->operations = operations_new();
	r = make_folders(&e->settings, err);
	if (r < 0)
		return r;
	e->lock_fd = take_lock(e->settings.state_dir, err);
	if (e->lock_fd < 0)
		return e->lock_fd;
	e->run_lock_fd = take_lock(e->settings.run_dir, err);
	if (e->run_lock_fd < 0)
		return e->run_lock_fd;
	r = mntns_enter(e->settings.run_dir, err);
	if (r == 0)
		r = open_rooms(e, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(e);
	return 0;
}

void engine_close(struct engine *e)
{
	if (!e)
		return;
	operations_free(e->operations);
	watch_stop(e->watcher);
	host_close(e->host);
	list_each_safe (node, &e->instances) {
		struct instance *in = list_of(node, struct instance, link);

		list_remove(node);
		instance_free(in);
	}
	db_close(e->db);
	tools_done(&e->tools);
	if (e->lock_fd >= 0)
		(void)close(e->lock_fd);
	if (e->run_lock_fd >= 0)
		(void)close(e->run_lock_fd);
	settings_done(&e->settings);
	mutex_done(&e->mutex);
	free(e);
}

const struct settings *engine_settings(const struct engine *e)
{
	return &e->settings;
}
