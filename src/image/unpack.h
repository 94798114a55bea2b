/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * unpack.h - a tar archive from an untrusted image becomes a folder, and nothing outside of it is touched
 *
 * As a layer: owners, modes (setuid too), nanosecond times, holes, hard links and the attributes security.capability
 * and user.* are kept. ".wh.NAME" becomes overlayfs's whiteout (character device 0:0), ".wh..wh..opq" its opaque mark.
 * Device nodes and all other attributes are left out and counted: a container's /dev is a tmpfs, and trusted.* is how
 * overlayfs itself takes orders. The folder's own mode becomes 0555, owner root (as in Podman: CRIU compares it).
 *
 * As a tree of a container's own (an upper folder, a volume): everything is kept, device nodes and trusted.* and ACLs
 * too, and no name is special. In an upper folder overlayfs's own marks are not taken from the archive.
 *
 * Else (the outer tar of an OCI or docker archive): names and bytes only, all 0600 and 0700.
 *
 * A name with "..", a whiteout of "." or "..", a hard link to nowhere, an impossible owner and the like refuse the
 * archive. A leading "/" means the folder. A later member replaces an earlier one of the same name. Symlinks are made
 * as they are; a member whose name leads through one ends inside the folder (tree.h).
 */
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/archive.h"
#include "base/err.h"
#include "image/watch.h"

struct unpack_tree {
	bool is_upper; /* of an overlay: what replaces something that was no folder becomes opaque */
	/* Called for a new folder @fd that the archive has not mentioned so far: gives it attributes, and tells its
	 * time, which is set at the end. NULL: 0755 and 0. */
	int (*adopt)(void *ctx, int fd, const char *path, struct timespec *ret_mtime, struct err *err);
	void *ctx;
};

struct unpack_options {
	struct archive_limits limits;
	bool is_layer;
	const struct unpack_tree *tree; /* NULL: it is none */
	const char *what;		/* for the watch: "layer 2 of 5" */
	const struct image_watch *watch;
};

struct unpack_result {
	struct archive_sums sums;
	uint64_t entries;
	uint64_t bytes; /* of data written */
	uint64_t whiteouts;
	uint64_t devices; /* left out */
	uint64_t xattrs;  /* left out */
};

/* Reads @fd from its position on; @folder_fd is an empty folder that nobody else works in. Nothing is synced. After an
 * error the folder holds rubbish, for the caller to remove. */
int unpack_archive(int fd, int folder_fd, const struct unpack_options *options, struct unpack_result *ret,
		   struct err *err);
