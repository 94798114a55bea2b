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
#define PIN_TRIES   100

static bool is_mount_root(const char *path)
{
	struct statx sx;

	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &sx) == 0 &&
	       (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static bool is_same_folder(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
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

/*
 * Who has left a namespace cannot mount in it any more: a child stays behind and pins the parent's new one, once for
 * each byte that it is sent, and answers with the errno.
 */
static void pin_from_child(const char *pin, int ask_fd, int answer_fd)
{
	char link[64], byte;

	(void)snprintf(link, sizeof(link), "/proc/%d/ns/mnt", getppid());
	while (read(ask_fd, &byte, 1) == 1) {
		byte = mount(link, pin, NULL, MS_BIND, NULL) < 0 ? (char)errno : 0;
		if (write(answer_fd, &byte, 1) != 1)
			break;
	}
	_exit(0);
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

/*
 * A mount namespace can be pinned only in an older one (the kernel rules out loops by that), and since Linux 6.18 the
 * numbers that tell the age are handed out to processors in batches: now and then the new one looks older. Then we make
 * another.
 */
static int unshare_until_pinned(int ask_fd, int answer_fd, struct err *err)
{
	char answer = EINVAL;
	int r;

	for (int tries = 0; tries < PIN_TRIES && answer == EINVAL; tries++) {
		if (unshare(CLONE_NEWNS) < 0)
			return err_sys(err, "cannot make a mount namespace");
		r = furnish(err);
		if (r < 0)
			return r;
		if (write(ask_fd, "1", 1) != 1 || read(answer_fd, &answer, 1) != 1)
			return err_sys(err, "cannot pin the mount namespace");
	}
	return answer == 0 ? 0 : err_set(err, -EIO, "cannot pin the mount namespace: %s", strerror(answer));
}

static int make_pinned(const char *pin, struct err *err)
{
	autoclose int pin_fd = open(pin, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
	int ask[2], answer[2], r;
	pid_t child;

	if (pin_fd < 0 || pipe2(ask, O_CLOEXEC) < 0 || pipe2(answer, O_CLOEXEC) < 0)
		return err_sys(err, "'%s'", pin);
	child = fork(); /* allowed: there are no threads yet */
	if (child < 0)
		return err_sys(err, "cannot fork");
	if (child == 0) {
		(void)close(ask[1]);
		(void)close(answer[0]);
		pin_from_child(pin, ask[0], answer[1]);
	}
	(void)close(ask[0]);
	(void)close(answer[1]);
	r = unshare_until_pinned(ask[1], answer[0], err);
	(void)close(ask[1]);
	(void)close(answer[0]);
	(void)waitpid(child, NULL, 0);
	return r;
}

/*
 * CRIU's images name crun's empty folder, which hides masked ones, by its path. So it is the same for every daemon and
 * on every host, and the same as Podman's: in here, RUN_DIR/crun is at /run/crun, too.
 */
static int bind_runtime_state(const char *run_dir, struct err *err)
{
	autofree char *own = path_join(run_dir, "crun");
	int r;

	r = path_mkdirs(own, 0700, err);
	if (r == 0)
		r = path_mkdirs(MNTNS_CRUN, 0700, err);
	if (r < 0 || is_same_folder(own, MNTNS_CRUN))
		return r;
	if (mount(own, MNTNS_CRUN, NULL, MS_BIND, NULL) < 0)
		return err_sys(err, "cannot mount '%s' at " MNTNS_CRUN, own);
	return 0;
}

static int enter_or_make(const char *run_dir, struct err *err)
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

int mntns_enter(const char *run_dir, struct err *err)
{
	int r = enter_or_make(run_dir, err);

	return r < 0 ? r : bind_runtime_state(run_dir, err);
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
