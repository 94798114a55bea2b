/* SPDX-License-Identifier: Apache-2.0 */
/* bundle-tree.c - trees become tars: every attribute, hard links, holes */
#include <dirent.h>
#include <fcntl.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "image/attr.h"
#include "image/bundle-private.h"
#include "image/tree.h"

#define MAX_EXTENTS 4096

/* A file with more than one name. */
struct link {
	dev_t dev;
	ino_t ino;
	char *name;
};

static int link_order(const void *a, const void *b)
{
	const struct link *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return (x->ino > y->ino) - (x->ino < y->ino);
}

static void link_free(void *p)
{
	struct link *l = p;

	free(l->name);
	free(l);
}

void bundle_tar_done(struct bundle_tar *t)
{
	tdestroy(t->links, link_free);
	t->links = NULL;
	archive_writer_free(t->wr);
	t->wr = NULL;
	free(t->buf);
	t->buf = NULL;
}

/* The name under which this file is in the archive already, or NULL, and then it is @name from now on. */
static const char *first_name(struct bundle_tar *t, const struct stat *st, const char *name)
{
	struct link key = { .dev = st->st_dev, .ino = st->st_ino }, *l;
	struct link **found;

	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return NULL;
	found = (struct link **)tfind(&key, &t->links, link_order);
	if (found)
		return (*found)->name;
	l = xmalloc(sizeof(*l));
	*l = (struct link){ st->st_dev, st->st_ino, xstrdup(name) };
	if (!tsearch(l, &t->links, link_order))
		mem_exhausted();
	return NULL;
}

static enum archive_kind kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return ARCHIVE_KIND_FILE;
	case S_IFDIR:
		return ARCHIVE_KIND_DIR;
	case S_IFLNK:
		return ARCHIVE_KIND_SYMLINK;
	case S_IFIFO:
		return ARCHIVE_KIND_FIFO;
	case S_IFCHR:
	case S_IFBLK:
		return ARCHIVE_KIND_DEVICE;
	default:
		return ARCHIVE_KIND_OTHER;
	}
}

static struct archive_item item_of(const struct stat *st, const char *name)
{
	return (struct archive_item){
		.kind = kind_of(st->st_mode),
		.name = name,
		.size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0,
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime = st->st_mtim,
		.is_block = S_ISBLK(st->st_mode),
		.major = major(st->st_rdev),
		.minor = minor(st->st_rdev),
	};
}

/* Where the file has data. A file of very many pieces has its last holes filled: a reader must keep the map in memory.
 */
static size_t find_extents(int fd, uint64_t size, struct archive_extent **ret)
{
	autofree struct archive_extent *v = xcalloc(MAX_EXTENTS, sizeof(*v));
	uint64_t at = 0;
	size_t n = 0;

	while (at < size && n < MAX_EXTENTS) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;

		if (data < 0)
			break;
		hole = n == MAX_EXTENTS - 1 ? (off_t)size : lseek(fd, data, SEEK_HOLE);
		if (hole < 0 || (uint64_t)hole > size)
			hole = (off_t)size;
		v[n++] = (struct archive_extent){ (uint64_t)data, (uint64_t)(hole - data) };
		at = (uint64_t)hole;
	}
	if (n == 0)
		v[n++] = (struct archive_extent){ size, 0 };
	*ret = TAKE_PTR(v);
	return n;
}

static int put_zeros(struct archive_writer *wr, uint64_t len, struct err *err)
{
	static const char zeros[BUNDLE_COPY_SIZE];
	int r = 0;

	while (r == 0 && len > 0) {
		size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		r = archive_writer_data(wr, zeros, n, err);
		len -= n;
	}
	return r;
}

static int put_piece(struct archive_writer *wr, int fd, const struct archive_extent *x, char *buf,
		     int (*tick)(void *ctx, uint64_t bytes, struct err *err), void *ctx, struct err *err)
{
	uint64_t at = x->offset, end = x->offset + x->len;
	int r;

	while (at < end) {
		size_t want = end - at < BUNDLE_COPY_SIZE ? (size_t)(end - at) : BUNDLE_COPY_SIZE;
		ssize_t n = pread(fd, buf, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot read it");
		if (n == 0)
			return err_set(err, -ESTALE, "it has become shorter meanwhile");
		r = archive_writer_data(wr, buf, (size_t)n, err);
		if (r == 0 && tick)
			r = tick(ctx, (uint64_t)n, err);
		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
	return 0;
}

int bundle_copy_in(struct archive_writer *wr, int fd, uint64_t len, char *buf,
		   int (*tick)(void *ctx, uint64_t bytes, struct err *err), void *ctx, struct err *err)
{
	const struct archive_extent all = { 0, len };

	return put_piece(wr, fd, &all, buf, tick, ctx, err);
}

static int put_data(struct bundle_tar *t, int fd, const struct archive_item *item, struct err *err)
{
	uint64_t at = 0;
	int r = 0;

	if (!t->buf)
		t->buf = xmalloc(BUNDLE_COPY_SIZE);
	if (item->n_extents == 0)
		return bundle_copy_in(t->wr, fd, item->size, t->buf, t->tick, t->ctx, err);
	for (size_t i = 0; r == 0 && i < item->n_extents; i++) {
		const struct archive_extent *x = &item->extents[i];

		r = put_zeros(t->wr, x->offset - at, err);
		if (r == 0)
			r = put_piece(t->wr, fd, x, t->buf, t->tick, t->ctx, err);
		at = x->offset + x->len;
	}
	return r < 0 ? r : put_zeros(t->wr, item->size - at, err);
}

static int put_file(struct bundle_tar *t, int dir_fd, const char *base, const struct stat *st,
		    struct archive_item *item, struct err *err)
{
	autoclose int fd = openat(dir_fd, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	autofree struct archive_extent *extents = NULL;
	int r;

	if (fd < 0)
		return err_sys(err, "cannot open it");
	if ((uint64_t)st->st_blocks * 512 < item->size) {
		item->n_extents = find_extents(fd, item->size, &extents);
		item->extents = extents;
	}
	r = archive_writer_add(t->wr, item, err);
	if (r < 0 || (t->is_dry && item->n_extents == 0))
		return r;
	/* libarchive adds missing zeros by itself, but miscounts where there are holes */
	return t->is_dry ? put_zeros(t->wr, item->size, err) : put_data(t, fd, item, err);
}

static int put_symlink(struct bundle_tar *t, int path_fd, struct archive_item item, struct err *err)
{
	char target[TREE_NAME_SIZE + 1];
	ssize_t n = readlinkat(path_fd, "", target, sizeof(target) - 1);

	if (n < 0)
		return err_sys(err, "cannot read the link");
	target[n] = '\0';
	item.target = target;
	return archive_writer_add(t->wr, &item, err);
}

static int put_hardlink(struct bundle_tar *t, struct archive_item *item, const char *target, struct err *err)
{
	item->kind = ARCHIVE_KIND_HARDLINK;
	item->size = 0;
	item->target = target;
	return archive_writer_add(t->wr, item, err);
}

static int add(struct bundle_tar *t, int dir_fd, const char *base, const char *name, struct err *err)
{
	autoclose int fd = openat(dir_fd, base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	AUTO(attr_list_done) struct attr_list attrs = { 0 };
	struct archive_item item;
	const char *first;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "cannot open it");
	item = item_of(&st, name);
	if (item.kind == ARCHIVE_KIND_OTHER)
		return 0;
	first = first_name(t, &st, name);
	if (first)
		return put_hardlink(t, &item, first, err);
	r = attr_read(fd, t->is_upper, &attrs, err);
	if (r < 0)
		return r;
	item.xattrs = attrs.v;
	item.n_xattrs = attrs.n;
	if (item.kind == ARCHIVE_KIND_FILE)
		return put_file(t, dir_fd, base, &st, &item, err);
	if (item.kind == ARCHIVE_KIND_SYMLINK)
		return put_symlink(t, fd, item, err);
	return archive_writer_add(t->wr, &item, err);
}

int bundle_tar_add(struct bundle_tar *t, int dir_fd, const char *base, const char *name, struct err *err)
{
	int r = add(t, dir_fd, base, name, err);

	return r < 0 ? err_wrap(err, r, "'%.200s'", name) : 0;
}

int bundle_names(int dir_fd, char ***ret, struct err *err)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	size_t n = 0, cap = 16;
	struct dirent *e;
	char **v;

	if (!dir) {
		int r = err_sys(err, "cannot list it");

		auto_close(&fd);
		return r;
	}
	v = xcalloc(cap, sizeof(*v));
	while ((e = readdir(dir))) {
		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		if (n + 2 > cap) {
			cap *= 2;
			v = xreallocarray(v, cap, sizeof(*v));
		}
		v[n++] = xstrdup(e->d_name);
	}
	v[n] = NULL;
	(void)closedir(dir);
	strv_sort(v);
	*ret = v;
	return 0;
}

int bundle_path(const char *a, const char *b, char **ret, struct err *err)
{
	autofree char *path = *a ? xasprintf("%s/%s", a, b) : xstrdup(b);
	size_t depth = 1;

	for (const char *c = path; *c; c++)
		depth += *c == '/';
	if (strlen(path) + 2 > TREE_NAME_SIZE || depth > TREE_MAX_DEPTH)
		return err_set(err, -ENAMETOOLONG, "'%.200s…' is too long or too deep for an archive", path);
	*ret = TAKE_PTR(path);
	return 0;
}

static int add_below(struct bundle_tar *t, int dir_fd, const char *path, struct err *err)
{
	AUTO(strv_free) char **names = NULL;
	int r = bundle_names(dir_fd, &names, err);

	for (size_t i = 0; r == 0 && names[i]; i++) {
		autoclose int fd = -1;
		autofree char *name = NULL;

		r = bundle_path(path, names[i], &name, err);
		if (r == 0)
			r = bundle_tar_add(t, dir_fd, names[i], name, err);
		if (r < 0)
			return r;
		fd = openat(dir_fd, names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			r = add_below(t, fd, name, err);
		else if (errno != ENOTDIR && errno != ELOOP)
			r = err_sys(err, "'%.200s'", name);
	}
	return r;
}

int bundle_tar_tree(struct bundle_tar *t, const char *folder, struct err *err)
{
	autoclose int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_sys(err, "cannot open '%s'", folder);
	r = bundle_tar_add(t, fd, ".", ".", err);
	return r < 0 ? r : add_below(t, fd, "", err);
}

static int count(void *ctx, const void *p, size_t len, struct err *err)
{
	*(uint64_t *)ctx += len;
	return 0;
}

int bundle_tar_size(const struct bundle_fill *fill, bool is_upper, uint64_t *ret, struct err *err)
{
	AUTO(bundle_tar_done) struct bundle_tar t = { .is_upper = is_upper, .is_dry = true };
	const struct archive_writer_options options = { .is_inner = true };
	uint64_t size = 0;
	const struct archive_sink sink = { count, &size };
	int r = archive_writer_open_sink(&sink, &options, &t.wr, err);

	if (r == 0)
		r = fill->fn(&t, fill->ctx, err);
	if (r == 0)
		r = archive_writer_finish(t.wr, err);
	if (r == 0)
		*ret = size;
	return r;
}
