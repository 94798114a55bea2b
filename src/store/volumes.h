/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* volumes.h - the tables of named volumes and of what instances have attached */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "store/db.h"

struct volume_row {
	char *name;
	uint64_t created_us; /* real time */
	/* Not written by volumes_insert(): */
	bool is_fresh; /* no instance has booted with it yet */
	char **users;  /* "INSTANCE:PATH", sorted */
};
void volume_row_done(struct volume_row *row);
AUTO_DEFINE_IN(struct volume_row, volume_row_done)

int volumes_insert(struct db *db, const struct volume_row *row, struct err *err); /* -EEXIST */
int volumes_set_used(struct db *db, const char *name, struct err *err);		  /* not fresh any more */
/* -ENOENT; -EBUSY names the instances that it is attached to, and nothing is removed. */
int volumes_delete(struct db *db, const char *name, struct err *err);
int volumes_find(struct db *db, const char *name, struct volume_row *ret, struct err *err); /* -ENOENT */
/* Calls @fn for each, sorted by name; what it takes out of the row is its own. */
int volumes_each(struct db *db, int (*fn)(struct volume_row *row, void *ctx), void *ctx, struct err *err);

struct attachment_row {
	const char *name; /* of the device; unique in the instance */
	const char *volume, *path;
	bool is_readonly;
};

/* Replaces all attachments of an instance, or none of them: -ENOENT names a volume that does not exist, -EEXIST says
 * what is there twice. They go with the instance's row. */
int attachments_set(struct db *db, const char *instance, const struct attachment_row *rows, size_t n, struct err *err);
/* Calls @fn for each, sorted by path (a folder before what is in it); the row is borrowed. */
int attachments_each(struct db *db, const char *instance, int (*fn)(const struct attachment_row *row, void *ctx),
		     void *ctx, struct err *err);
