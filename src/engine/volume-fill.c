/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume-fill.c - what an image has at a volume's path becomes the volume's first content
 *
 * Copied beside the volume (.new-UUID), synced, called .fill-NAME, and from there moved into the volume name by name:
 * other instances may have mounted it, so the folder itself stays. What one of them has made meanwhile stays, too. The
 * volume counts as fresh until all has been moved, so that whoever boots next ends what a crash interrupted.
 *
 * One at a time: the folder of volumes is locked (flock), so that of two instances that boot with the same fresh volume
 * one fills it and the other waits.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "base/uuid.h"
#include "engine/state.h"
#include "engine/volume.h"
#include "image/capture.h"
#include "store/volumes.h"

static const char *const acls[] = { "system.posix_acl_access", "system.posix_acl_default" };
#define ACL_MAX 65536

static void dir_close(DIR *d)
{
	if (d)
		(void)closedir(d);
}
AUTO_DEFINE(DIR *, dir_close)

/* The names in a folder. */
static int list_folder(const char *path, char ***ret, struct err *err)
{
	AUTO(dir_close) DIR *dir = opendir(path);
	AUTO(strv_free) char **names = NULL;
	struct dirent *entry;

	if (!dir)
		return err_sys(err, "%s", path);
	while ((entry = readdir(dir)))
		if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
			strv_add(&names, entry->d_name);
	*ret = TAKE_PTR(names);
	return 0;
}

static int copy_acl(int from, int to, const char *name, struct err *err)
{
	autofree char *value = xmalloc(ACL_MAX);
	ssize_t n = fgetxattr(from, name, value, ACL_MAX);

	if (n < 0)
		return errno == ENODATA || errno == EOPNOTSUPP ? 0 : err_sys(err, "%s", name);
	return fsetxattr(to, name, value, (size_t)n, 0) < 0 ? err_sys(err, "%s", name) : 0;
}

/* The volume's own folder looks like the one that it hides. */
static int copy_attributes(int from, int to, struct err *err)
{
	struct stat st;
	int r = 0;

	if (fstat(from, &st) < 0 || fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0)
		return err_sys(err, "owner and mode");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(acls); i++)
		r = copy_acl(from, to, acls[i], err);
	return r;
}

/* Moves a complete copy into the volume. */
static int move_in(const char *copy, const char *volume, struct err *err)
{
	autoclose int from = open(copy, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autoclose int to = open(volume, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO(strv_free) char **names = NULL;
	int r;

	if (from < 0 || to < 0)
		return err_sys(err, "%s", from < 0 ? copy : volume);
	r = list_folder(copy, &names, err);
	for (size_t i = 0; r == 0 && names && names[i]; i++)
		if (renameat2(from, names[i], to, names[i], RENAME_NOREPLACE) < 0 && errno != EEXIST)
			r = err_sys(err, "%s", names[i]);
	if (r == 0)
		r = copy_attributes(from, to, err);
	if (r < 0)
		return r;
	if (syncfs(to) < 0)
		return err_sys(err, "%s", volume);
	return path_remove_all(copy, err);
}

/* Copies the folder @source_fd beside the volume. */
static int copy_beside(struct engine *e, int source_fd, const char *copy, struct err *err)
{
	/* the dot, so that it is a folder by itself and not a link of /proc */
	autofree char *from = xasprintf("/proc/self/fd/%d/.", source_fd), *new = NULL;
	autoclose int fd = -1;
	char uuid[UUID_SIZE];
	int r;

	uuid_new(uuid);
	new = path_joinf(e->settings.state_dir, "volumes/.new-%s", uuid);
	r = capture_copy(from, new, NULL, err);
	if (r < 0)
		return r;
	fd = open(new, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || syncfs(fd) < 0 || rename(new, copy) < 0) {
		r = err_sys(err, "%s", new);
		(void)path_remove_all(new, NULL);
		return r;
	}
	return 0;
}

/* An image's symlinks lead where they like: what a volume may hide is asked again for where they have led. */
static int check_target(int root_fd, int fd, const char *path, struct err *err)
{
	char link[64], root[4096], real[4096];
	autofree char *clean = NULL;
	const char *inside;
	ssize_t n, m;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", root_fd);
	n = readlink(link, root, sizeof(root) - 1);
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	m = readlink(link, real, sizeof(real) - 1);
	if (n < 0 || m < 0)
		return err_sys(err, "%s", link);
	root[n] = real[m] = '\0';
	inside = str_after(real, root);
	if (inside && volume_check_path(*inside ? inside : "/", &clean, NULL) == 0)
		return 0;
	return err_set(err, -EINVAL, "%s leads to '%s' in its root file system, where no volume can be", path,
		       inside && *inside ? inside : "/");
}

/* What the root file system has at @path: a descriptor, or -1 when there is nothing. */
static int open_target(const struct instance *in, const char *path, int *ret_fd, struct err *err)
{
	autofree char *rootfs = instance_path(in, "rootfs");
	autoclose int root_fd = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	int r;

	if (root_fd < 0)
		return err_sys(err, "%s", rootfs);
	fd = path_open_in_root(root_fd, path, O_RDONLY | O_DIRECTORY, 0, err);
	if (fd == -ENOTDIR)
		return err_set(err, fd, "%s is no folder in its root file system", path);
	if (fd == -ENOENT) {
		*ret_fd = -1;
		return 0;
	}
	r = fd < 0 ? fd : check_target(root_fd, fd, path, err);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

/* Under the lock. */
static int fill_fresh(struct engine *e, const char *name, int source_fd, struct err *err)
{
	autofree char *copy = path_joinf(e->settings.state_dir, "volumes/" VOLUME_FILL_PREFIX "%s", name);
	autofree char *volume = volume_path(e, name);
	AUTO(strv_free) char **names = NULL;
	int r = 0;

	if (!path_exists(copy)) {
		r = list_folder(volume, &names, err);
		if (r == 0 && !names && source_fd >= 0)
			r = copy_beside(e, source_fd, copy, err);
	}
	if (r == 0 && path_exists(copy))
		r = move_in(copy, volume, err);
	return r < 0 ? r : volumes_set_used(e->db, name, err);
}

static int fill_if_fresh(struct engine *e, const char *name, int source_fd, struct err *err)
{
	autofree char *dir = path_join(e->settings.state_dir, "volumes");
	autoclose int lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(volume_row_done) struct volume_row row = { 0 };
	int r;

	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return err_sys(err, "%s", dir);
	r = volumes_find(e->db, name, &row, err);
	if (r == 0 && row.is_fresh)
		r = fill_fresh(e, name, source_fd, err);
	return r;
}

static int fill_one(struct instance *in, const struct device *d, struct err *err)
{
	autofree char *volume = volume_path(in->engine, d->volume);
	autoclose int source_fd = -1;
	int r;

	if (!path_exists(volume))
		return err_set(err, -ENOENT, "its folder '%s' is gone", volume);
	r = open_target(in, d->path, &source_fd, err);
	return r < 0 ? r : fill_if_fresh(in->engine, d->volume, source_fd, err);
}

int volume_fill(struct instance *in, struct err *err)
{
	for (size_t i = 0; i < in->devices.n; i++) {
		int r = fill_one(in, &in->devices.v[i], err);

		if (r < 0)
			return err_wrap(err, r, "volume '%s'", in->devices.v[i].volume);
	}
	return 0;
}
