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
