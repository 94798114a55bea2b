/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle-upper.c - a tar of changes and a list of deletions become an overlay's upper folder
 *
 * What Podman does on the mounted overlay is done here to the upper folder alone: unpack, then delete. The folder is
 * ours and not in use, so its times can be put right after each change.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "image/attr.h"
#include "image/bundle-private.h"
#include "image/unpack.h"

#define ROOT_MODE 0555 /* as Podman's and ours: CRIU compares it */

/* What these tars unpack to is bounded by their size on disk: they are not packed, and holes cost nothing. */
#define TREE_LIMITS                                                                                                    \
	{                                                                                                              \
		.entries = 100000000, .bytes = 1ULL << 50, .ratio = 1, .ratio_from = 1 << 20                           \
	}

struct upper {
	int fd;
	struct lower *lower;
};

static void upper_done(struct upper *u)
{
	auto_close(&u->fd);
	lower_free(u->lower);
}
AUTO_DEFINE_IN(struct upper, upper_done)

/* A folder that nobody described is as it was: the attributes of the layers' one, if there is one. */
static int adopt(void *ctx, int fd, const char *path, struct timespec *ret_mtime, struct err *err)
{
	const struct upper *u = ctx;
	AUTO(lower_entry_done) struct lower_entry e = { .kind = LOWER_NONE };
	AUTO(attr_list_done) struct attr_list attrs = { 0 };
	struct archive_item item = { .kind = ARCHIVE_KIND_DIR, .mode = 0755 };
	autoclose int from = -1;
	uint64_t n_dropped = 0;
	int r = lower_find(u->lower, path, &e, err);

	if (r < 0)
		return r;
	if (e.kind == LOWER_FOLDER) {
		from = lower_open_entry(u->lower, &e, path, err);
		r = from < 0 ? from : attr_read(from, /* is_upper= */ true, &attrs, err);
		if (r < 0)
			return r;
		item.mode = e.st.st_mode & 07777;
		item.uid = e.st.st_uid;
		item.gid = e.st.st_gid;
		item.mtime = e.st.st_mtim;
		item.xattrs = attrs.v;
		item.n_xattrs = attrs.n;
	}
	*ret_mtime = item.mtime;
	return attr_restore(fd, &item, /* is_upper= */ true, &n_dropped, err);
}

/* Opens the folder @base in @dir_fd for changes; *ret_times is what it gets back afterwards. */
static int keep_times(int fd, struct timespec times[2], struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "fstat");
	times[0] = times[1] = st.st_mtim;
	return 0;
}

static int make_parent(const struct upper *u, int dir_fd, const char *base, const char *path, struct err *err)
{
	struct timespec times[2], mtime;
	autoclose int fd = -1;
	int r = keep_times(dir_fd, times, err);

	if (r < 0)
		return r;
	if (mkdirat(dir_fd, base, 0700) < 0 || futimens(dir_fd, times) < 0)
		return err_sys(err, "cannot create the folder '%.200s'", path);
	fd = openat(dir_fd, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "'%.200s'", path);
	return adopt((void *)u, fd, path, &mtime, err);
}

/* Where a deletion takes place: as far as the upper folder goes, and what the layers show there. */
struct spot {
	struct lower_entry low; /* of the folder where we are, then of the name itself */
	bool is_gone;		/* something that is no folder is on the way */
};

/* One step down: what do the layers show as @path, seen through the upper folder? */
static int step(const struct upper *u, struct spot *s, const char *path, struct err *err)
{
	autoclose int fd = path_open_beneath(u->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);
	struct lower_entry next;
	int r = lower_look(u->lower, &s->low.dir, path, &next, err);

	if (r < 0)
		return r;
	lower_entry_done(&s->low);
	s->low = next;
	if (fd == -ENOENT)
		s->is_gone = next.kind != LOWER_FOLDER;
	else if (fd < 0)
		s->is_gone = true;
	else if (bundle_is_opaque(fd, NULL) == 1)
		lower_entry_done(&s->low);
	return 0;
}

/* The parent of @path in the upper folder; a missing one is made if the layers have the name. Returns a descriptor, or
 * -ENOENT: there is nothing to delete. */
static int open_parent(const struct upper *u, const char *path, bool make, struct err *err)
{
	autoclose int fd = openat(u->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (const char *p = path, *slash; fd >= 0 && (slash = strchr(p, '/')); p = slash + 1) {
		autofree char *here = xstrndup(path, (size_t)(slash - path));
		const char *base = path_base(here);
		int next = openat(fd, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int r;

		if (next < 0 && (errno != ENOENT || !make))
			return -ENOENT;
		if (next < 0) {
			r = make_parent(u, fd, base, here, err);
			next = r < 0 ? r : openat(fd, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (next < 0)
				return r < 0 ? r : err_sys(err, "'%.200s'", here);
		}
		(void)close(fd);
		fd = next;
	}
	return fd >= 0 ? TAKE_FD(fd) : err_sys(err, "upper folder");
}

static int hide(int parent_fd, const char *base, bool is_below, struct err *err)
{
	struct timespec times[2];
	int r = keep_times(parent_fd, times, err);

	if (r == 0)
		r = path_remove_all_at(parent_fd, base, err);
	if (r == 0 && is_below && mknodat(parent_fd, base, S_IFCHR, makedev(0, 0)) < 0)
		r = err_sys(err, "cannot create the whiteout");
	if (r == 0 && futimens(parent_fd, times) < 0)
		r = err_sys(err, "cannot set the folder's time");
	return r;
}

/* @path is clean and not the root. Whatever lies below something that is no folder is not there. */
static int delete (const struct upper *u, const char *path, struct err *err)
{
	struct spot s = { .low = { .kind = LOWER_FOLDER, .dir = lower_root(u->lower) } };
	autoclose int parent = -1;
	bool is_below;
	int r = 0;

	for (const char *p = path, *slash; r == 0 && !s.is_gone && (slash = strchr(p, '/')); p = slash + 1) {
		autofree char *here = xstrndup(path, (size_t)(slash - path));

		r = step(u, &s, here, err);
	}
	if (r == 0 && !s.is_gone) {
		struct lower_entry e = { .kind = LOWER_NONE };

		r = lower_look(u->lower, &s.low.dir, path, &e, err);
		lower_entry_done(&s.low);
		s.low = e;
	}
	is_below = s.low.kind != LOWER_NONE;
	lower_entry_done(&s.low);
	if (r < 0 || s.is_gone)
		return r;
	parent = open_parent(u, path, is_below, err);
	if (parent == -ENOENT)
		return 0;
	return parent < 0 ? parent : hide(parent, path_base(path), is_below, err);
}

static int unpack_diff(const struct upper *u, const char *diff_tar, struct err *err)
{
	const struct unpack_tree tree = { .is_upper = true, .adopt = adopt, .ctx = (void *)u };
	const struct unpack_options options = { .limits = TREE_LIMITS, .tree = &tree };
	autoclose int fd = open(diff_tar, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct unpack_result result;

	if (fd < 0)
		return err_sys(err, "cannot open '%s'", diff_tar);
	return unpack_archive(fd, u->fd, &options, &result, err);
}

static int make_folder(const char *path, mode_t mode, struct err *err)
{
	int fd;

	if (mkdir(path, 0700) < 0 || chmod(path, mode) < 0)
		return err_sys(err, "cannot create '%s'", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? fd : err_sys(err, "cannot open '%s'", path);
}

static int fill_upper(const struct upper *u, const char *diff_tar, char *const *deleted, struct err *err)
{
	int r = diff_tar ? unpack_diff(u, diff_tar, err) : 0;

	for (size_t i = 0; r == 0 && deleted && deleted[i]; i++) {
		const char *path = deleted[i] + strspn(deleted[i], "/");

		r = *path ? delete (u, path, err) : err_set(err, -EINVAL, "the root cannot be deleted");
		if (r < 0)
			r = err_wrap(err, r, "deleted file '%.200s'", path);
	}
	return r;
}

int bundle_make_upper(const char *diff_tar, char *const *deleted, char *const *lower, const char *upper,
		      struct err *err)
{
	AUTO(upper_done) struct upper u = { .fd = -1 };
	int r = lower_open(lower, &u.lower, err);

	if (r < 0)
		return r;
	u.fd = make_folder(upper, ROOT_MODE, err);
	r = u.fd < 0 ? u.fd : fill_upper(&u, diff_tar, deleted, err);
	if (r < 0 && r != -EEXIST)
		(void)path_remove_all(upper, NULL);
	return r < 0 ? err_wrap(err, r, "cannot unpack the root file system's changes") : 0;
}

static int unpack_volume(const char *tar, int folder_fd, struct err *err)
{
	const struct unpack_tree tree = { .is_upper = false };
	const struct unpack_options options = { .limits = TREE_LIMITS, .tree = &tree };
	autoclose int fd = open(tar, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct unpack_result result;

	if (fd < 0)
		return err_sys(err, "cannot open '%s'", tar);
	return unpack_archive(fd, folder_fd, &options, &result, err);
}

int bundle_make_volume(const char *tar, const char *folder, struct err *err)
{
	autoclose int fd = make_folder(folder, 0755, err);
	int r = fd < 0 ? fd : unpack_volume(tar, fd, err);

	if (r < 0 && r != -EEXIST)
		(void)path_remove_all(folder, NULL);
	return r < 0 ? err_wrap(err, r, "cannot unpack the volume") : 0;
}
