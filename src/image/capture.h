/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * capture.h - a tree as it is at one instant: an overlay's upper folder, a volume
 *
 * The copy is the original in all that a file system can tell: content, holes, types, modes, owners, times to the
 * nanosecond (folders' too), hard links within the tree, all extended attributes (trusted.overlay.* among them), ACLs,
 * capabilities, whiteouts, device nodes, fifos, sockets' names.
 *
 * Most is copied before the freeze, and only what changed since is copied while frozen: what differs in size, mtime,
 * ctime or inode; and what the container maps shared and writable, whose changes move no time stamp. The caller calls
 * syncfs() on the tree before capture_prepare() for the same reason. Where the file system can share extents (XFS,
 * btrfs) copying is FICLONE: about 20 us a file however large it is. To find that a file has not changed takes 1 us.
 *
 * Left out are the attributes by which an overlay refers to inodes of other trees (capture-xattr.c says why), and what
 * is no part of a file's content or meaning to programs: time of birth, chattr(1) flags, project ids.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct capture;

struct capture_stats {
	uint64_t files, folders, others; /* captured */
	uint64_t bytes;			 /* of content, without holes */
	uint64_t early_bytes;		 /* copied before the freeze and still good */
	uint64_t late_bytes;		 /* copied while frozen */
	uint64_t cloned_bytes;		 /* by reflink */
};

/*
 * capture_prepare() - the part before the freeze
 *
 * @from: the live tree. @to: does not exist yet; it is made (mode and owner as @from's). Finds out whether reflinks
 * work from one to the other; if not, copies. The container may write meanwhile: a file that cannot be read now
 * (vanished, growing) is left for later. @cancelled may be NULL; it is asked often, by capture_take() too, so that @ctx
 * lives as long as the capture (-ECANCELED). -ENOSPC and other failures remove @to.
 */
int capture_prepare(const char *from, const char *to, bool (*cancelled)(void *ctx), void *ctx, struct capture **ret,
		    struct err *err);

/*
 * capture_over() - for the upper folder of an overlay: after capture_prepare(), before the freeze
 *
 * An image's file with several names that the container changed under one of them stands in the upper under that one
 * only; the overlay finds it for the others by the index in its work folder, which a copy does not have (they would
 * show the image's content again). With @lower (the layers, as for rootfs_mount()) and @work (the overlay's work
 * folder) known, capture_take() makes these names in @to: it is complete over the same layers with a new work folder.
 */
int capture_over(struct capture *c, char *const *lower, const char *work, struct err *err);

/*
 * capture_take() - the part while frozen
 *
 * @always: paths relative to @from, NULL-terminated, sorted or not, that are copied again whatever they look like
 * (mapped shared and writable); may be NULL. What cannot be read now is an error: -EBUSY for a lease, or for something
 * mounted in the tree. A failure leaves @to for the caller to remove. Afterwards @to is the tree of this instant;
 * nothing in it has been synced.
 */
int capture_take(struct capture *c, char *const *always, struct capture_stats *ret, struct err *err);

/* Forgets; what was captured stays. */
void capture_free(struct capture *c);
AUTO_DEFINE(struct capture *, capture_free)

/* The same faithful copy of a tree at rest, by reflink where possible: a captured tree becomes a new upper. @to does
 * not exist yet; a failure removes it. */
int capture_copy(const char *from, const char *to, struct capture_stats *ret, struct err *err);

/*
 * capture_digest() - one line for each entry of a tree, in the order of its names, to be kept beside it
 *
 * Type, mode, owner, mtime, size, attributes' digest, content's digest or link target or device, path. Two trees are
 * the same exactly when these texts are. Writes to @out_path (whole, mode 0600); *ret_digest is its SHA-256
 * (DIGEST_HEX_SIZE). With @content false the files' content is left out (quick).
 */
int capture_digest(const char *tree, const char *out_path, bool content, char *ret_digest, struct err *err);
