/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture-xattr.c - extended attributes of whatever kind of file, through /proc/self/fd/N
 *
 * All are kept but those by which an overlay refers to inodes of other trees. They are true for the very inode that
 * carries them, and a copy is another one:
 *
 *   trusted.overlay.origin  the file handle of the image's inode. A folder whose handle does not fit is *not merged*
 *                           with the image's under nfs_export=on: over layers that were unpacked again, or on another
 *                           host, its content would be gone. Without it the kernel merges by name, as it did the first
 *                           time, and notes the handle anew.
 *   trusted.overlay.impure  "there are origins among the children": the kernel sets it again together with them.
 *   trusted.overlay.nlink   how many names the inode has beyond what the file system counts, relative to the entry in
 *                           the index, which lies in the work folder and is not copied.
 *   trusted.overlay.upper   the file handle of a folder of the upper; only in an index.
 *
 * What says something about the merged view stays: opaque, redirect, metacopy, whiteout(s), protattr, and uuid, by
 * which statfs(2) tells processes one file system from another.
 */
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/mem.h"
#include "base/str.h"
#include "image/capture-private.h"

struct capture_xattrs {
	char *names[2]; /* of the original, of the copy */
	char *value;
	const char **sorted;
	size_t sorted_cap;
};

static const char *const host_bound[] = {
	"trusted.overlay.impure",
	"trusted.overlay.nlink",
	"trusted.overlay.origin",
	"trusted.overlay.upper",
};

struct capture_xattrs *capture_xattrs_new(void)
{
	struct capture_xattrs *x = xcalloc(1, sizeof(*x));

	for (size_t i = 0; i < ARRAY_SIZE(x->names); i++)
		x->names[i] = xmalloc(XATTR_LIST_MAX);
	x->value = xmalloc(XATTR_SIZE_MAX);
	return x;
}

void capture_xattrs_free(struct capture_xattrs *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(x->names); i++)
		free(x->names[i]);
	free(x->value);
	free(x->sorted);
	free(x);
}

static bool is_kept(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(host_bound); i++)
		if (str_eq(name, host_bound[i]))
			return false;
	return true;
}

struct link {
	char path[40];
};

static struct link link_to(int fd)
{
	struct link l;

	(void)snprintf(l.path, sizeof(l.path), "/proc/self/fd/%d", fd);
	return l;
}

/* The names, one after the other, each with its NUL. A file system without attributes has none. */
static ssize_t list_names(const char *path, char *names, struct err *err)
{
	ssize_t n = listxattr(path, names, XATTR_LIST_MAX);

	if (n < 0 && errno == EOPNOTSUPP)
		return 0;
	return n < 0 ? err_sys(err, "cannot list its attributes") : n;
}

static bool has_name(const char *names, ssize_t len, const char *name)
{
	for (const char *s = names; s < names + len; s += strlen(s) + 1)
		if (str_eq(s, name))
			return true;
	return false;
}

/* The length of the value; -ENODATA without words when it is gone. */
static ssize_t get_value(struct capture_xattrs *x, const char *path, const char *name, struct err *err)
{
	ssize_t n = getxattr(path, name, x->value, XATTR_SIZE_MAX);

	if (n < 0 && errno == ENODATA)
		return -ENODATA;
	return n < 0 ? err_sys(err, "cannot read the attribute %.100s", name) : n;
}

/* What the copy got from its folder (a default ACL) or had before, and the original does not have. */
static int remove_others(struct capture_xattrs *x, const char *to, ssize_t from_len, ssize_t to_len, struct err *err)
{
	for (const char *s = x->names[1]; s < x->names[1] + to_len; s += strlen(s) + 1) {
		if (is_kept(s) && has_name(x->names[0], from_len, s))
			continue;
		/* A security module's own label cannot be taken off. */
		if (removexattr(to, s) < 0 && errno != ENODATA && !str_after(s, "security."))
			return err_sys(err, "cannot remove the attribute %.100s", s);
	}
	return 0;
}

int capture_xattrs_copy(struct capture_xattrs *x, int from, int to, struct err *err)
{
	struct link from_link = link_to(from), to_link = link_to(to);
	ssize_t from_len, to_len, len;
	int r;

	from_len = list_names(from_link.path, x->names[0], err);
	if (from_len < 0)
		return (int)from_len;
	to_len = list_names(to_link.path, x->names[1], err);
	if (to_len < 0)
		return (int)to_len;
	if (to_len > 0) {
		r = remove_others(x, to_link.path, from_len, to_len, err);
		if (r < 0)
			return r;
	}
	for (const char *s = x->names[0]; s < x->names[0] + from_len; s += strlen(s) + 1) {
		if (!is_kept(s))
			continue;
		len = get_value(x, from_link.path, s, err);
		if (len == -ENODATA)
			continue; /* of a live tree */
		if (len < 0)
			return (int)len;
		if (setxattr(to_link.path, s, x->value, (size_t)len, 0) < 0)
			return err_sys(err, "cannot set the attribute %.100s", s);
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t sort_names(struct capture_xattrs *x, ssize_t len)
{
	size_t n = 0;

	for (const char *s = x->names[0]; s < x->names[0] + len; s += strlen(s) + 1) {
		if (!is_kept(s))
			continue;
		if (n == x->sorted_cap) {
			x->sorted_cap = n ? n * 2 : 16;
			x->sorted = xreallocarray(x->sorted, x->sorted_cap, sizeof(*x->sorted));
		}
		x->sorted[n++] = s;
	}
	if (n > 1)
		qsort(x->sorted, n, sizeof(*x->sorted), by_name);
	return n;
}

int capture_xattrs_digest(struct capture_xattrs *x, int fd, char out[DIGEST_HEX_SIZE], struct err *err)
{
	AUTO(digest_free) struct digest *d = NULL;
	struct link link = link_to(fd);
	ssize_t len = list_names(link.path, x->names[0], err);
	size_t n;

	if (len < 0)
		return (int)len;
	n = sort_names(x, len);
	if (n == 0) {
		memcpy(out, "-", sizeof("-"));
		return 0;
	}
	d = digest_new();
	for (size_t i = 0; i < n; i++) {
		char size[24];

		len = get_value(x, link.path, x->sorted[i], err);
		if (len < 0)
			return err_set(err, (int)len, "cannot read the attribute %.100s", x->sorted[i]);
		(void)snprintf(size, sizeof(size), "%zd", len);
		digest_add(d, x->sorted[i], strlen(x->sorted[i]) + 1);
		digest_add(d, size, strlen(size) + 1);
		digest_add(d, x->value, (size_t)len);
	}
	digest_hex(d, out);
	return 0;
}
