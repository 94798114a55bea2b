/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * journal.h - what was begun and not finished
 *
 * A flow that leaves something behind when the daemon dies writes its row first and removes it when all is done or
 * undone. What start-up finds here, engine/recover.c finishes or rolls back; it looks at the files to see how far the
 * flow had come.
 */
#include "base/uuid.h"
#include "store/db.h"

struct journal_row {
	int64_t id;
	char flow[24]; /* "create", "boot", "restore", "stateful-stop", "stop", "delete" */
	char instance[UUID_SIZE];
	char detail[24];   /* what recovery must know beside the files: "paused"; "" */
	uint64_t began_us; /* real time */
};

/* @detail may be NULL. */
int journal_begin(struct db *db, const char *flow, const char *instance, const char *detail, int64_t *ret_id,
		  struct err *err);
int journal_end(struct db *db, int64_t id, struct err *err);

/* All rows, oldest first; a heap array of *ret_n. */
int journal_list(struct db *db, struct journal_row **ret, size_t *ret_n, struct err *err);
