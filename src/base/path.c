/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.c - names, folders, and ways through a tree that cannot be led astray
 *
 * The trees below were filled by containers. Removal therefore works with descriptors only, follows no symlink, holds
 * two descriptors however deep the tree is, and on its way up checks that ".." is the folder it came from.
 */
#include "base/path.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"

#define OPEN_TRIES  64 /* openat2 gives EAGAIN when a rename anywhere raced with ".." */
#define USAGE_DEPTH 400

static void dir_close(DIR *dir)
{
	if (dir)
		(void)closedir(dir);
}
AUTO_DEFINE(DIR *, dir_close)

char *path_join(const char *a, const char *b)
{
	size_t n = strlen(a);

	if (n == 0)
		return xstrdup(b);
	while (*b == '/')
		b++;
	if (!*b)
		return xstrdup(a);
	return xasprintf("%s%s%s", a, a[n - 1] == '/' ? "" : "/", b);
}

char *path_joinf(const char *a, const char *fmt, ...)
{
	autofree char *b = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&b, fmt, ap);
	va_end(ap);
	if (n < 0)
		mem_exhausted();
	return path_join(a, b);
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool path_is_name(const char *s)
{
	if (!s || !*s || strcmp(s, ".") == 0 || strcmp(s, "..") == 0 || strlen(s) > 255)
		return false;
	for (const unsigned char *c = (const unsigned char *)s; *c; c++)
		if (*c < 0x20 || *c == 0x7f || *c == '/')
			return false;
	return true;
}

static int make_one(const char *path, mode_t mode, struct err *err)
{
	struct stat st;

	if (mkdir(path, mode) == 0) {
		/* The umask took away what other users of a container's folder may need. */
		if (chmod(path, mode) < 0)
			return err_sys(err, "%s", path);
		return 0;
	}
	if (errno != EEXIST)
		return err_sys(err, "cannot create the folder %s", path);
	if (stat(path, &st) < 0)
		return err_sys(err, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "%s is in the way: not a folder", path);
	return 0;
}

int path_mkdirs(const char *path, mode_t mode, struct err *err)
{
	autofree char *part = xstrdup(path);
	char *c = part;
	int r;

	if (!*part)
		return err_set(err, -EINVAL, "cannot create a folder without a name");
	for (;;) {
		c += strspn(c, "/");
		c += strcspn(c, "/");
		if (!*c)
			return make_one(part, mode, err);
		*c = '\0';
		r = make_one(part, mode, err);
		if (r < 0)
			return r;
		*c = '/';
	}
}

/* One folder above the current one, in which the current one is called @name. */
struct above {
	ino_t ino;
	char *name;
};

struct removal {
	dev_t dev;	     /* the file system it began on */
	struct above *above; /* from the top down */
	size_t n_above;
	DIR *dir; /* the current folder */
};

static void removal_done(struct removal *rm)
{
	for (size_t i = 0; i < rm->n_above; i++)
		free(rm->above[i].name);
	free(rm->above);
	dir_close(rm->dir);
}
AUTO_DEFINE_IN(struct removal, removal_done)

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Makes @name in @dir_fd the current folder, if that stays on the file system. */
static int removal_enter(struct removal *rm, int dir_fd, const char *name, struct err *err)
{
	autoclose int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statx sx;
	struct stat st;
	DIR *dir;

	if (fd < 0 || fstat(fd, &st) < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &sx) < 0)
		return err_sys(err, "%s", name);
	if (!rm->dir)
		rm->dev = st.st_dev;
	if ((sx.stx_attributes & sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) || st.st_dev != rm->dev)
		return err_set(err, -EBUSY, "'%s' is a mount point: nothing is removed beyond it", name);
	dir = fdopendir(fd);
	if (!dir)
		return err_sys(err, "%s", name);
	(void)TAKE_FD(fd);
	dir_close(rm->dir);
	rm->dir = dir;
	return 0;
}

static int removal_down(struct removal *rm, const char *name, struct err *err)
{
	autofree char *copy = xstrdup(name); /* the entry goes away with its DIR */
	struct stat st;
	int r;

	if (fstat(dirfd(rm->dir), &st) < 0)
		return err_sys(err, "%s", name);
	r = removal_enter(rm, dirfd(rm->dir), copy, err);
	if (r < 0)
		return r;
	rm->above = xreallocarray(rm->above, rm->n_above + 1, sizeof(*rm->above));
	rm->above[rm->n_above++] = (struct above){ .ino = st.st_ino, .name = TAKE_PTR(copy) };
	return 0;
}

/* The current folder is empty: remove it from the one above, which becomes the current one. */
static int removal_up(struct removal *rm, struct err *err)
{
	struct above up = rm->above[--rm->n_above];
	autofree char *name = up.name;
	struct stat st;
	int r;

	r = removal_enter(rm, dirfd(rm->dir), "..", err);
	if (r < 0)
		return r;
	if (fstat(dirfd(rm->dir), &st) < 0)
		return err_sys(err, "%s", name);
	if (st.st_ino != up.ino)
		return err_set(err, -EBUSY, "'%s' was moved while it was being removed", name);
	if (unlinkat(dirfd(rm->dir), name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_sys(err, "cannot remove %s", name);
	return 0;
}

/* Removes one name that is not a full folder: 0; a full folder: 1. */
static int remove_simple(int dir_fd, const char *name, bool is_dir, struct err *err)
{
	if (!is_dir) {
		if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
			return 0;
		if (errno != EISDIR)
			return err_sys(err, "cannot remove %s", name);
	}
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno == ENOTEMPTY || errno == EEXIST)
		return 1;
	return err_sys(err, "cannot remove %s", name);
}

/* Empties the current folder as far as it can: 0 when empty, 1 when it went down into a full one. */
static int removal_pass(struct removal *rm, struct err *err)
{
	struct dirent *e;
	int r;

	assert(rm->dir);
	for (;;) {
		errno = 0;
		e = readdir(rm->dir);
		if (!e)
			return errno ? err_sys(err, "cannot list a folder") : 0;
		if (is_dots(e->d_name))
			continue;
		r = remove_simple(dirfd(rm->dir), e->d_name, e->d_type == DT_DIR, err);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		r = removal_down(rm, e->d_name, err);
		return r < 0 ? r : 1;
	}
}

int path_remove_all_at(int dir_fd, const char *name, struct err *err)
{
	AUTO(removal_done) struct removal rm = { 0 };
	int r;

	r = remove_simple(dir_fd, name, /* is_dir= */ false, err);
	if (r <= 0)
		return r;
	r = removal_enter(&rm, dir_fd, name, err);
	while (r >= 0) {
		r = removal_pass(&rm, err);
		if (r == 0) {
			if (rm.n_above == 0)
				break;
			r = removal_up(&rm, err);
		}
	}
	if (r == 0 && unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = err_sys(err, "cannot remove it");
	return r < 0 ? err_wrap(err, r, "%s", name) : 0;
}

int path_remove_all(const char *path, struct err *err)
{
	return path_remove_all_at(AT_FDCWD, path, err);
}

static int open_how(int root_fd, const char *path, int flags, mode_t mode, uint64_t resolve, struct err *err)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
		.mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? mode : 0, /* EINVAL otherwise */
		.resolve = resolve,
	};

	for (int i = 0; i < OPEN_TRIES; i++) {
		int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

		if (fd >= 0)
			return fd;
		if (errno != EAGAIN && errno != EINTR)
			break;
	}
	return err_sys(err, "%s", path);
}

int path_open_in_root(int root_fd, const char *path, int flags, mode_t mode, struct err *err)
{
	return open_how(root_fd, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, err);
}

int path_open_beneath(int root_fd, const char *path, int flags, mode_t mode, struct err *err)
{
	return open_how(root_fd, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS, err);
}

bool path_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* Files with several names are counted once. */
struct usage {
	uint64_t bytes;
	void *seen; /* tsearch(3) of struct inode */
};
struct inode {
	dev_t dev;
	ino_t ino;
};

static int inode_order(const void *a, const void *b)
{
	const struct inode *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static void usage_done(struct usage *u)
{
	tdestroy(u->seen, free);
}
AUTO_DEFINE_IN(struct usage, usage_done)

static void usage_add(struct usage *u, const struct stat *st)
{
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1) {
		autofree struct inode *in = xmalloc(sizeof(*in));
		struct inode **found;

		*in = (struct inode){ st->st_dev, st->st_ino };
		found = tsearch(in, &u->seen, inode_order);
		if (!found)
			mem_exhausted();
		if (*found != in)
			return;
		(void)TAKE_PTR(in);
	}
	u->bytes += (uint64_t)st->st_blocks * 512;
}

/* What vanishes while we look is not counted: containers run meanwhile. Other file systems are not entered. */
static int usage_walk(struct usage *u, int dir_fd, const char *name, dev_t dev, int depth, struct err *err)
{
	autoclose int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO(dir_close) DIR *dir = NULL;
	struct dirent *e;
	struct stat st;
	int r;

	if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR))
		return 0;
	if (depth > USAGE_DEPTH)
		return err_set(err, -ELOOP, "%s: folders are nested too deeply to be measured", name);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return err_sys(err, "%s", name);
	(void)TAKE_FD(fd);
	while ((e = readdir(dir))) {
		if (is_dots(e->d_name) || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    st.st_dev != dev)
			continue;
		usage_add(u, &st);
		if (!S_ISDIR(st.st_mode))
			continue;
		r = usage_walk(u, dirfd(dir), e->d_name, dev, depth + 1, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int path_disk_usage(const char *path, uint64_t *ret, struct err *err)
{
	AUTO(usage_done) struct usage u = { 0 };
	struct stat st;
	int r;

	*ret = 0;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "%s", path);
	usage_add(&u, &st);
	if (S_ISDIR(st.st_mode)) {
		r = usage_walk(&u, AT_FDCWD, path, st.st_dev, 0, err);
		if (r < 0)
			return err_wrap(err, r, "cannot measure %s", path);
	}
	*ret = u.bytes;
	return 0;
}
