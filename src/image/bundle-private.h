/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* bundle-private.h - what the parts of bundle.h share */
#include <sys/stat.h>

#include "base/archive.h"
#include "base/str.h"
#include "image/bundle.h"
#include "image/lower.h"

#define BUNDLE_MAX_JSON	   (16 << 20)
#define BUNDLE_MAX_DELETED (64 << 20) /* deleted.files, which grows with the image */

/*
 * A tree's way into a tar (bundle-tree.c). Written twice, first into nothing: the header of the outer archive needs the
 * size. The first time no file's content is read.
 */
struct bundle_tar {
	struct archive_writer *wr;
	bool is_upper; /* what overlayfs notes there is left out */
	bool is_dry;
	int (*tick)(void *ctx, uint64_t bytes,
		    struct err *err); /* so many more were read; NULL: nobody wants to know */
	void *ctx;
	void *links; /* tsearch(3): the first names of files with several */
	char *buf;
};
void bundle_tar_done(struct bundle_tar *t);
AUTO_DEFINE_IN(struct bundle_tar, bundle_tar_done)

/* Adds what @base in @dir_fd is, as @name; folders without their content. Sockets are passed over. */
int bundle_tar_add(struct bundle_tar *t, int dir_fd, const char *base, const char *name, struct err *err);

/* Adds all of a folder, itself as "." and first. */
int bundle_tar_tree(struct bundle_tar *t, const char *folder, struct err *err);

/* The size of what @fill writes: runs it with a dry @t, whose writer is made and ended here. */
struct bundle_fill {
	int (*fn)(struct bundle_tar *t, void *ctx, struct err *err);
	void *ctx;
};
int bundle_tar_size(const struct bundle_fill *fill, bool is_upper, uint64_t *ret, struct err *err);

/* Reads @len bytes of @fd from its start into @wr. */
int bundle_copy_in(struct archive_writer *wr, int fd, uint64_t len, char *buf,
		   int (*tick)(void *ctx, uint64_t bytes, struct err *err), void *ctx, struct err *err);
#define BUNDLE_COPY_SIZE (1 << 20)

/* The names in an open folder, sorted. */
int bundle_names(int dir_fd, char ***ret, struct err *err);

/* "a/b", or "b" where @a is "". -ENAMETOOLONG where a reader would refuse it. */
int bundle_path(const char *a, const char *b, char **ret, struct err *err);

/*
 * bundle_diff() - what an upper folder changes, as members of a tar and as names to delete afterwards (bundle-diff.c)
 *
 * @deleted gets absolute paths, each ended by a NUL; NULL: not wanted this time.
 */
int bundle_diff(struct bundle_tar *t, const char *upper, const struct lower *lower, struct strbuf *deleted,
		struct err *err);

/* Whiteouts in an upper folder: character device 0:0. */
bool bundle_is_whiteout(const struct stat *st);

/* 1 if the upper folder @fd hides what is below it, 0 if not. */
int bundle_is_opaque(int fd, struct err *err);

/*
 * Names below the upper folder that show a file in it (bundle-alias.c). With index=on, overlayfs copies a file with
 * several names up once, under the name that was used; the others, still in a layer, show the copy from then on. In the
 * upper folder there is no trace of them but a count: so they are looked for and become hard links in the tar.
 */
struct bundle_aliases {
	struct bundle_alias *v;
	size_t n;
};
void bundle_aliases_done(struct bundle_aliases *a);
AUTO_DEFINE_IN(struct bundle_aliases, bundle_aliases_done)
/* Notes the file @fd (O_PATH), which is in the tar as @name, if there are more names of it. */
void bundle_aliases_note(struct bundle_aliases *a, int fd, const char *name);
int bundle_aliases_add(const struct bundle_aliases *a, struct bundle_tar *t, int upper_fd, const struct lower *lower,
		       struct err *err);
