/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * outfile.h - a file that appears whole or not at all
 *
 * It is opened before the work begins, so that a folder that is missing, full or not ours is found then; what is
 * written has no name until outfile_commit() gives it the target's in one step. Where the file system cannot have files
 * without a name it is called ".NAME.XXXXXX" meanwhile.
 */
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct outfile {
	int fd, dir_fd;
	char *name; /* in the folder */
	char *temp; /* NULL: it has no name yet */
	uint64_t n_written;
};
#define OUTFILE_NONE                                                                                                   \
	{                                                                                                              \
		.fd = -1, .dir_fd = -1                                                                                 \
	}

/* For @path, which need not exist; what exists must be a regular file. Mode 0600: an archive holds memory. */
int outfile_open(struct outfile *o, const char *path, struct err *err);

/* -ENOSPC when fewer than @bytes are free there. */
int outfile_check_room(const struct outfile *o, uint64_t bytes, struct err *err);

int outfile_write(struct outfile *o, const char *data, size_t n, struct err *err);

/* Synced, and in the target's place. */
int outfile_commit(struct outfile *o, struct err *err);

/* Forgets what was not committed. */
void outfile_done(struct outfile *o);
AUTO_DEFINE_IN(struct outfile, outfile_done)
