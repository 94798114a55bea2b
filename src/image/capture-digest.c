/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture-digest.c - a tree at rest as text
 *
 * One line an entry, a folder before what is in it, names in the order of their bytes; fields separated by one space:
 *
 *   TYPE MODE UID GID MTIME SIZE XATTRS CONTENT PATH
 *
 *   TYPE     d folder, f file, l symlink, p pipe, s socket, c and b devices; h: one more name of an inode that was
 *            listed before
 *   MODE     octal, four digits
 *   MTIME    seconds.nanoseconds (nine digits), UTC
 *   SIZE     bytes of a file or of a symlink's target, else 0
 *   XATTRS   SHA-256 over NAME NUL LENGTH NUL VALUE of each attribute, by name; "-": none. Left out are those that
 *            capture-xattr.c does not copy.
 *   CONTENT  f: SHA-256, "-" if not wanted; l: the target; c, b: MAJOR:MINOR; h: the path listed before; else "-"
 *   PATH     below the tree, "." is the tree itself
 *
 * In targets and paths every byte but printable ASCII, and the backslash and the blank, is \xHH. Each line ends with
 * LF.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "image/capture-private.h"
#include "image/capture.h"

#define FLUSH_AT (64 << 10)
#define CHUNK	 (256 << 10)

struct listing {
	int out;
	bool has_content;
	struct strbuf text; /* not written yet */
	struct strbuf path; /* where we are */
	struct digest *digest;
	struct capture_xattrs *xattrs;
	struct capture_links links;
	char *chunk;
};

static void listing_done(struct listing *l)
{
	strbuf_done(&l->text);
	strbuf_done(&l->path);
	digest_free(l->digest);
	capture_xattrs_free(l->xattrs);
	capture_links_done(&l->links);
	free(l->chunk);
}
AUTO_DEFINE_IN(struct listing, listing_done)

static void add_escaped(struct strbuf *sb, const char *s)
{
	for (const unsigned char *c = (const unsigned char *)s; *c; c++) {
		if (*c > 0x20 && *c < 0x7f && *c != '\\')
			strbuf_addc(sb, (char)*c);
		else
			strbuf_addf(sb, "\\x%02x", *c);
	}
}

static int flush(struct listing *l, size_t at, struct err *err)
{
	int r;

	if (l->text.len < at)
		return 0;
	digest_add(l->digest, l->text.s, l->text.len);
	r = file_write_all(l->out, l->text.s, l->text.len, err);
	strbuf_reset(&l->text);
	return r;
}

static char type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return 'd';
	case S_IFREG:
		return 'f';
	case S_IFLNK:
		return 'l';
	case S_IFIFO:
		return 'p';
	case S_IFSOCK:
		return 's';
	case S_IFCHR:
		return 'c';
	case S_IFBLK:
		return 'b';
	default:
		return '?';
	}
}

static int file_content(struct listing *l, int pinned, struct err *err)
{
	AUTO(digest_free) struct digest *d = digest_new();
	autoclose int fd = capture_open_pinned(pinned);
	char hex[DIGEST_HEX_SIZE];
	ssize_t n;

	if (fd < 0)
		return err_set(err, fd, "%s", strerror(-fd));
	if (!l->chunk)
		l->chunk = xmalloc(CHUNK);
	do {
		n = read(fd, l->chunk, CHUNK);
		if (n > 0)
			digest_add(d, l->chunk, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return err_sys(err, "read");
	digest_hex(d, hex);
	strbuf_adds(&l->text, hex);
	return 0;
}

static int link_content(struct listing *l, int pinned, struct err *err)
{
	int r;
	autofree char *target = capture_read_link(pinned, &r);

	if (!target)
		return err_set(err, r, "%s", strerror(-r));
	add_escaped(&l->text, target);
	return 0;
}

static int add_content(struct listing *l, int fd, const struct statx *sx, const char *other_name, struct err *err)
{
	if (other_name)
		add_escaped(&l->text, other_name);
	else if (S_ISREG(sx->stx_mode) && l->has_content)
		return file_content(l, fd, err);
	else if (S_ISLNK(sx->stx_mode))
		return link_content(l, fd, err);
	else if (S_ISCHR(sx->stx_mode) || S_ISBLK(sx->stx_mode))
		strbuf_addf(&l->text, "%u:%u", sx->stx_rdev_major, sx->stx_rdev_minor);
	else
		strbuf_addc(&l->text, '-');
	return 0;
}

/* The path under which this inode was listed before, or NULL; notes it. */
static const char *other_name_of(struct listing *l, const struct statx *sx)
{
	static const struct capture_state none;
	const struct capture_link *link;

	if (S_ISDIR(sx->stx_mode) || sx->stx_nlink < 2)
		return NULL;
	link = capture_links_find(&l->links, capture_dev(sx), sx->stx_ino);
	if (link)
		return link->path;
	capture_links_put(&l->links, capture_dev(sx), sx->stx_ino, l->path.s, &none);
	return NULL;
}

/* @fd: of any kind, O_PATH too. */
static int add_line(struct listing *l, int fd, const struct statx *sx, struct err *err)
{
	bool has_size = S_ISREG(sx->stx_mode) || S_ISLNK(sx->stx_mode);
	const char *other_name = other_name_of(l, sx);
	char xattrs[DIGEST_HEX_SIZE];
	int r;

	r = capture_xattrs_digest(l->xattrs, fd, xattrs, err);
	if (r < 0)
		return r;
	strbuf_addf(&l->text, "%c %04o %u %u %lld.%09u %llu %s ", other_name ? 'h' : type_of(sx->stx_mode),
		    sx->stx_mode & 07777, sx->stx_uid, sx->stx_gid, (long long)sx->stx_mtime.tv_sec,
		    sx->stx_mtime.tv_nsec, has_size ? (unsigned long long)sx->stx_size : 0, xattrs);
	r = add_content(l, fd, sx, other_name, err);
	if (r < 0)
		return r;
	strbuf_addc(&l->text, ' ');
	add_escaped(&l->text, l->path.len ? l->path.s : ".");
	strbuf_addc(&l->text, '\n');
	return flush(l, FLUSH_AT, err);
}

static int list_folder(struct listing *l, int fd, int depth, struct err *err);

static int list_child(struct listing *l, int dir_fd, const char *name, int depth, struct err *err)
{
	struct statx sx;
	autoclose int fd = capture_pin(dir_fd, name, &sx), sub = -1;
	int r;

	if (fd < 0)
		return err_set(err, fd, "%s", strerror(-fd));
	r = add_line(l, fd, &sx, err);
	if (r < 0 || !S_ISDIR(sx.stx_mode))
		return r;
	if (depth > CAPTURE_MAX_DEPTH)
		return err_set(err, -ELOOP, "more than %d folders in one another", CAPTURE_MAX_DEPTH);
	sub = capture_open_folder(dir_fd, name);
	return sub < 0 ? err_set(err, sub, "%s", strerror(-sub)) : list_folder(l, sub, depth, err);
}

static int list_folder(struct listing *l, int fd, int depth, struct err *err)
{
	AUTO(strv_free) char **names = NULL;
	size_t len = l->path.len, n = 0;
	int r = capture_list(fd, &names, &n, err);

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (len > 0)
			strbuf_addc(&l->path, '/');
		strbuf_adds(&l->path, names[i]);
		r = list_child(l, fd, names[i], depth + 1, err);
		if (r == 0)
			strbuf_truncate(&l->path, len);
	}
	return r;
}

static int list_tree(struct listing *l, const char *tree, struct err *err)
{
	struct statx sx;
	autoclose int fd = capture_open_folder(AT_FDCWD, tree);
	int r = fd < 0 ? fd : capture_stat(fd, "", &sx);

	if (r < 0)
		return err_set(err, r, "%.200s: %s", tree, strerror(-r));
	r = add_line(l, fd, &sx, err);
	if (r == 0)
		r = list_folder(l, fd, 0, err);
	if (r == 0)
		r = flush(l, 0, err);
	return r < 0 ? err_wrap(err, r, "'%.200s' in %.150s", l->path.len ? l->path.s : ".", tree) : 0;
}

static int sync_into_place(int fd, const char *tmp, const char *path, struct err *err)
{
	autofree char *folder = xstrndup(path, (size_t)(path_base(path) - path));

	if (fsync(fd) < 0)
		return err_sys(err, "cannot sync %.200s", path);
	if (rename(tmp, path) < 0)
		return err_sys(err, "cannot rename %.200s", path);
	return file_sync_dir(*folder ? folder : ".", err);
}

int capture_digest(const char *tree, const char *out_path, bool content, char *ret_digest, struct err *err)
{
	AUTO(listing_done) struct listing l = { .text = STRBUF_INIT, .path = STRBUF_INIT, .has_content = content };
	autofree char *tmp = xasprintf("%s.XXXXXX", out_path);
	autoclose int fd = mkostemp(tmp, O_CLOEXEC); /* 0600 */
	int r;

	if (fd < 0)
		return err_sys(err, "cannot create %.200s", out_path);
	l.out = fd;
	l.digest = digest_new();
	l.xattrs = capture_xattrs_new();
	r = list_tree(&l, tree, err);
	if (r == 0)
		r = sync_into_place(fd, tmp, out_path, err);
	if (r < 0)
		(void)unlink(tmp);
	else
		digest_hex(l.digest, ret_digest);
	return r;
}
