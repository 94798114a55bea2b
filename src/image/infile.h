/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* infile.h - plain files inside an untrusted folder, read as a process chrooted there would see them */
#include <stddef.h>

#include "base/err.h"

/* Opens a regular file for reading; whatever else has that name (a pipe, a device) is -EINVAL. */
int infile_open(int root_fd, const char *path, struct err *err);

/* Its whole text, at most @max bytes, NUL-terminated; @ret_len may be NULL. */
int infile_read(int root_fd, const char *path, size_t max, char **ret, size_t *ret_len, struct err *err);
