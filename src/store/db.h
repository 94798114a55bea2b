/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * db.h - the one SQLite database
 *
 * WAL, synchronous=FULL: a row that was committed survives a power cut. One connection, serialized by a mutex of its
 * own that is held for one statement or one transaction (the only mutex in stasis held over I/O: SQLite's writers queue
 * anyway). SQL lives in store/ only; each table has a file that turns rows into structs.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct db;
struct db_row; /* the current row while db_each() calls back */

/* Opens or creates the database and brings its schema up to date. */
int db_open(const char *path, struct db **ret, struct err *err);
void db_close(struct db *db);
AUTO_DEFINE(struct db *, db_close)

/* One statement without result. @types has a letter for each ? in @sql: s const char * (NULL is NULL), i int64_t.
 * A broken UNIQUE constraint is -EEXIST. Returns the number of rows changed. */
int db_exec(struct db *db, struct err *err, const char *sql, const char *types, ...);

/* The rowid of the last INSERT on this thread's turn; valid inside a transaction or right after db_exec() in one
 * thread. */
int64_t db_last_id(struct db *db);

/* Calls @row for each result; its non-zero result ends the walk and is returned. */
int db_each(struct db *db, struct err *err, int (*row)(const struct db_row *row, void *ctx), void *ctx, const char *sql,
	    const char *types, ...);
const char *db_text(const struct db_row *row, int column); /* NULL for NULL; valid until the callback returns */
int64_t db_int(const struct db_row *row, int column);

/* A transaction that rolls back at the end of the scope unless committed. The mutex is recursive for its owner. */
struct db_tx {
	struct db *db;
};
int db_begin(struct db *db, struct db_tx *tx, struct err *err);
int db_commit(struct db_tx *tx, struct err *err);
void db_rollback(struct db_tx *tx);
AUTO_DEFINE_IN(struct db_tx, db_rollback)
