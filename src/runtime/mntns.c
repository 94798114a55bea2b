/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/mntns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/path.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

static bool is_mount_root(const char *path)
{
	struct statx sx;

	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &sx) == 0 &&
	       (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static bool fs_is(const char *path, long magic)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (long)fs.f_type == magic;
}

/* The pin must lie on a mount that is not shared, or the kernel refuses it. */
static int pin_folder(const char *dir, struct err *err)
{
	int r = path_mkdirs(dir, 0700, err);

	if (r < 0 || is_mount_root(dir))
		return r;
	if (mount(dir, dir, NULL, MS_BIND, NULL) < 0 || mount(NULL, dir, NULL, MS_PRIVATE, NULL) < 0)
		return err_sys(err, "cannot make '%s' a mount of its own", dir);
	return 0;
}

/* Who has left a namespace cannot mount in it any more: a child stays behind and pins the parent's new one. */
static int pin_from_child(const char *pin, int go_fd)
{
	char link[64], byte;

	(void)snprintf(link, sizeof(link), "/proc/%d/ns/mnt", getppid());
	if (read(go_fd, &byte, 1) != 1)
		return 1; /* the parent gave up */
	return mount(link, pin, NULL, MS_BIND, NULL) < 0 ? errno : 0;
}

static int furnish(struct err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_sys(err, "cannot make the mounts private");
	if (fs_is(CGROUP_ROOT, CGROUP2_SUPER_MAGIC))
		return 0;
	if (mount("cgroup2", CGROUP_ROOT, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_sys(err, "cannot mount cgroup2 at " CGROUP_ROOT);
	return 0;
}

static int make_pinned(const char *pin, struct err *err)
{
	autoclose int pin_fd = open(pin, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
	int go[2], status, r;
	pid_t child;

	if (pin_fd < 0 || pipe2(go, O_CLOEXEC) < 0)
		return err_sys(err, "'%s'", pin);
	child = fork(); /* allowed: there are no threads yet */
	if (child < 0)
		return err_sys(err, "cannot fork");
	if (child == 0) {
		(void)close(go[1]);
		_exit(pin_from_child(pin, go[0]));
	}
	(void)close(go[0]);
	r = unshare(CLONE_NEWNS) < 0 ? err_sys(err, "cannot make a mount namespace") : furnish(err);
	if (r == 0 && write(go[1], "1", 1) != 1)
		r = err_sys(err, "cannot pin the mount namespace");
	(void)close(go[1]);
	if (waitpid(child, &status, 0) < 0 || r < 0)
		return r < 0 ? r : err_sys(err, "waitpid");
	if (status != 0)
		return err_set(err, -EIO, "cannot pin the mount namespace at '%s': %s", pin,
			       strerror(WEXITSTATUS(status)));
	return 0;
}

int mntns_enter(const char *run_dir, struct err *err)
{
	autofree char *dir = path_join(run_dir, "ns");
	autofree char *pin = path_join(dir, "mnt");
	autoclose int fd = -1;
	int r;

	if (!fs_is(pin, NSFS_MAGIC)) {
		r = pin_folder(dir, err);
		return r < 0 ? r : make_pinned(pin, err);
	}
	fd = open(pin, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNS) < 0)
		return err_sys(err, "cannot enter the mount namespace '%s'", pin);
	return 0;
}

int mntns_release(const char *run_dir, struct err *err)
{
	autofree char *dir = path_join(run_dir, "ns");
	autofree char *pin = path_join(dir, "mnt");

	if (fs_is(pin, NSFS_MAGIC) && umount2(pin, MNT_DETACH) < 0)
		return err_sys(err, "cannot release '%s'", pin);
	while (is_mount_root(dir))
		if (umount2(dir, MNT_DETACH) < 0)
			return err_sys(err, "cannot unmount '%s'", dir);
	return 0;
}
