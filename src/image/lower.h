/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * lower.h - what a stack of layers shows, without mounting it
 *
 * Follows overlayfs: the highest layer that has a name decides; folders merge downwards until a whiteout, something
 * else of that name or an opaque folder ends it. A folder is known by its path and by the layers that are merged there,
 * so a look costs one openat2(2) for each of those and no descriptor is kept but the layers' own.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/err.h"

struct lower;

/* @layers: folders, lowest first; NULL or empty: nothing below. */
int lower_open(char *const *layers, struct lower **ret, struct err *err);
void lower_free(struct lower *l);
AUTO_DEFINE(struct lower *, lower_free)

/* The layers that are merged in one folder, highest first; none: nothing is visible there. */
struct lower_dir {
	uint16_t *layers;
	size_t n;
};
#define LOWER_DIR_NONE                                                                                                 \
	{                                                                                                              \
		.n = 0                                                                                                 \
	}
void lower_dir_done(struct lower_dir *d);
AUTO_DEFINE_IN(struct lower_dir, lower_dir_done)

struct lower_dir lower_root(const struct lower *l);

enum lower_kind { LOWER_NONE, LOWER_FOLDER, LOWER_OTHER };
struct lower_entry {
	enum lower_kind kind;
	struct stat st;	      /* of the highest one, whose attributes count */
	uint16_t layer;	      /* where that is */
	struct lower_dir dir; /* of a folder; LOWER_DIR_NONE otherwise */
};
void lower_entry_done(struct lower_entry *e);
AUTO_DEFINE_IN(struct lower_entry, lower_entry_done)

/* What the folder @dir shows as @path, which is clean, relative to the root and inside of that folder. */
int lower_look(const struct lower *l, const struct lower_dir *dir, const char *path, struct lower_entry *ret,
	       struct err *err);

/* The same from the root on; "" is the root itself. */
int lower_find(const struct lower *l, const char *path, struct lower_entry *ret, struct err *err);

/* The names that the folder @path, merged from @dir, shows; sorted, a new vector (NULL: none). */
int lower_list(const struct lower *l, const struct lower_dir *dir, const char *path, char ***ret, struct err *err);

/* Opens what was found: O_PATH and nothing followed, whatever it is. */
int lower_open_entry(const struct lower *l, const struct lower_entry *e, const char *path, struct err *err);
