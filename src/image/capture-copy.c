/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture-copy.c - one entry of a tree, faithfully
 *
 * The source is written by a container meanwhile. What has a name is therefore pinned first, by O_PATH, which has no
 * side effects whatever it is; only when the pinned inode is known to be a plain file it is opened, through
 * /proc/self/fd/N: never a device, never a pipe, and nothing behind a symlink.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/mem.h"
#include "image/capture-private.h"

#define CHUNK	   (256 << 10)
#define CLONE_TEST 4096

void capture_io_done(struct capture_io *io)
{
	capture_xattrs_free(io->xattrs);
	free(io->chunk);
	*io = (struct capture_io){ 0 };
}

int capture_io_check(const struct capture_io *io, struct err *err)
{
	if (io->cancelled && io->cancelled(io->ctx))
		return err_set(err, -ECANCELED, "cancelled");
	return 0;
}

bool capture_can_clone(int from_dir, int to_dir)
{
	autoclose int from = openat(from_dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	autoclose int to = openat(to_dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char block[CLONE_TEST];

	memset(block, 'x', sizeof(block));
	if (from < 0 || to < 0 || write(from, block, sizeof(block)) != (ssize_t)sizeof(block))
		return false;
	return ioctl(to, FICLONE, from) == 0;
}

int capture_stat(int dir_fd, const char *name, struct statx *ret)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH);

	return statx(dir_fd, name, flags, STATX_BASIC_STATS, ret) < 0 ? -errno : 0;
}

int capture_pin(int dir_fd, const char *name, struct statx *ret)
{
	autoclose int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = capture_stat(fd, "", ret);
	return r < 0 ? r : TAKE_FD(fd);
}

int capture_open_folder(int dir_fd, const char *name)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dir_fd, name, flags | O_NOATIME);

	if (fd < 0 && errno == EPERM)
		fd = openat(dir_fd, name, flags);
	return fd < 0 ? -errno : fd;
}

int capture_open_pinned(int fd)
{
	int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, r;
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = open(path, flags | O_NOATIME);
	if (r < 0 && errno == EPERM)
		r = open(path, flags);
	return r < 0 ? -errno : r;
}

char *capture_read_link(int fd, int *ret_err)
{
	autofree char *target = xmalloc(PATH_MAX);
	ssize_t n = readlinkat(fd, "", target, PATH_MAX);

	*ret_err = n < 0 ? -errno : n == PATH_MAX ? -ENAMETOOLONG : 0;
	if (*ret_err < 0)
		return NULL;
	target[n] = '\0';
	return TAKE_PTR(target);
}

static int write_at(int to, const char *p, size_t n, off_t at, struct err *err)
{
	while (n > 0) {
		ssize_t done = pwrite(to, p, n, at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return err_sys(err, "write");
		p += done;
		n -= (size_t)done;
		at += done;
	}
	return 0;
}

/* Data without holes. It may end early: the file has become shorter. */
static int copy_extent(struct capture_io *io, int from, int to, off_t at, off_t end, struct err *err)
{
	ssize_t n;
	int r;

	if (!io->chunk)
		io->chunk = xmalloc(CHUNK);
	while (at < end) {
		r = capture_io_check(io, err);
		if (r < 0)
			return r;
		n = pread(from, io->chunk, end - at < CHUNK ? (size_t)(end - at) : CHUNK, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read");
		if (n == 0)
			return 0;
		r = write_at(to, io->chunk, (size_t)n, at, err);
		if (r < 0)
			return r;
		at += n;
	}
	return 0;
}

/* Up to @size, beyond which a live file may be growing for ever. Holes stay holes, at the end too. */
static int copy_data(struct capture_io *io, int from, int to, off_t size, struct err *err)
{
	off_t at = 0, hole;
	int r;

	/* Pages mapped and written to before move no time stamp when they are written to again, until their next
	 * write-back makes the kernel look: begin it, then read. */
	if (io->is_live)
		(void)sync_file_range(from, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE);
	while (at < size) {
		at = lseek(from, at, SEEK_DATA);
		if (at < 0 && errno != ENXIO)
			return err_sys(err, "seek");
		hole = at < 0 ? -1 : lseek(from, at, SEEK_HOLE);
		if (hole < 0)
			break; /* only a hole is left; or it has become shorter */
		if (hole > size)
			hole = size;
		r = copy_extent(io, from, to, at, hole, err);
		if (r < 0)
			return r;
		at = hole;
	}
	return ftruncate(to, size) < 0 ? err_sys(err, "cannot set the length") : 0;
}

/* 1: by sharing; 0: by copying. */
static int fill(struct capture_io *io, int from, int to, off_t size, struct err *err)
{
	if (size == 0)
		return 0;
	if (io->can_clone && ioctl(to, FICLONE, from) == 0)
		return 1;
	if (io->can_clone && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
		return err_sys(err, "reflink");
	if (io->can_clone && ftruncate(to, 0) < 0) /* of what it may have begun with */
		return err_sys(err, "truncate");
	return copy_data(io, from, to, size, err);
}

static struct timespec time_of(const struct statx_timestamp *t)
{
	return (struct timespec){ .tv_sec = t->tv_sec, .tv_nsec = t->tv_nsec };
}

/* The order matters: a new owner takes setuid and capabilities away, and all of it moves the times. */
static int set_meta(struct capture_io *io, int from, const struct statx *sx, int to, struct err *err)
{
	struct timespec times[2] = { time_of(&sx->stx_atime), time_of(&sx->stx_mtime) };
	char path[40];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", to);
	if (fchownat(to, "", sx->stx_uid, sx->stx_gid, AT_EMPTY_PATH) < 0)
		return err_sys(err, "cannot set the owner");
	if (!S_ISLNK(sx->stx_mode) && chmod(path, sx->stx_mode & 07777) < 0)
		return err_sys(err, "cannot set the mode");
	r = capture_xattrs_copy(io->xattrs, from, to, err);
	if (r < 0)
		return r;
	return utimensat(to, "", times, AT_EMPTY_PATH) < 0 ? err_sys(err, "cannot set the times") : 0;
}

int capture_finish_folder(struct capture_io *io, int from, const struct statx *sx, int to, struct err *err)
{
	return set_meta(io, from, sx, to, err);
}

static int make_file(struct capture_io *io, int from, const struct statx *sx, int to_dir, const char *name,
		     struct err *err)
{
	autoclose int in = capture_open_pinned(from), to = -1;
	int r, is_clone;

	if (in == -EAGAIN)
		return in;
	if (in < 0)
		return err_set(err, in, "cannot open it: %s", strerror(-in));
	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return err_sys(err, "cannot create it");
	is_clone = fill(io, in, to, (off_t)sx->stx_size, err);
	if (is_clone < 0)
		return is_clone;
	r = set_meta(io, in, sx, to, err);
	return r < 0 ? r : is_clone;
}

static int make_other(struct capture_io *io, int from, const struct statx *sx, int to_dir, const char *name,
		      struct err *err)
{
	autofree char *target = NULL;
	autoclose int to = -1;
	int r;

	if (S_ISLNK(sx->stx_mode)) {
		target = capture_read_link(from, &r);
		if (!target)
			return err_set(err, r, "cannot read it: %s", strerror(-r));
		r = symlinkat(target, to_dir, name);
	} else {
		r = mknodat(to_dir, name, (sx->stx_mode & S_IFMT) | 0600,
			    makedev(sx->stx_rdev_major, sx->stx_rdev_minor));
	}
	if (r < 0)
		return err_sys(err, "cannot create it");
	to = openat(to_dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return to < 0 ? err_sys(err, "cannot open it") : set_meta(io, from, sx, to, err);
}

int capture_make(struct capture_io *io, int from, const struct statx *sx, int to_dir, const char *name, struct err *err)
{
	int r = S_ISREG(sx->stx_mode) ? make_file(io, from, sx, to_dir, name, err)
				      : make_other(io, from, sx, to_dir, name, err);

	if (r < 0 && r != -EEXIST)
		(void)unlinkat(to_dir, name, 0);
	return r;
}
