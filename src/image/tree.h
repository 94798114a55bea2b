/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * tree.h - names out of an archive, and where they lead inside the folder that is being filled
 *
 * A name from an image is a wish. Here it becomes a real path below the root, without "..", empty parts or a leading
 * slash, and its parent becomes a descriptor. Symlinks on the way that an earlier member has made are followed as in a
 * root file system: their targets are walked by us, part by part, and end at the root whatever they say; what is opened
 * in the end is opened with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS. The folder must be out of reach of others meanwhile.
 */
#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

#define TREE_NAME_SIZE 4096
#define TREE_MAX_DEPTH 256

/* The canonical form of @raw: "" for the root, otherwise "a/b/c". -EINVAL with the reason: "..", too long, too deep. */
int tree_clean_name(const char *raw, char out[TREE_NAME_SIZE], struct err *err);

/* Called when a folder on the way is missing: makes @base in @parent_fd (which may hold a whiteout of that name); @path
 * is its whole real path. */
typedef int tree_make_dir(void *ctx, int parent_fd, const char *base, const char *path, struct err *err);

/*
 * tree_open_parent() - the folder that holds the clean name @name
 *
 * Returns a descriptor (O_PATH); @real becomes the real path of the parent, "" for the root. With @make NULL a missing
 * folder is -ENOENT. Something that is no folder on the way is -ENOTDIR.
 */
int tree_open_parent(int root_fd, const char *name, tree_make_dir *make, void *ctx, struct strbuf *real,
		     struct err *err);

/* The real path of what is called @base in the folder @parent; a new string. */
char *tree_path(const struct strbuf *parent, const char *base);
