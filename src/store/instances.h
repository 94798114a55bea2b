/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* instances.h - the table of instances */
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/uuid.h"
#include "store/db.h"

struct instance_row {
	char uuid[UUID_SIZE];
	char *name, *image, *description;
	char **config; /* "key=value", sorted */
	bool is_ephemeral;
	uint64_t created_us, last_used_us; /* real time */
};

void instance_row_done(struct instance_row *row);
AUTO_DEFINE_IN(struct instance_row, instance_row_done)

/* -EEXIST if the name is taken. */
int instances_insert(struct db *db, const struct instance_row *row, struct err *err);
/* Writes all columns of the row with this uuid. */
int instances_update(struct db *db, const struct instance_row *row, struct err *err);
int instances_delete(struct db *db, const char *uuid, struct err *err);
/* Calls @fn for each row; what it takes out of the row (TAKE_PTR) is its own. */
int instances_each(struct db *db, int (*fn)(struct instance_row *row, void *ctx), void *ctx, struct err *err);
