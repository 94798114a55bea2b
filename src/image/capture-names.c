/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture-names.c - the names that an upper folder does not show
 *
 * An image file with several names, changed by the container under one of them, is in the upper under that one only.
 * The others lead to it through the index in the overlay's work folder: an entry there is one more link to the upper's
 * inode, called by the file handle of the image's inode. If the changed name was removed or renamed since, the index
 * may even hold the only link. A copy of the upper with a new work folder would show the image's old content under
 * these names. So they are made in the copy, as ordinary links, with the folders on the way to them as the image has
 * them.
 *
 * The image's layers do not change: which of their inodes have several names is looked up at most once, before the
 * freeze if anything like it is in the index already.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"
#include "image/capture-private.h"

#define OPAQUE	    "trusted.overlay.opaque"
#define HANDLE_HEAD 21 /* struct ovl_fb: version, magic, len, flags, type, uuid[16]; then the handle itself */

/* One name of an image's inode that has several. */
struct name {
	uint64_t dev, ino;
	size_t layer;
	char *path;
};

/* One entry of the index, and the image's inode that it stands for. */
struct entry {
	char *name;
	uint64_t dev, ino; /* ino 0: with one name only, or not a file */
};

struct capture_names {
	int *layers; /* lowest first */
	size_t n_layers;
	int index;
	bool is_scanned;
	struct name *names; /* by device, inode */
	size_t n_names;
	struct entry *entries; /* by name */
	size_t n_entries;
};

void capture_names_free(struct capture_names *cn)
{
	if (!cn)
		return;
	for (size_t i = 0; i < cn->n_layers; i++)
		(void)close(cn->layers[i]);
	if (cn->index >= 0)
		(void)close(cn->index);
	for (size_t i = 0; i < cn->n_names; i++)
		free(cn->names[i].path);
	for (size_t i = 0; i < cn->n_entries; i++)
		free(cn->entries[i].name);
	free(cn->layers);
	free(cn->names);
	free(cn->entries);
	free(cn);
}

/* ---- the index -------------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The file handle in an entry's name. */
static bool decode_handle(const char *name, struct file_handle *h)
{
	unsigned char raw[HANDLE_HEAD + MAX_HANDLE_SZ];
	size_t n = strlen(name) / 2;

	if (n <= HANDLE_HEAD || n > sizeof(raw) || strlen(name) % 2)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(name[2 * i]), low = hex_digit(name[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		raw[i] = (unsigned char)(high << 4 | low);
	}
	if (raw[0] != 0 || raw[1] != 0xfb || raw[2] != n)
		return false;
	h->handle_type = raw[4];
	h->handle_bytes = (unsigned)(n - HANDLE_HEAD);
	memcpy(h->f_handle, raw + HANDLE_HEAD, n - HANDLE_HEAD);
	return true;
}

/* Which inode of the image the entry stands for, if that has several names. */
static void resolve(const struct capture_names *cn, struct entry *e)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} handle;
	struct statx sx;

	/* Folders and whiteouts have no other names. */
	if (capture_stat(cn->index, e->name, &sx) < 0 || S_ISDIR(sx.stx_mode) ||
	    (S_ISCHR(sx.stx_mode) && sx.stx_rdev_major == 0 && sx.stx_rdev_minor == 0) ||
	    !decode_handle(e->name, &handle.h))
		return;
	for (size_t i = 0; i < cn->n_layers; i++) {
		autoclose int fd = open_by_handle_at(cn->layers[i], &handle.h, O_PATH | O_CLOEXEC);

		if (fd < 0 || capture_stat(fd, "", &sx) < 0)
			continue; /* on another file system */
		if (sx.stx_nlink > 1) {
			e->dev = capture_dev(&sx);
			e->ino = sx.stx_ino;
		}
		return;
	}
}

/* Brings the entries up to date. Returns 1 if any stands for an inode with several names. */
static int read_index(struct capture_names *cn, struct err *err)
{
	char **list = NULL;
	struct entry *entries;
	size_t n = 0, o = 0;
	int r, has_any = 0;

	r = capture_list(cn->index, &list, &n, err);
	if (r < 0)
		return err_wrap(err, r, "the overlay's index");
	entries = xcalloc(n + 1, sizeof(*entries));
	for (size_t i = 0; i < n; i++) {
		while (o < cn->n_entries && strcmp(cn->entries[o].name, list[i]) < 0)
			free(cn->entries[o++].name);
		if (o < cn->n_entries && strcmp(cn->entries[o].name, list[i]) == 0) {
			entries[i] = cn->entries[o++];
			free(list[i]);
		} else {
			entries[i].name = list[i];
			resolve(cn, &entries[i]);
		}
		has_any |= entries[i].ino != 0;
	}
	while (o < cn->n_entries)
		free(cn->entries[o++].name);
	free(list);
	free(cn->entries);
	cn->entries = entries;
	cn->n_entries = n;
	return has_any;
}

/* ---- the image -------------------------------------------------------------------------------------------------- */

static int scan_folder(struct capture_names *cn, int dir, size_t layer, struct strbuf *path, int depth,
		       struct err *err);

static int scan_one(struct capture_names *cn, int dir, size_t layer, const char *name, struct strbuf *path, int depth,
		    struct err *err)
{
	autoclose int sub = -1;
	struct statx sx;
	int r = capture_stat(dir, name, &sx);

	if (r < 0)
		return err_set(err, r, "'%.200s': %s", path->s, strerror(-r));
	if (S_ISDIR(sx.stx_mode)) {
		sub = capture_open_folder(dir, name);
		if (sub < 0)
			return err_set(err, sub, "'%.200s': %s", path->s, strerror(-sub));
		return scan_folder(cn, sub, layer, path, depth + 1, err);
	}
	if (sx.stx_nlink < 2)
		return 0;
	if ((cn->n_names & (cn->n_names - 1)) == 0)
		cn->names = xreallocarray(cn->names, cn->n_names ? cn->n_names * 2 : 1, sizeof(*cn->names));
	cn->names[cn->n_names++] = (struct name){ capture_dev(&sx), sx.stx_ino, layer, xstrdup(path->s) };
	return 0;
}

static int scan_folder(struct capture_names *cn, int dir, size_t layer, struct strbuf *path, int depth, struct err *err)
{
	AUTO(strv_free) char **names = NULL;
	size_t n = 0, len = path->len;
	int r;

	if (depth > CAPTURE_MAX_DEPTH)
		return err_set(err, -ELOOP, "more than %d folders in one another", CAPTURE_MAX_DEPTH);
	r = capture_list(dir, &names, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (len > 0)
			strbuf_addc(path, '/');
		strbuf_adds(path, names[i]);
		r = scan_one(cn, dir, layer, names[i], path, depth, err);
		strbuf_truncate(path, len);
	}
	return r;
}

static int by_inode(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static int scan(struct capture_names *cn, struct err *err)
{
	for (size_t i = 0; i < cn->n_layers; i++) {
		AUTO(strbuf_done) struct strbuf path = STRBUF_INIT;
		int r = scan_folder(cn, cn->layers[i], i, &path, 0, err);

		if (r < 0)
			return err_wrap(err, r, "an image's layer");
	}
	if (cn->n_names > 1)
		qsort(cn->names, cn->n_names, sizeof(*cn->names), by_inode);
	cn->is_scanned = true;
	return 0;
}

static int open_all(struct capture_names *cn, char *const *lower, const char *work, struct err *err)
{
	autofree char *index = path_join(work, "index");

	cn->layers = xcalloc(strv_len(lower) + 1, sizeof(*cn->layers));
	for (size_t i = 0; lower && lower[i]; i++) {
		int fd = capture_open_folder(AT_FDCWD, lower[i]);

		if (fd < 0)
			return err_set(err, fd, "%.200s: %s", lower[i], strerror(-fd));
		cn->layers[cn->n_layers++] = fd;
	}
	cn->index = capture_open_folder(AT_FDCWD, index);
	if (cn->index < 0 && cn->index != -ENOENT)
		return err_set(err, cn->index, "%.200s: %s", index, strerror(-cn->index));
	return 0;
}

int capture_names_open(char *const *lower, const char *work, struct capture_names **ret, struct err *err)
{
	AUTO(capture_names_free) struct capture_names *cn = xcalloc(1, sizeof(*cn));
	int r;

	cn->index = -1;
	r = open_all(cn, lower, work, err);
	if (r == 0 && cn->index >= 0)
		r = read_index(cn, err);
	if (r > 0)
		r = scan(cn, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(cn);
	return 0;
}

/* ---- the copy --------------------------------------------------------------------------------------------------- */

static bool is_opaque(int fd)
{
	char path[40], value[2];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return getxattr(path, OPAQUE, value, sizeof(value)) == 1 && value[0] == 'y';
}

/* What one layer says of @path: -ENOENT nothing, ask the next lower one; -ENOTDIR: there is no such name, whatever lies
 * below; else an O_PATH descriptor. */
static int look_in(int root, const char *path)
{
	autofree char *part = xstrdup(path);
	bool is_hidden = false;
	int fd;

	for (char *c = part;; c++) {
		autoclose int at = -1;
		struct statx sx;
		char end = '\0';

		c += strcspn(c, "/");
		end = *c;
		*c = '\0';
		fd = path_open_beneath(root, part, O_PATH | O_NOFOLLOW, 0, NULL);
		if (fd < 0)
			return fd == -ENOENT && is_hidden ? -ENOTDIR : fd;
		*c = end;
		if (!end)
			return fd;
		at = fd;
		if (capture_stat(at, "", &sx) < 0 || !S_ISDIR(sx.stx_mode))
			return -ENOTDIR;
		is_hidden = is_hidden || is_opaque(at);
	}
}

/* Whether the overlay shows @name's own layer's entry at its path: nothing above has that name or hides it. Returns 1
 * or 0. */
static int is_visible(const struct capture_names *cn, const struct name *name, int upper)
{
	for (size_t i = cn->n_layers; i > name->layer; i--) {
		autoclose int fd = look_in(i == cn->n_layers ? upper : cn->layers[i], name->path);

		if (fd != -ENOENT)
			return 0;
	}
	return 1;
}

/* The folder as the overlay shows it, in the image: the highest layer that has it. */
static int pin_in_image(const struct capture_names *cn, const char *path, struct statx *ret, struct err *err)
{
	for (size_t i = cn->n_layers; i-- > 0;) {
		autoclose int fd = path_open_beneath(cn->layers[i], path, O_PATH | O_NOFOLLOW, 0, NULL);

		if (fd >= 0 && capture_stat(fd, "", ret) == 0 && S_ISDIR(ret->stx_mode))
			return TAKE_FD(fd);
	}
	return err_set(err, -ENOENT, "the image has no '%.200s'", path);
}

/* A folder as it was before something was put into it. */
static void put_times_back(int fd, const struct statx *sx)
{
	struct timespec t[2] = { { .tv_sec = sx->stx_atime.tv_sec, .tv_nsec = sx->stx_atime.tv_nsec },
				 { .tv_sec = sx->stx_mtime.tv_sec, .tv_nsec = sx->stx_mtime.tv_nsec } };

	(void)futimens(fd, t);
}

/* The folder @path in the copy, made as the image has it where the upper did not have it. */
static int open_parent(struct capture_pass *p, const struct capture_names *cn, const char *path, struct err *err)
{
	autofree char *part = xstrdup(path);
	autoclose int dir = capture_open_folder(p->to_fd, ".");

	for (char *c = part; dir >= 0 && *c; c += *c == '/') {
		autoclose int in = -1, sub = -1;
		char *name = c, end;
		struct statx above, sx;
		int r;

		c += strcspn(c, "/");
		end = *c;
		*c = '\0';
		sub = capture_open_folder(dir, name);
		if (sub == -ENOENT) {
			in = pin_in_image(cn, part, &sx, err);
			r = in < 0 ? in : capture_stat(dir, "", &above);
			if (r < 0)
				return r;
			if (mkdirat(dir, name, 0700) < 0)
				return err_sys(err, "'%.200s'", part);
			put_times_back(dir, &above);
			sub = capture_open_folder(dir, name);
			r = sub < 0 ? sub : capture_finish_folder(&p->io, in, &sx, sub, err);
			if (r < 0)
				return r;
			p->stats.folders++;
		}
		*c = end;
		(void)close(dir);
		dir = TAKE_FD(sub);
	}
	return dir < 0 ? err_set(err, dir, "'%.200s': %s", path, strerror(-dir)) : TAKE_FD(dir);
}

/* One more name: of the copy that has been made already, or of one from the index. */
static int add_name(struct capture_pass *p, const struct capture_names *cn, const struct entry *e, const char *path,
		    struct err *err)
{
	const char *base = path_base(path);
	autofree char *folder = xstrndup(path, base == path ? 0 : (size_t)(base - path) - 1);
	autoclose int dir = open_parent(p, cn, folder, err), fd = -1;
	const struct capture_link *l;
	struct statx above, sx;
	int r;

	if (dir < 0)
		return dir;
	fd = capture_pin(cn->index, e->name, &sx);
	r = fd < 0 ? fd : capture_stat(dir, "", &above);
	if (r < 0)
		return err_set(err, r, "%s", strerror(-r));
	l = capture_links_find(&p->links, capture_dev(&sx), sx.stx_ino);
	if (!l || !l->path) {
		static const struct capture_state none;

		r = capture_make(&p->io, fd, &sx, dir, base, err);
		capture_links_put(&p->links, capture_dev(&sx), sx.stx_ino, path, &none);
		p->stats.late_bytes += r == 0 ? sx.stx_size : 0;
		p->stats.cloned_bytes += r == 1 ? sx.stx_size : 0;
		p->stats.bytes += sx.stx_size;
	} else {
		r = linkat(p->to_fd, l->path, dir, base, 0) < 0 ? err_sys(err, "cannot link it") : 0;
	}
	put_times_back(dir, &above);
	p->stats.files++;
	return r < 0 ? r : 0;
}

static int add_names(struct capture_pass *p, const struct capture_names *cn, const struct entry *e, struct err *err)
{
	struct name key = { .dev = e->dev, .ino = e->ino };
	size_t i = 0, n = cn->n_names;

	while (n > 0) { /* the first of that inode */
		if (by_inode(&cn->names[i + n / 2], &key) < 0) {
			i += n / 2 + 1;
			n -= n / 2 + 1;
		} else {
			n /= 2;
		}
	}
	for (; i < cn->n_names && by_inode(&cn->names[i], &key) == 0; i++) {
		int r = is_visible(cn, &cn->names[i], p->to_fd);

		if (r > 0)
			r = add_name(p, cn, e, cn->names[i].path, err);
		if (r < 0)
			return err_wrap(err, r, "'%.200s'", cn->names[i].path);
	}
	return 0;
}

int capture_names_add(struct capture_names *cn, struct capture_pass *p, struct err *err)
{
	int r;

	if (cn->index < 0)
		return 0;
	r = read_index(cn, err);
	if (r > 0 && !cn->is_scanned)
		r = scan(cn, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < cn->n_entries; i++) {
		r = cn->entries[i].ino ? add_names(p, cn, &cn->entries[i], err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}
