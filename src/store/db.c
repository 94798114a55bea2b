/* SPDX-License-Identifier: Apache-2.0 */
/* db.c - one connection, one recursive mutex, statements prepared when used (sqlite3.h is included in src/store/ only)
 */
#include "store/db.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>

#include "base/mem.h"
#include "store/schema.h"

#define DB_VERSION 1

struct db {
	sqlite3 *conn;
	pthread_mutex_t mutex; /* recursive: a transaction holds it over its statements */
};

struct db_row {
	sqlite3_stmt *stmt;
};

static void stmt_finalize(sqlite3_stmt *stmt)
{
	(void)sqlite3_finalize(stmt);
}
AUTO_DEFINE(sqlite3_stmt *, stmt_finalize)

static void db_unlock(struct db **db)
{
	(void)pthread_mutex_unlock(&(*db)->mutex);
}

static struct db *db_lock(struct db *db)
{
	(void)pthread_mutex_lock(&db->mutex);
	return db;
}

#define DB_LOCKED(db) __attribute__((cleanup(db_unlock), unused)) struct db *locked = db_lock(db)

static int db_error(struct db *db, struct err *err)
{
	switch (sqlite3_errcode(db->conn)) {
	case SQLITE_CONSTRAINT:
		return err_set(err, -EEXIST, "database: %s", sqlite3_errmsg(db->conn));
	case SQLITE_FULL:
		return err_set(err, -ENOSPC, "database: no space left on the device");
	case SQLITE_BUSY:
		return err_set(err, -EBUSY, "database: another program holds it");
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return err_set(err, -EUCLEAN, "database: damaged: %s", sqlite3_errmsg(db->conn));
	default:
		return err_set(err, -EIO, "database: %s", sqlite3_errmsg(db->conn));
	}
}

static int db_script(struct db *db, const char *sql, struct err *err)
{
	if (sqlite3_exec(db->conn, sql, NULL, NULL, NULL) != SQLITE_OK)
		return db_error(db, err);
	return 0;
}

static int first_int(const struct db_row *row, void *ctx)
{
	*(int64_t *)ctx = db_int(row, 0);
	return 0;
}

static int db_migrate(struct db *db, struct err *err)
{
	int64_t version = 0;
	int r;

	r = db_each(db, err, first_int, &version, "PRAGMA user_version", "");
	if (r < 0)
		return r;
	if (version > DB_VERSION)
		return err_set(err, -EPROTO, "database: made by a newer stasis (version %lld, this one knows %d)",
			       (long long)version, DB_VERSION);
	r = db_script(db, schema_sql, err);
	if (r < 0)
		return r;
	return db_script(db, "PRAGMA user_version = 1", err);
}

int db_open(const char *path, struct db **ret, struct err *err)
{
	AUTO(db_close) struct db *db = xcalloc(1, sizeof(*db));
	pthread_mutexattr_t attr;
	int r;

	(void)pthread_mutexattr_init(&attr);
	(void)pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	(void)pthread_mutex_init(&db->mutex, &attr);
	(void)pthread_mutexattr_destroy(&attr);

	if (sqlite3_open_v2(path, &db->conn, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX,
			    NULL) != SQLITE_OK)
		return err_wrap(err, db_error(db, err), "cannot open '%s'", path);
	(void)sqlite3_busy_timeout(db->conn, 10000);
	r = db_script(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;", err);
	if (r == 0)
		r = db_migrate(db, err);
	if (r < 0)
		return err_wrap(err, r, "'%s'", path);
	*ret = TAKE_PTR(db);
	return 0;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	(void)sqlite3_close_v2(db->conn);
	(void)pthread_mutex_destroy(&db->mutex);
	free(db);
}

static int db_prepare(struct db *db, sqlite3_stmt **ret, const char *sql, const char *types, va_list ap,
		      struct err *err)
{
	if (sqlite3_prepare_v2(db->conn, sql, -1, ret, NULL) != SQLITE_OK)
		return db_error(db, err);
	for (int i = 0; types[i]; i++) {
		if (types[i] == 's') {
			const char *s = va_arg(ap, const char *);
			(void)(s ? sqlite3_bind_text(*ret, i + 1, s, -1, SQLITE_TRANSIENT)
				 : sqlite3_bind_null(*ret, i + 1));
		} else {
			(void)sqlite3_bind_int64(*ret, i + 1, va_arg(ap, int64_t));
		}
	}
	return 0;
}

int db_exec(struct db *db, struct err *err, const char *sql, const char *types, ...)
{
	AUTO(stmt_finalize) sqlite3_stmt *stmt = NULL;
	DB_LOCKED(db);
	va_list ap;
	int r;

	va_start(ap, types);
	r = db_prepare(db, &stmt, sql, types, ap, err);
	va_end(ap);
	if (r < 0)
		return r;
	if (sqlite3_step(stmt) != SQLITE_DONE)
		return db_error(db, err);
	return sqlite3_changes(db->conn);
}

int64_t db_last_id(struct db *db)
{
	return sqlite3_last_insert_rowid(db->conn);
}

int db_each(struct db *db, struct err *err, int (*row)(const struct db_row *row, void *ctx), void *ctx, const char *sql,
	    const char *types, ...)
{
	AUTO(stmt_finalize) sqlite3_stmt *stmt = NULL;
	DB_LOCKED(db);
	va_list ap;
	int r, step;

	va_start(ap, types);
	r = db_prepare(db, &stmt, sql, types, ap, err);
	va_end(ap);
	if (r < 0)
		return r;
	while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct db_row current = { .stmt = stmt };

		r = row(&current, ctx);
		if (r)
			return r;
	}
	return step == SQLITE_DONE ? 0 : db_error(db, err);
}

const char *db_text(const struct db_row *row, int column)
{
	return (const char *)sqlite3_column_text(row->stmt, column);
}

int64_t db_int(const struct db_row *row, int column)
{
	return sqlite3_column_int64(row->stmt, column);
}

int db_begin(struct db *db, struct db_tx *tx, struct err *err)
{
	int r;

	(void)db_lock(db);
	r = db_script(db, "BEGIN IMMEDIATE", err);
	if (r < 0) {
		(void)pthread_mutex_unlock(&db->mutex);
		return r;
	}
	tx->db = db;
	return 0;
}

int db_commit(struct db_tx *tx, struct err *err)
{
	int r = db_script(tx->db, "COMMIT", err);

	if (r < 0)
		return r; /* the guard rolls back */
	(void)pthread_mutex_unlock(&tx->db->mutex);
	tx->db = NULL;
	return 0;
}

void db_rollback(struct db_tx *tx)
{
	if (!tx->db)
		return;
	(void)db_script(tx->db, "ROLLBACK", NULL);
	(void)pthread_mutex_unlock(&tx->db->mutex);
	tx->db = NULL;
}
