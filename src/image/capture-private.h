/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * capture-private.h - what the files of capture share
 *
 * capture.c walks and decides, capture-copy.c makes one entry, capture-xattr.c its extended attributes, capture-links.c
 * knows which inode has been copied to where, capture-digest.c describes a tree at rest.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"
#include "image/capture.h"

#define CAPTURE_MAX_DEPTH 256 /* each folder on the way down holds two descriptors */

/* ---- capture-copy.c --------------------------------------------------------------------------------------------- */

struct capture_io {
	bool can_clone; /* FICLONE works from one tree to the other */
	bool is_live;	/* the source is being written to meanwhile */
	bool (*cancelled)(void *ctx);
	void *ctx;
	struct capture_xattrs *xattrs;
	char *chunk; /* made when first needed */
};

void capture_io_done(struct capture_io *io);
int capture_io_check(const struct capture_io *io, struct err *err); /* -ECANCELED */

/* Whether extents can be shared between the file systems of two folders: tried with unnamed files. */
bool capture_can_clone(int from_dir, int to_dir);

/* Pins what is called @name: a descriptor (O_PATH) on the inode itself, whatever it is, and what it is like. -errno. */
int capture_pin(int dir_fd, const char *name, struct statx *ret);

/* As capture_pin() for a folder that is to be read; -ENOTDIR or -ELOOP for anything else. */
int capture_open_folder(int dir_fd, const char *name);

/* What @name is like, not followed; "" is @dir_fd itself. -errno. */
int capture_stat(int dir_fd, const char *name, struct statx *ret);

/* An open file behind a descriptor of capture_pin(), which is known to be a plain one. -errno. */
int capture_open_pinned(int fd);

/* The target of a symlink behind a descriptor of capture_pin(); NUL-terminated, the caller's. -errno in *ret_err. */
char *capture_read_link(int fd, int *ret_err);

/*
 * capture_make() - makes @name in @to_dir the copy of what @from pins, which is no folder
 *
 * Returns 1 if it was made by sharing extents, 0 if by copying, and -EAGAIN without words when it cannot be read right
 * now (a lease). Whatever fails leaves no @name.
 */
int capture_make(struct capture_io *io, int from, const struct statx *sx, int to_dir, const char *name,
		 struct err *err);

/* Owner, mode, extended attributes and times, in this order, of a folder that is complete. */
int capture_finish_folder(struct capture_io *io, int from, const struct statx *sx, int to, struct err *err);

/* ---- capture-xattr.c -------------------------------------------------------------------------------------------- */

struct capture_xattrs; /* buffers */
struct capture_xattrs *capture_xattrs_new(void);
void capture_xattrs_free(struct capture_xattrs *x);
AUTO_DEFINE(struct capture_xattrs *, capture_xattrs_free)

/* Makes @to's attributes those of @from; both are descriptors of any kind, O_PATH too. */
int capture_xattrs_copy(struct capture_xattrs *x, int from, int to, struct err *err);

/* The SHA-256 over all names and values, sorted; "-" if there are none. */
int capture_xattrs_digest(struct capture_xattrs *x, int fd, char out[DIGEST_HEX_SIZE], struct err *err);

/* ---- capture-links.c -------------------------------------------------------------------------------------------- */

/* What a copy was made from, and what is known of the copy. */
struct capture_state {
	uint64_t ino, size;
	int64_t mtime, ctime; /* nanoseconds */
	uint64_t to_ino;      /* the copy's inode, where the original has several names; else 0 */
	uint32_t mode;
	uint32_t flags; /* capture.c's */
};

struct capture_link {
	uint64_t dev, ino;
	char *path; /* of the copy, below the target; NULL: there is none, make a new one */
	struct capture_state state;
};

/* Inodes with several names, by device and number. */
struct capture_links {
	struct capture_link *slots;
	size_t n, cap;
};
void capture_links_done(struct capture_links *links); /* to empty, ready for use again */
struct capture_link *capture_links_find(const struct capture_links *links, uint64_t dev, uint64_t ino);
/* Adds, or replaces what is there. Copies @path, which may be NULL. */
void capture_links_put(struct capture_links *links, uint64_t dev, uint64_t ino, const char *path,
		       const struct capture_state *state);

/* Names and numbers. */

/* All names in a folder but "." and "..", sorted by bytes; the caller's. */
int capture_list(int dir_fd, char ***ret, size_t *ret_n, struct err *err);

/* The device number of a statx. */
static inline uint64_t capture_dev(const struct statx *sx)
{
	return (uint64_t)sx->stx_dev_major << 32 | sx->stx_dev_minor;
}

/* ---- capture-walk.c --------------------------------------------------------------------------------------------- */

/* One name of the tree, and what the copy of it was made from. */
struct capture_node {
	char *name;
	struct capture_state state;
	struct capture_node *children; /* sorted by name */
	size_t n_children;
};
void capture_node_done(struct capture_node *node);

/* Forgets what the copy of @path was made from, so that the next pass makes it anew. A path that is not known is new
 * anyway. */
void capture_node_forget(struct capture_node *root, struct capture_links *links, uint64_t dev, const char *path);

/* One pass over a tree: makes the copy what the original is. */
struct capture_pass {
	struct capture_io io;
	bool is_live;	  /* what cannot be had now is left for the next pass */
	bool is_timeless; /* a file system whose times do not tell of mapped writes: files are left, too */
	bool is_last;	  /* nothing need be remembered */
	int to_fd;	  /* the target's root */
	uint64_t n_nodes; /* remembered */
	struct capture_links links;
	struct strbuf *path; /* where we are, for words and for links */
	struct capture_stats stats;
};
int capture_walk(struct capture_pass *p, int from, int to, struct capture_node *root, struct err *err);

/* ---- capture-names.c -------------------------------------------------------------------------------------------- */

struct capture_names;
int capture_names_open(char *const *lower, const char *work, struct capture_names **ret, struct err *err);
void capture_names_free(struct capture_names *cn);
AUTO_DEFINE(struct capture_names *, capture_names_free)

/* After the last pass, whose links are still known: makes the names that the upper does not show. */
int capture_names_add(struct capture_names *cn, struct capture_pass *p, struct err *err);
