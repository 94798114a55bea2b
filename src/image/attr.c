/* SPDX-License-Identifier: Apache-2.0 */
/* attr.c - owner, mode, time and extended attributes of one member of an archive */
#include "image/attr.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/str.h"

#define CAPABILITY "security.capability"

struct timespec attr_time(struct timespec t)
{
	if (t.tv_nsec < 0 || t.tv_nsec > 999999999)
		t.tv_nsec = 0;
	return t;
}

static bool is_kept(const char *name)
{
	if (str_eq(name, CAPABILITY))
		return true;
	return str_after(name, "user.") && !str_after(name, "user.overlay.");
}

static int set_xattrs(int fd, const struct archive_item *item, uint64_t *n_dropped, struct err *err)
{
	for (size_t i = 0; i < item->n_xattrs; i++) {
		const struct archive_xattr *x = &item->xattrs[i];

		if (is_kept(x->name) && fsetxattr(fd, x->name, x->value, x->size, 0) == 0)
			continue;
		if (is_kept(x->name) && (errno != EOPNOTSUPP || str_eq(x->name, CAPABILITY)))
			return err_sys(err, "cannot set the attribute %.100s", x->name);
		++*n_dropped;
	}
	return 0;
}

int attr_set(int fd, const struct archive_item *item, uint64_t *n_dropped, struct err *err)
{
	struct timespec t = attr_time(item->mtime), times[2] = { t, t };
	int r;

	/* The order matters: a change of owner takes setuid and capabilities away. */
	if (fchown(fd, (uid_t)item->uid, (gid_t)item->gid) < 0)
		return err_sys(err, "cannot set the owner");
	if (fchmod(fd, item->mode) < 0)
		return err_sys(err, "cannot set the mode");
	r = set_xattrs(fd, item, n_dropped, err);
	if (r < 0)
		return r;
	return futimens(fd, times) < 0 ? err_sys(err, "cannot set the time") : 0;
}

int attr_set_at(int parent_fd, const char *base, const struct archive_item *item, uint64_t *n_dropped, struct err *err)
{
	struct timespec t = attr_time(item->mtime), times[2] = { t, t };

	*n_dropped += item->n_xattrs;
	if (fchownat(parent_fd, base, (uid_t)item->uid, (gid_t)item->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "cannot set the owner");
	if (item->kind != ARCHIVE_KIND_SYMLINK && fchmodat(parent_fd, base, item->mode, 0) < 0)
		return err_sys(err, "cannot set the mode");
	if (utimensat(parent_fd, base, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "cannot set the time");
	return 0;
}
