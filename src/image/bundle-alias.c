/* SPDX-License-Identifier: Apache-2.0 */
/* bundle-alias.c - names in the layers that show a file of the upper folder */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "image/bundle-private.h"

#define MAX_ORIGIN 255

/* The beginning of trusted.overlay.origin (struct ovl_fb of the kernel's fs/overlayfs): the file handle follows. */
struct origin {
	unsigned char version, magic, len, flags, type;
	unsigned char uuid[16];
} __attribute__((packed));

struct bundle_alias {
	unsigned char origin[MAX_ORIGIN];
	size_t len;
	char *name;
};

struct search {
	const struct bundle_aliases *aliases;
	struct bundle_tar *t;
	const struct lower *lower;
};

void bundle_aliases_done(struct bundle_aliases *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->v[i].name);
	free(a->v);
	*a = (struct bundle_aliases){ 0 };
}

/* "U+1": one more name than the file in the upper folder had itself, of whose names one was in overlayfs's index.
 * "L…", relative to the original, is written in the middle of a copy only. */
static bool has_names_below(const char *nlink)
{
	return nlink[0] == 'L' || (nlink[0] == 'U' && atoi(nlink + 1) >= 0);
}

void bundle_aliases_note(struct bundle_aliases *a, int fd, const char *name)
{
	struct bundle_alias alias = { .name = NULL };
	char path[32], nlink[32] = "";
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (getxattr(path, "trusted.overlay.nlink", nlink, sizeof(nlink) - 1) <= 0 || !has_names_below(nlink))
		return;
	n = getxattr(path, "trusted.overlay.origin", alias.origin, sizeof(alias.origin));
	if (n <= (ssize_t)sizeof(struct origin))
		return;
	alias.len = (size_t)n;
	alias.name = xstrdup(name);
	a->v = xreallocarray(a->v, a->n + 1, sizeof(*a->v));
	a->v[a->n++] = alias;
}

static bool is_origin(const struct bundle_alias *alias, const struct file_handle *handle)
{
	const struct origin *o = (const struct origin *)alias->origin;
	size_t len = alias->len - sizeof(*o);

	/* overlayfs pads the handle to whole words */
	return o->type == handle->handle_type && len >= handle->handle_bytes && len - handle->handle_bytes < 4 &&
	       memcmp(alias->origin + sizeof(*o), handle->f_handle, handle->handle_bytes) == 0;
}

static int link_if_alias(const struct search *s, const struct lower_entry *e, const char *path, struct err *err)
{
	autoclose int fd = lower_open_entry(s->lower, e, path, err);
	autofree struct file_handle *handle = xcalloc(1, sizeof(*handle) + MAX_HANDLE_SZ);
	struct archive_item item = { .kind = ARCHIVE_KIND_HARDLINK, .name = path };
	int mount;

	if (fd < 0)
		return fd;
	handle->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(fd, "", handle, &mount, AT_EMPTY_PATH) < 0)
		return 0; /* a file system without handles: then there was no index either */
	for (size_t i = 0; i < s->aliases->n; i++) {
		if (!is_origin(&s->aliases->v[i], handle))
			continue;
		item.target = s->aliases->v[i].name;
		return archive_writer_add(s->t->wr, &item, err);
	}
	return 0;
}

/* Opens the upper folder's @base for a search below it. -ENOENT: there is none, all is as in the layers; -ENOTDIR: what
 * is there hides them. */
static int open_upper(int dir_fd, const char *base, struct err *err)
{
	autoclose int fd = -1;
	struct stat st;
	int r;

	if (dir_fd < 0 || (fstatat(dir_fd, base, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT))
		return -ENOENT;
	fd = openat(dir_fd, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -ENOTDIR;
	r = bundle_is_opaque(fd, err);
	if (r < 0)
		return r;
	return r == 1 ? -ENOTDIR : TAKE_FD(fd);
}

static int search_dir(const struct search *s, int upper_fd, const char *path, const struct lower_dir *low,
		      struct err *err)
{
	AUTO(strv_free) char **names = NULL;
	int r = lower_list(s->lower, low, path, &names, err);

	for (size_t i = 0; r == 0 && names[i]; i++) {
		AUTO(lower_entry_done) struct lower_entry e = { .kind = LOWER_NONE };
		autoclose int fd = open_upper(upper_fd, names[i], err);
		autofree char *sub = NULL;

		if (fd == -ENOTDIR)
			continue;
		if (fd < 0 && fd != -ENOENT)
			return fd;
		r = bundle_path(path, names[i], &sub, err);
		if (r == 0)
			r = lower_look(s->lower, low, sub, &e, err);
		if (r == 0 && e.kind == LOWER_FOLDER)
			r = search_dir(s, fd, sub, &e.dir, err);
		else if (r == 0 && e.kind == LOWER_OTHER && fd == -ENOENT && e.st.st_nlink > 1)
			r = link_if_alias(s, &e, sub, err);
	}
	return r;
}

int bundle_aliases_add(const struct bundle_aliases *a, struct bundle_tar *t, int upper_fd, const struct lower *lower,
		       struct err *err)
{
	AUTO(lower_dir_done) struct lower_dir root = lower_root(lower);
	const struct search s = { a, t, lower };

	return a->n > 0 ? search_dir(&s, upper_fd, "", &root, err) : 0;
}
