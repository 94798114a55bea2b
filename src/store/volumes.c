/* SPDX-License-Identifier: Apache-2.0 */
/* volumes.c - the tables of named volumes and of what instances have attached */
#include "store/volumes.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"

void volume_row_done(struct volume_row *row)
{
	free(row->name);
	strv_free(row->users);
	*row = (struct volume_row){ 0 };
}

int volumes_insert(struct db *db, const struct volume_row *row, struct err *err)
{
	int r = db_exec(db, err, "INSERT INTO volumes (name, created) VALUES (?, ?)", "si", row->name,
			(int64_t)row->created_us);

	if (r == -EEXIST)
		return err_set(err, r, "a volume '%s' exists already", row->name);
	return r < 0 ? r : 0;
}

int volumes_set_used(struct db *db, const char *name, struct err *err)
{
	int r = db_exec(db, err, "UPDATE volumes SET fresh = 0 WHERE name = ?", "s", name);

	return r < 0 ? r : 0;
}

static int add_text(const struct db_row *row, void *ctx)
{
	strv_add(ctx, db_text(row, 0));
	return 0;
}

static int find_users(struct db *db, const char *name, char ***ret, struct err *err)
{
	return db_each(db, err, add_text, ret,
		       "SELECT i.name || ':' || a.path FROM attachments a JOIN instances i ON i.uuid = a.instance"
		       " WHERE a.volume = ? ORDER BY 1",
		       "s", name);
}

static int not_found(const char *name, struct err *err)
{
	return err_set(err, -ENOENT, "there is no volume '%.80s'", name);
}

int volumes_delete(struct db *db, const char *name, struct err *err)
{
	AUTO(db_rollback) struct db_tx tx = { 0 };
	AUTO(strv_free) char **users = NULL;
	int r;

	r = db_begin(db, &tx, err);
	if (r == 0)
		r = find_users(db, name, &users, err);
	if (r < 0)
		return r;
	if (users) {
		autofree char *words = strv_join(users, ", ");

		return err_set(err, -EBUSY, "volume '%s' is attached: %s", name, words);
	}
	r = db_exec(db, err, "DELETE FROM volumes WHERE name = ?", "s", name);
	if (r == 0)
		return not_found(name, err);
	return r < 0 ? r : db_commit(&tx, err);
}

struct each {
	struct db *db;
	int (*fn)(struct volume_row *row, void *ctx);
	void *ctx;
	struct err *err;
};

static int each_row(const struct db_row *row, void *ctx)
{
	AUTO(volume_row_done) struct volume_row volume = { 0 };
	struct each *each = ctx;
	int r;

	volume.name = xstrdup(db_text(row, 0));
	volume.created_us = (uint64_t)db_int(row, 1);
	volume.is_fresh = db_int(row, 2);
	r = find_users(each->db, volume.name, &volume.users, each->err);
	return r < 0 ? r : each->fn(&volume, each->ctx);
}

int volumes_each(struct db *db, int (*fn)(struct volume_row *row, void *ctx), void *ctx, struct err *err)
{
	struct each each = { db, fn, ctx, err };

	return db_each(db, err, each_row, &each, "SELECT name, created, fresh FROM volumes ORDER BY name", "");
}

static int take_row(struct volume_row *row, void *ctx)
{
	*(struct volume_row *)ctx = *row;
	*row = (struct volume_row){ 0 };
	return 1;
}

int volumes_find(struct db *db, const char *name, struct volume_row *ret, struct err *err)
{
	struct each each = { db, take_row, ret, err };
	int r = db_each(db, err, each_row, &each, "SELECT name, created, fresh FROM volumes WHERE name = ?", "s", name);

	return r == 0 ? not_found(name, err) : r < 0 ? r : 0;
}

/* The database knows that a row is one too many, and we which and why. */
static int check_unique(const struct attachment_row *rows, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < i; k++) {
			if (str_eq(rows[i].name, rows[k].name))
				return err_set(err, -EEXIST, "there is a device '%s' already", rows[i].name);
			if (str_eq(rows[i].volume, rows[k].volume))
				return err_set(err, -EEXIST, "volume '%s' is attached at %s already", rows[i].volume,
					       rows[k].path);
			if (str_eq(rows[i].path, rows[k].path))
				return err_set(err, -EEXIST, "volume '%s' is at %s already", rows[k].volume,
					       rows[k].path);
		}
	}
	return 0;
}

static int insert_attachment(struct db *db, const char *instance, const struct attachment_row *row, struct err *err)
{
	AUTO(volume_row_done) struct volume_row volume = { 0 };
	int r = volumes_find(db, row->volume, &volume, err);

	if (r < 0)
		return r;
	r = db_exec(db, err, "INSERT INTO attachments (instance, name, volume, path, readonly) VALUES (?, ?, ?, ?, ?)",
		    "ssssi", instance, row->name, row->volume, row->path, (int64_t)row->is_readonly);
	return r < 0 ? err_wrap(err, r, "volume '%s'", row->volume) : 0;
}

int attachments_set(struct db *db, const char *instance, const struct attachment_row *rows, size_t n, struct err *err)
{
	AUTO(db_rollback) struct db_tx tx = { 0 };
	int r;

	r = check_unique(rows, n, err);
	if (r == 0)
		r = db_begin(db, &tx, err);
	if (r == 0)
		r = db_exec(db, err, "DELETE FROM attachments WHERE instance = ?", "s", instance);
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = insert_attachment(db, instance, &rows[i], err);
	return r < 0 ? r : db_commit(&tx, err);
}

struct each_attachment {
	int (*fn)(const struct attachment_row *row, void *ctx);
	void *ctx;
};

static int each_attachment_row(const struct db_row *row, void *ctx)
{
	const struct each_attachment *each = ctx;
	const struct attachment_row attachment = {
		.name = db_text(row, 0),
		.volume = db_text(row, 1),
		.path = db_text(row, 2),
		.is_readonly = db_int(row, 3),
	};

	return each->fn(&attachment, each->ctx);
}

int attachments_each(struct db *db, const char *instance, int (*fn)(const struct attachment_row *row, void *ctx),
		     void *ctx, struct err *err)
{
	struct each_attachment each = { fn, ctx };

	return db_each(db, err, each_attachment_row, &each,
		       "SELECT name, volume, path, readonly FROM attachments WHERE instance = ? ORDER BY path", "s",
		       instance);
}
