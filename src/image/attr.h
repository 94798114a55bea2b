/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* attr.h - owner, mode, time and extended attributes of one member of an archive */
#include "base/archive.h"
#include "base/err.h"

/* To an open file or folder. Attributes other than security.capability and user.*, and user.* where the file system has
 * none, are left out and counted in @n_dropped. */
int attr_set(int fd, const struct archive_item *item, uint64_t *n_dropped, struct err *err);

/* To what cannot be opened without side effects, a symlink or a pipe: all its extended attributes are left out. */
int attr_set_at(int parent_fd, const char *base, const struct archive_item *item, uint64_t *n_dropped, struct err *err);

/* @t, with nonsense in the nanoseconds made 0. */
struct timespec attr_time(struct timespec t);

/*
 * attr-exact.c: all of them, for trees that were containers' own: trusted.*, POSIX ACLs and what else there is
 *
 * In an overlay's upper folder trusted.overlay.* is how overlayfs notes things, and what a container itself has called
 * so is trusted.overlay.overlay.* there: with @is_upper, reading leaves the former out and gives the latter its own
 * name; writing does the reverse, so that no archive can give overlayfs orders. @path_fd may be an O_PATH descriptor of
 * anything; /proc is needed.
 */
#include <stdbool.h>

struct attr_list {
	struct archive_xattr *v;
	size_t n;
	char *names; /* what v points into */
	char *values;
};
void attr_list_done(struct attr_list *a);
AUTO_DEFINE_IN(struct attr_list, attr_list_done)
int attr_read(int path_fd, bool is_upper, struct attr_list *ret, struct err *err);

/* To something new. What the file system does not have is left out and counted in @n_dropped. */
int attr_restore(int path_fd, const struct archive_item *item, bool is_upper, uint64_t *n_dropped, struct err *err);
