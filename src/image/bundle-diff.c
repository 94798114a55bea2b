/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle-diff.c - an upper folder as a tar of what is there and a list of what is gone
 *
 * Who imports it unpacks the tar over the image (folders stay, anything else is replaced) and then removes what is
 * listed. So a folder that took another one's place needs a line for each thing the old one had and the new one has
 * not. Podman's importer resolves the last part of a listed path, too, and would remove what a symlink points to: a
 * symlink that is gone is therefore replaced by an empty file first.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/str.h"
#include "base/strv.h"
#include "image/bundle-private.h"

struct diff {
	struct bundle_tar *t;
	const struct lower *lower;
	struct strbuf *deleted; /* or NULL */
	struct bundle_aliases aliases;
};

/* A folder of the upper tree. */
struct place {
	int fd;
	const char *path;
	const struct lower_dir *low; /* what the layers had there */
	bool is_hidden;		     /* and is not seen any more */
};

bool bundle_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

int bundle_is_opaque(int fd, struct err *err)
{
	char value[2];
	ssize_t n = fgetxattr(fd, "trusted.overlay.opaque", value, sizeof(value));

	if (n < 0 && errno != ENODATA && errno != EOPNOTSUPP)
		return err_sys(err, "trusted.overlay.opaque");
	if (fgetxattr(fd, "trusted.overlay.redirect", NULL, 0) > 0)
		return err_set(err, -EOPNOTSUPP,
			       "a folder was renamed by overlayfs's redirect_dir, which is not supported");
	return n == 1 && value[0] == 'y';
}

static int delete (struct diff *d, const char *path, const struct lower_entry *was, struct err *err)
{
	const struct archive_item placeholder = { .kind = ARCHIVE_KIND_FILE, .name = path, .mode = 0600 };

	if (d->deleted) {
		strbuf_addc(d->deleted, '/');
		strbuf_add(d->deleted, path, strlen(path) + 1);
	}
	return was->kind == LOWER_OTHER && S_ISLNK(was->st.st_mode) ? archive_writer_add(d->t->wr, &placeholder, err)
								    : 0;
}

/* A name for which the tar has nothing. */
static bool is_nothing(const struct stat *st)
{
	return bundle_is_whiteout(st) || S_ISSOCK(st->st_mode);
}

static int diff_dir(struct diff *d, const struct place *p, struct err *err);

static int diff_subdir(struct diff *d, const struct place *p, const char *base, const char *path,
		       const struct lower_entry *was, struct err *err)
{
	autoclose int fd = openat(p->fd, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct place sub = { .fd = fd, .path = path, .low = &was->dir };
	int r;

	if (fd < 0)
		return err_sys(err, "'%.200s'", path);
	r = bundle_is_opaque(fd, err);
	if (r < 0)
		return err_wrap(err, r, "'%.200s'", path);
	sub.is_hidden = p->is_hidden || r == 1;
	return diff_dir(d, &sub, err);
}

static int diff_one(struct diff *d, const struct place *p, const char *base, struct err *err)
{
	AUTO(lower_entry_done) struct lower_entry was = { .kind = LOWER_NONE };
	autoclose int fd = openat(p->fd, base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	autofree char *path = NULL;
	struct stat st;
	int r = bundle_path(p->path, base, &path, err);

	if (r < 0)
		return r;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "'%.200s'", path);
	r = lower_look(d->lower, p->low, path, &was, err);
	if (r < 0)
		return r;
	if (is_nothing(&st))
		return p->is_hidden || was.kind == LOWER_NONE ? 0 : delete (d, path, &was, err);
	r = bundle_tar_add(d->t, p->fd, base, path, err);
	if (r < 0)
		return r;
	if (S_ISDIR(st.st_mode))
		return diff_subdir(d, p, base, path, &was, err);
	bundle_aliases_note(&d->aliases, fd, path);
	return 0;
}

/* What the layers had in a folder that has been replaced, and the new one has not. */
static int delete_absent(struct diff *d, const struct place *p, struct err *err)
{
	AUTO(strv_free) char **names = NULL;
	int r = lower_list(d->lower, p->low, p->path, &names, err);

	for (size_t i = 0; r == 0 && names[i]; i++) {
		AUTO(lower_entry_done) struct lower_entry was = { .kind = LOWER_NONE };
		autofree char *path = NULL;
		struct stat st;

		if (fstatat(p->fd, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && !is_nothing(&st))
			continue;
		r = bundle_path(p->path, names[i], &path, err);
		if (r == 0)
			r = lower_look(d->lower, p->low, path, &was, err);
		if (r == 0 && was.kind != LOWER_NONE)
			r = delete (d, path, &was, err);
	}
	return r;
}

static int diff_dir(struct diff *d, const struct place *p, struct err *err)
{
	AUTO(strv_free) char **names = NULL;
	int r = bundle_names(p->fd, &names, err);

	if (r < 0)
		return err_wrap(err, r, "'%.200s'", p->path);
	for (size_t i = 0; r == 0 && names[i]; i++)
		r = diff_one(d, p, names[i], err);
	return r == 0 && p->is_hidden && p->low->n > 0 ? delete_absent(d, p, err) : r;
}

int bundle_diff(struct bundle_tar *t, const char *upper, const struct lower *lower, struct strbuf *deleted,
		struct err *err)
{
	AUTO(lower_dir_done) struct lower_dir root = lower_root(lower);
	autoclose int fd = open(upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct diff d = { .t = t, .lower = lower, .deleted = deleted };
	const struct place p = { .fd = fd, .path = "", .low = &root };
	int r;

	if (fd < 0)
		return err_sys(err, "cannot open '%s'", upper);
	r = bundle_tar_add(t, fd, ".", ".", err);
	if (r == 0)
		r = diff_dir(&d, &p, err);
	if (r == 0)
		r = bundle_aliases_add(&d.aliases, t, fd, lower, err);
	bundle_aliases_done(&d.aliases);
	return r;
}
