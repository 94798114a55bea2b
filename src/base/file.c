/* SPDX-License-Identifier: Apache-2.0 */
/* file.c - whole files in and out, never half */
#include "base/file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/path.h"

#define COPY_CHUNK (256 << 10)

/* Everything up to the end of @fd. The size that stat(2) tells is a hint only: /proc says 0, and files grow. */
static int read_to_end(int fd, size_t max, char **ret, size_t *ret_len, struct err *err)
{
	autofree char *buf = NULL;
	size_t len = 0, cap = 4096;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat");
	if (st.st_size > 0 && (uint64_t)st.st_size < SIZE_MAX)
		cap = (size_t)st.st_size + 1; /* one more, to meet the end in one go */
	if (max < SIZE_MAX - 1 && cap > max + 1)
		cap = max + 1;
	buf = xmalloc(cap + 1);
	for (;;) {
		ssize_t n = read(fd, buf + len, cap - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read");
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return err_set(err, -EFBIG, "larger than %zu bytes", max);
		if (len == cap) {
			cap = max < SIZE_MAX - 1 && cap > max / 2 ? max + 1 : cap * 2;
			buf = xrealloc(buf, cap + 1);
		}
	}
	buf[len] = '\0';
	if (ret_len)
		*ret_len = len;
	*ret = TAKE_PTR(buf);
	return 0;
}

int file_read_at(int dir_fd, const char *name, size_t max, char **ret, size_t *ret_len, struct err *err)
{
	autoclose int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int r;

	if (fd < 0)
		return err_sys(err, "%s", name);
	r = read_to_end(fd, max, ret, ret_len, err);
	return r < 0 ? err_wrap(err, r, "%s", name) : 0;
}

int file_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err)
{
	return file_read_at(AT_FDCWD, path, max, ret, ret_len, err);
}

int file_poke(const char *path, const char *text, struct err *err)
{
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return err_sys(err, "%s", path);
	do
		n = write(fd, text, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "cannot write '%s' to %s", text, path);
	/* A control file takes a value whole; the rest in a second write would be a second value. */
	if ((size_t)n != len)
		return err_set(err, -EIO, "%s took only %zd of %zu bytes", path, n, len);
	return 0;
}

int file_sync_fs(const char *path, struct err *err)
{
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || syncfs(fd) < 0)
		return err_sys(err, "cannot sync '%s'", path);
	return 0;
}

int file_write_all(int fd, const void *data, size_t len, struct err *err)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "write");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_write_at(int fd, const void *data, size_t len, uint64_t offset, struct err *err)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "write");
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static char *folder_of(const char *path)
{
	const char *base = path_base(path);

	if (base == path)
		return xstrdup(".");
	if (base == path + 1)
		return xstrdup("/");
	return xstrndup(path, (size_t)(base - path) - 1);
}

static int fill(int fd, const void *data, size_t len, mode_t mode, struct err *err)
{
	int r = file_write_all(fd, data, len, err);

	if (r < 0)
		return r;
	if (fchmod(fd, mode) < 0)
		return err_sys(err, "chmod");
	if (fsync(fd) < 0)
		return err_sys(err, "fsync");
	return 0;
}

int file_write_whole(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
	autofree char *folder = folder_of(path);
	autofree char *tmp = xasprintf("%s/.%s.XXXXXX", folder, path_base(path));
	autoclose int fd = mkostemp(tmp, O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_sys(err, "cannot create %s", path);
	r = fill(fd, data, len, mode, err);
	if (r == 0 && rename(tmp, path) < 0)
		r = err_sys(err, "rename");
	if (r < 0) {
		(void)unlink(tmp);
		return err_wrap(err, r, "cannot write %s", path);
	}
	return file_sync_dir(folder, err);
}

int file_sync_dir(const char *path, struct err *err)
{
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "%s", path);
	if (fsync(fd) < 0)
		return err_sys(err, "cannot sync the folder %s", path);
	return 0;
}

/* Copies up to @left bytes at both offsets by reading and writing; returns what it copied, less at the end. */
static int copy_by_hand(int from, int to, uint64_t left, uint64_t *ret_copied, struct err *err)
{
	autofree char *buf = xmalloc(COPY_CHUNK);
	uint64_t copied = 0;
	int r;

	while (left > 0) {
		ssize_t n = read(from, buf, left < COPY_CHUNK ? (size_t)left : COPY_CHUNK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read");
		if (n == 0)
			break;
		r = file_write_all(to, buf, (size_t)n, err);
		if (r < 0)
			return r;
		copied += (uint64_t)n;
		left -= (uint64_t)n;
	}
	*ret_copied = copied;
	return 0;
}

/* As copy_by_hand(), in the kernel where it can. */
static int copy_extent(int from, int to, uint64_t left, uint64_t *ret_copied, struct err *err)
{
	uint64_t copied = 0, rest = 0;
	int r;

	while (left > 0) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, left < (1U << 30) ? (size_t)left : 1U << 30, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG))
			return err_sys(err, "copy");
		/* Not supported here; or "nothing", which some file systems say of what can be read all the same. */
		if (n <= 0)
			break;
		copied += (uint64_t)n;
		left -= (uint64_t)n;
	}
	r = left > 0 ? copy_by_hand(from, to, left, &rest, err) : 0;
	if (r < 0)
		return r;
	*ret_copied = copied + rest;
	return 0;
}

/* Both are seekable: data from @at is copied, holes become holes, the length is set at the end. */
static int copy_sparse(int from, int to, off_t at, off_t to_at, struct err *err)
{
	off_t delta = to_at - at, end, data, hole;
	uint64_t copied = 0;
	int r;

	for (;;) {
		data = lseek(from, at, SEEK_DATA);
		if (data < 0)
			break; /* ENXIO: only a hole is left */
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0 || lseek(from, data, SEEK_SET) < 0 || lseek(to, data + delta, SEEK_SET) < 0)
			return err_sys(err, "seek");
		r = copy_extent(from, to, (uint64_t)(hole - data), &copied, err);
		if (r < 0)
			return r;
		at = data + (off_t)copied;
		if (at < hole) /* it has become shorter meanwhile */
			break;
	}
	if (data < 0 && errno != ENXIO)
		return err_sys(err, "seek");
	end = lseek(from, 0, SEEK_END);
	if (end < at)
		end = at;
	if (end < 0 || ftruncate(to, end + delta) < 0 || lseek(to, end + delta, SEEK_SET) < 0)
		return err_sys(err, "cannot set the length");
	return 0;
}

static bool is_plain_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

int file_copy(int from, int to, struct err *err)
{
	bool is_plain = is_plain_file(from) && is_plain_file(to) && !(fcntl(to, F_GETFL) & O_APPEND);
	off_t at = is_plain ? lseek(from, 0, SEEK_CUR) : -1, to_at = is_plain ? lseek(to, 0, SEEK_CUR) : -1;
	uint64_t copied;

	if (at < 0 || to_at < 0)
		return copy_by_hand(from, to, UINT64_MAX, &copied, err);
	if (at == 0 && to_at == 0 && ioctl(to, FICLONE, from) == 0) {
		if (lseek(to, 0, SEEK_END) < 0)
			return err_sys(err, "seek");
		return 1;
	}
	/* The files of /proc and /sys are "regular" with size 0, or a page, whatever they hold. */
	if (lseek(from, at, SEEK_DATA) < 0 && errno != ENXIO)
		return copy_by_hand(from, to, UINT64_MAX, &copied, err);
	return copy_sparse(from, to, at, to_at, err);
}
