/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* file.h - whole files in and out, never half */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* Reads a whole file of at most @max bytes; *ret is NUL-terminated and the caller's. -EFBIG beyond @max. Works on /proc
 * and /sys (size 0). @ret_len may be NULL. file_read_at is relative to a folder. */
int file_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err);
int file_read_at(int dir_fd, const char *name, size_t max, char **ret, size_t *ret_len, struct err *err);

/* A small control file (cgroup, sysctl, proc): one open, one write(2), no creation. */
int file_poke(const char *path, const char *text, struct err *err);

/* Replaces @path as one step that survives a power cut: a temporary file beside it, fsync, rename, fsync of the folder.
 */
int file_write_whole(const char *path, const void *data, size_t len, mode_t mode, struct err *err);

/* Writes through to the disk all of the file system that @path (a folder) lies on: syncfs(2). */
int file_sync_fs(const char *path, struct err *err);

/* fsync of a folder, so that renames in it are durable. */
int file_sync_dir(const char *path, struct err *err);

/* All bytes or an error; retries on EINTR and short transfers. */
int file_write_all(int fd, const void *data, size_t len, struct err *err);
int file_write_at(int fd, const void *data, size_t len, uint64_t offset, struct err *err);

/* Copies the rest of @from into @to: FICLONE where the file system has it, copy_file_range or read/write otherwise;
 * holes stay holes. Returns 1 when it was a reflink, 0 when copied. */
int file_copy(int from, int to, struct err *err);
