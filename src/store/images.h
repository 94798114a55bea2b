/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* images.h - the tables of images, their layers and their aliases */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/digest.h"
#include "store/db.h"

struct image_layer_row {
	char diff_id[DIGEST_HEX_SIZE];
	uint64_t bytes;
};

struct image_row {
	char fingerprint[DIGEST_HEX_SIZE];
	char *manifest, *config; /* JSON as the image brought it */
	char *description, *architecture;
	uint64_t created_us, uploaded_us; /* real time */
	struct image_layer_row *layers;	  /* lowest first */
	size_t n_layers;
	/* Not written by images_insert(): */
	char **aliases, **users; /* sorted; users: names of instances made from it */
};
void image_row_done(struct image_row *row);
AUTO_DEFINE_IN(struct image_row, image_row_done)

/* Image and layers, in one transaction. One that is there already stays as it is. */
int images_insert(struct db *db, const struct image_row *row, struct err *err);

/* With its layers and aliases. -EBUSY names the instances made from it, and nothing is removed. */
int images_delete(struct db *db, const char *fingerprint, struct err *err);

/* @name: an alias, a fingerprint, or at least 6 digits with which only one begins. -ENOENT; -EINVAL if several do. */
int images_find(struct db *db, const char *name, struct image_row *ret, struct err *err);

/* Calls @fn for each image, latest upload first; what it takes out of the row is its own. */
int images_each(struct db *db, int (*fn)(struct image_row *row, void *ctx), void *ctx, struct err *err);

/* Names an image. An alias that names another one: moved with @may_move, else -EEXIST. */
int images_set_alias(struct db *db, const char *alias, const char *fingerprint, bool may_move, struct err *err);
int images_delete_alias(struct db *db, const char *alias, struct err *err); /* -ENOENT */

/* 1 if an image has this layer (and its bytes), 0 if none has. @ret_bytes may be NULL. */
int images_find_layer(struct db *db, const char *diff_id, uint64_t *ret_bytes, struct err *err);
