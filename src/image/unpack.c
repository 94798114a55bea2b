/* SPDX-License-Identifier: Apache-2.0 */
/* unpack.c - a tar archive from an untrusted image becomes a folder, and nothing outside of it is touched */
#include "image/unpack.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "image/attr.h"
#include "image/tree.h"

#define WHITEOUT      ".wh."
#define WHITEOUT_META ".wh..wh." /* what aufs kept for itself */
#define OPAQUE	      ".wh..wh..opq"
#define OPAQUE_XATTR  "trusted.overlay.opaque"

#define MAX_DIR_NAMES (64ULL << 20) /* bytes of names remembered for their times */
#define TICK_BYTES    (4ULL << 20)

/* A folder's time is set at the end: what is put into it changes it. */
struct dir_time {
	char *path;
	struct timespec mtime;
};

struct unpack {
	int root_fd;
	const struct unpack_options *options;
	struct archive_reader *reader;
	struct unpack_result result;
	struct dir_time *dirs;
	size_t n_dirs, cap_dirs;
	uint64_t dir_name_bytes;
	uint64_t next_tick; /* in bytes read */
};

/* Where one member goes. */
struct place {
	int parent_fd;
	const char *base;
	char *path; /* its real path */
};

static void unpack_done(struct unpack *u)
{
	archive_reader_free(u->reader);
	for (size_t i = 0; i < u->n_dirs; i++)
		free(u->dirs[i].path);
	free(u->dirs);
}
AUTO_DEFINE_IN(struct unpack, unpack_done)

static void place_done(struct place *p)
{
	auto_close(&p->parent_fd);
	free(p->path);
}
AUTO_DEFINE_IN(struct place, place_done)

static int tick(struct unpack *u, struct err *err)
{
	uint64_t now = archive_reader_packed_bytes(u->reader);

	if (now < u->next_tick)
		return 0;
	u->next_tick = now + TICK_BYTES;
	return image_watch_tick(u->options->watch, u->options->what, now, err);
}

static int remember_dir(struct unpack *u, const char *path, struct timespec mtime, struct err *err)
{
	u->dir_name_bytes += strlen(path) + sizeof(*u->dirs);
	if (u->dir_name_bytes > MAX_DIR_NAMES)
		return err_set(err, -E2BIG, "it has too many folders");
	if (u->n_dirs == u->cap_dirs) {
		u->cap_dirs = u->cap_dirs ? u->cap_dirs * 2 : 64;
		u->dirs = xreallocarray(u->dirs, u->cap_dirs, sizeof(*u->dirs));
	}
	u->dirs[u->n_dirs++] = (struct dir_time){ xstrdup(path), mtime };
	return 0;
}

static int set_opaque(int parent_fd, const char *base, struct err *err)
{
	autoclose int fd = openat(parent_fd, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fsetxattr(fd, OPAQUE_XATTR, "y", 1, 0) < 0)
		return err_sys(err, "cannot mark '%.200s' as opaque", base);
	return 0;
}

/* What is at @base already? 0 nothing (any more), 1 a folder that stays because a folder is to come, 2 there was a
 * whiteout, 3 there was something else. */
enum { WAS_NOTHING, WAS_DIR, WAS_WHITEOUT, WAS_OTHER };
static int make_room(int parent_fd, const char *base, bool for_dir, struct err *err)
{
	struct stat st;
	int r;

	if (fstatat(parent_fd, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? WAS_NOTHING : err_sys(err, "%.200s", base);
	if (for_dir && S_ISDIR(st.st_mode))
		return WAS_DIR;
	r = path_remove_all_at(parent_fd, base, err);
	if (r < 0)
		return r;
	return S_ISCHR(st.st_mode) && st.st_rdev == 0 ? WAS_WHITEOUT : WAS_OTHER;
}

/* A folder that stands where this layer has put a whiteout hides the one below it; as it does in an upper folder, where
 * what came before it did so. */
static int make_dir(struct unpack *u, int parent_fd, const char *base, mode_t mode, struct err *err)
{
	const struct unpack_tree *tree = u->options->tree;
	int was = make_room(parent_fd, base, /* for_dir= */ true, err);

	if (was < 0)
		return was;
	if (was == WAS_DIR)
		return 0;
	if (mkdirat(parent_fd, base, mode) < 0 || fchmodat(parent_fd, base, mode, 0) < 0)
		return err_sys(err, "cannot create the folder '%.200s'", base);
	if (was == WAS_NOTHING || (tree ? !tree->is_upper : was == WAS_OTHER))
		return 0;
	return set_opaque(parent_fd, base, err);
}

/* tree.h asks for a folder that the archive does not mention. Its time is fixed so that a layer is the same each time.
 */
static int make_missing_dir(void *ctx, int parent_fd, const char *base, const char *path, struct err *err)
{
	struct unpack *u = ctx;
	const struct unpack_tree *tree = u->options->tree;
	struct timespec mtime = { 0 };
	autoclose int fd = -1;
	int r;

	r = make_dir(u, parent_fd, base, u->options->is_layer || tree ? 0755 : 0700, err);
	if (r < 0)
		return r;
	if (tree && tree->adopt) {
		fd = openat(parent_fd, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = fd < 0 ? err_sys(err, "cannot open the new folder") : tree->adopt(tree->ctx, fd, path, &mtime, err);
	}
	return r < 0 ? r : remember_dir(u, path, mtime, err);
}

static int open_place(struct unpack *u, const char *name, struct place *p, struct err *err)
{
	AUTO(strbuf_done) struct strbuf parent = STRBUF_INIT;

	p->parent_fd = tree_open_parent(u->root_fd, name, make_missing_dir, u, &parent, err);
	if (p->parent_fd < 0)
		return p->parent_fd;
	p->base = path_base(name);
	p->path = tree_path(&parent, p->base);
	return 0;
}

/* What has been opened as @fd; and what cannot be, because that has side effects. */
static int set_attrs(struct unpack *u, int fd, const struct archive_item *item, struct err *err)
{
	if (u->options->tree)
		return attr_restore(fd, item, u->options->tree->is_upper, &u->result.xattrs, err);
	return u->options->is_layer ? attr_set(fd, item, &u->result.xattrs, err) : 0;
}

static int set_attrs_at(struct unpack *u, const struct place *p, const struct archive_item *item, struct err *err)
{
	autoclose int fd = -1;

	if (!u->options->tree)
		return u->options->is_layer ? attr_set_at(p->parent_fd, p->base, item, &u->result.xattrs, err) : 0;
	fd = openat(p->parent_fd, p->base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "cannot open what was made") : set_attrs(u, fd, item, err);
}

static int write_data(struct unpack *u, int fd, uint64_t size, struct err *err)
{
	uint64_t offset, end = 0;
	const void *data;
	size_t len;
	int r;

	while ((r = archive_reader_data(u->reader, &data, &len, &offset, err)) > 0) {
		r = file_write_at(fd, data, len, offset, err);
		if (r == 0)
			r = tick(u, err);
		if (r < 0)
			return r;
		u->result.bytes += len;
		if (offset + len > end)
			end = offset + len;
	}
	if (r < 0)
		return r;
	if (end < size && ftruncate(fd, (off_t)size) < 0)
		return err_sys(err, "cannot make it %llu bytes long", (unsigned long long)size);
	return 0;
}

static int put_file(struct unpack *u, const struct place *p, const struct archive_item *item, struct err *err)
{
	autoclose int fd = -1;
	int r;

	if (item->size > u->options->limits.bytes)
		return err_set(err, -E2BIG, "it is larger than the limit of %llu bytes",
			       (unsigned long long)u->options->limits.bytes);
	r = make_room(p->parent_fd, p->base, /* for_dir= */ false, err);
	if (r < 0)
		return r;
	fd = openat(p->parent_fd, p->base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, "cannot create it");
	r = write_data(u, fd, item->size, err);
	if (r < 0)
		return r;
	return set_attrs(u, fd, item, err);
}

static int put_dir(struct unpack *u, const struct place *p, const struct archive_item *item, struct err *err)
{
	autoclose int fd = -1;
	int r;

	r = make_dir(u, p->parent_fd, p->base, 0700, err);
	if (r < 0)
		return r;
	fd = openat(p->parent_fd, p->base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cannot open the new folder");
	r = set_attrs(u, fd, item, err);
	if (r < 0)
		return r;
	return remember_dir(u, p->path, attr_time(item->mtime), err);
}

static int put_symlink(struct unpack *u, const struct place *p, const struct archive_item *item, struct err *err)
{
	int r = make_room(p->parent_fd, p->base, /* for_dir= */ false, err);

	if (r < 0)
		return r;
	if (symlinkat(item->target ? item->target : "", p->parent_fd, p->base) < 0)
		return err_sys(err, "cannot create the symbolic link");
	return set_attrs_at(u, p, item, err);
}

static int put_fifo(struct unpack *u, const struct place *p, const struct archive_item *item, struct err *err)
{
	int r = make_room(p->parent_fd, p->base, /* for_dir= */ false, err);

	if (r < 0)
		return r;
	if (mkfifoat(p->parent_fd, p->base, 0600) < 0)
		return err_sys(err, "cannot create the pipe");
	return set_attrs_at(u, p, item, err);
}

static int put_device(struct unpack *u, const struct place *p, const struct archive_item *item, struct err *err)
{
	mode_t type = item->is_block ? S_IFBLK : S_IFCHR;
	int r;

	if (!u->options->tree) {
		u->result.devices++;
		return 0;
	}
	if (u->options->tree->is_upper && !item->is_block && item->major == 0 && item->minor == 0)
		return err_set(err, -EINVAL, "it is a whiteout of overlayfs");
	r = make_room(p->parent_fd, p->base, /* for_dir= */ false, err);
	if (r < 0)
		return r;
	if (mknodat(p->parent_fd, p->base, type | 0600, makedev(item->major, item->minor)) < 0)
		return err_sys(err, "cannot create the device node");
	return set_attrs_at(u, p, item, err);
}

static bool is_linkable(const struct unpack *u, const struct stat *st)
{
	if (u->options->tree && !S_ISDIR(st->st_mode))
		return true;
	return S_ISREG(st->st_mode) || S_ISLNK(st->st_mode) || S_ISFIFO(st->st_mode);
}

/* The target is a name in the same archive; a link to a symlink is a second name of the symlink itself. */
static int put_hardlink(struct unpack *u, const struct place *p, const struct archive_item *item, struct err *err)
{
	AUTO(strbuf_done) struct strbuf parent = STRBUF_INIT;
	char target[TREE_NAME_SIZE];
	autoclose int from_fd = -1;
	struct stat from, to;
	const char *base;
	int r;

	r = tree_clean_name(item->target ? item->target : "", target, err);
	if (r < 0)
		return r;
	from_fd = tree_open_parent(u->root_fd, target, /* make= */ NULL, NULL, &parent, err);
	if (from_fd < 0)
		return err_wrap(err, from_fd, "hard link to '%.100s'", target);
	base = path_base(target);
	if (!*base || fstatat(from_fd, base, &from, AT_SYMLINK_NOFOLLOW) < 0 || !is_linkable(u, &from))
		return err_set(err, -EINVAL, "hard link to '%.200s', which is no file in this archive", target);
	if (fstatat(p->parent_fd, p->base, &to, AT_SYMLINK_NOFOLLOW) == 0 && to.st_ino == from.st_ino)
		return 0;
	r = make_room(p->parent_fd, p->base, /* for_dir= */ false, err);
	if (r < 0)
		return r;
	if (linkat(from_fd, base, p->parent_fd, p->base, 0) < 0)
		return err_sys(err, "hard link to '%.200s'", target);
	return 0;
}

/* ".wh.NAME": hides NAME of the layers below. What this layer itself has put there stays. */
static int put_whiteout(struct unpack *u, const struct place *p, struct err *err)
{
	const char *name = str_after(p->base, WHITEOUT);
	struct stat st;

	u->result.whiteouts++;
	if (!*name || str_eq(name, ".") || str_eq(name, ".."))
		return err_set(err, -EINVAL, "a whiteout without a proper name");
	if (fstatat(p->parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return S_ISDIR(st.st_mode) ? set_opaque(p->parent_fd, name, err) : 0;
	if (mknodat(p->parent_fd, name, S_IFCHR, makedev(0, 0)) < 0)
		return err_sys(err, "cannot create the whiteout");
	return 0;
}

/* The archive's own root: its time counts, its mode and owner do not. */
static int put_root(struct unpack *u, const struct archive_item *item, struct err *err)
{
	if (item->kind != ARCHIVE_KIND_DIR)
		return err_set(err, -EINVAL, "the root is not a folder");
	if (u->options->tree) {
		int r = set_attrs(u, u->root_fd, item, err);

		if (r < 0)
			return r;
	} else {
		u->result.xattrs += item->n_xattrs;
	}
	return remember_dir(u, "", attr_time(item->mtime), err);
}

enum verdict { KEEP, SKIP, HIDE, HIDE_ALL };

/* What the special names mean; in @name, which is clean. */
static int judge_name(const char *name, struct err *err)
{
	for (const char *part = name; part; part = strchr(part, '/')) {
		part += *part == '/';
		if (!str_after(part, WHITEOUT))
			continue;
		if (str_eq(part, OPAQUE))
			return HIDE_ALL;
		if (str_after(part, WHITEOUT_META))
			return SKIP;
		if (strchr(part, '/'))
			return err_set(err, -EINVAL, "a whiteout used as a folder");
		return HIDE;
	}
	return KEEP;
}

static int put_opaque(struct unpack *u, const struct place *p, struct err *err)
{
	autoclose int fd = openat(p->parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	u->result.whiteouts++;
	if (fd < 0 || fsetxattr(fd, OPAQUE_XATTR, "y", 1, 0) < 0)
		return err_sys(err, "cannot mark its folder as opaque");
	return 0;
}

static int put_kind(struct unpack *u, const struct place *p, const struct archive_item *item, struct err *err)
{
	switch (item->kind) {
	case ARCHIVE_KIND_FILE:
		return put_file(u, p, item, err);
	case ARCHIVE_KIND_DIR:
		return put_dir(u, p, item, err);
	case ARCHIVE_KIND_SYMLINK:
		return put_symlink(u, p, item, err);
	case ARCHIVE_KIND_HARDLINK:
		return put_hardlink(u, p, item, err);
	case ARCHIVE_KIND_FIFO:
		return put_fifo(u, p, item, err);
	case ARCHIVE_KIND_DEVICE:
		return put_device(u, p, item, err);
	case ARCHIVE_KIND_OTHER:
		break;
	}
	u->result.devices++;
	return 0;
}

static bool is_id(int64_t id)
{
	return id >= 0 && id < UINT32_MAX; /* UINT32_MAX means "leave it" */
}

static int put(struct unpack *u, const struct archive_item *item, struct err *err)
{
	AUTO(place_done) struct place p = { .parent_fd = -1 };
	char name[TREE_NAME_SIZE];
	int verdict, r;

	r = tree_clean_name(item->name, name, err);
	if (r < 0)
		return r;
	if (!is_id(item->uid) || !is_id(item->gid))
		return err_set(err, -EINVAL, "'%.200s' has an impossible owner", name);
	verdict = u->options->is_layer ? judge_name(name, err) : KEEP;
	if (verdict < 0)
		return err_wrap(err, verdict, "'%.200s'", name);
	if (verdict == SKIP)
		return 0;
	r = *name ? open_place(u, name, &p, err) : 0;
	if (r < 0)
		return r;
	if (!*name)
		r = put_root(u, item, err);
	else if (verdict == HIDE)
		r = put_whiteout(u, &p, err);
	else if (verdict == HIDE_ALL)
		r = put_opaque(u, &p, err);
	else
		r = put_kind(u, &p, item, err);
	return r < 0 ? err_wrap(err, r, "'%.200s'", name) : 0;
}

/* A folder that was replaced by something else since is none of ours any more. */
static int set_dir_times(struct unpack *u, struct err *err)
{
	for (size_t i = 0; i < u->n_dirs; i++) {
		const struct dir_time *d = &u->dirs[i];
		struct timespec times[2] = { d->mtime, d->mtime };
		autoclose int fd = path_open_beneath(u->root_fd, *d->path ? d->path : ".",
						     O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);

		if (fd >= 0 && futimens(fd, times) < 0)
			return err_sys(err, "cannot set the time of '%.200s'", d->path);
	}
	return 0;
}

static int finish_root(struct unpack *u, struct err *err)
{
	if (u->options->tree)
		return set_dir_times(u, err);
	if (!u->options->is_layer)
		return 0;
	if (fchown(u->root_fd, 0, 0) < 0 || fchmod(u->root_fd, 0555) < 0)
		return err_sys(err, "cannot set the mode of the root");
	return set_dir_times(u, err);
}

int unpack_archive(int fd, int folder_fd, const struct unpack_options *options, struct unpack_result *ret,
		   struct err *err)
{
	AUTO(unpack_done) struct unpack u = { .root_fd = folder_fd, .options = options };
	struct archive_item item;
	int r;

	r = archive_reader_open(fd, &options->limits, &u.reader, err);
	if (r < 0)
		return r;
	while ((r = archive_reader_next(u.reader, &item, err)) > 0) {
		r = put(&u, &item, err);
		if (r == 0)
			r = tick(&u, err);
		if (r < 0)
			return r;
		u.result.entries++;
	}
	if (r < 0)
		return r;
	r = finish_root(&u, err);
	if (r == 0)
		r = archive_reader_finish(u.reader, &u.result.sums, err);
	if (r < 0)
		return r;
	*ret = u.result;
	return 0;
}
