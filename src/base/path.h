/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* path.h - names, folders, and ways through a tree that cannot be led astray */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* "a/b" from "a" and "b"; always a new heap string. path_joinf formats the second part. */
char *path_join(const char *a, const char *b);
char *path_joinf(const char *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The last component of @path, inside @path. */
const char *path_base(const char *path);

/* A single component that is safe as a file name: not empty, not "." or "..", no '/', no control character. */
bool path_is_name(const char *s);

/* mkdir -p: creates what is missing with @mode. An existing folder is fine and keeps its mode. */
int path_mkdirs(const char *path, mode_t mode, struct err *err);

/* rm -rf by descriptors: never follows a symlink, never leaves the file system it starts on (a mount inside is
 * -EBUSY). What does not exist is fine. */
int path_remove_all(const char *path, struct err *err);
int path_remove_all_at(int dir_fd, const char *name, struct err *err);

/* Opens @path below @root_fd with openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS): symlinks are followed as a process
 * chrooted there would see them, and nothing leads outside. Returns the descriptor. */
int path_open_in_root(int root_fd, const char *path, int flags, mode_t mode, struct err *err);

/* Opens @path below @root_fd with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS. */
int path_open_beneath(int root_fd, const char *path, int flags, mode_t mode, struct err *err);

bool path_exists(const char *path); /* lstat succeeds */

/* Bytes of disk that the files below @path occupy (st_blocks). A missing path is 0. */
int path_disk_usage(const char *path, uint64_t *ret, struct err *err);
