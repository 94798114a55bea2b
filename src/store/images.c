/* SPDX-License-Identifier: Apache-2.0 */
/* images.c - the tables of images, their layers and their aliases */
#include "store/images.h"

#include <string.h>

#include "base/mem.h"
#include "base/strv.h"

#define MIN_PREFIX 6
#define COLUMNS	   "fingerprint, manifest, config, description, architecture, created, uploaded"

void image_row_done(struct image_row *row)
{
	free(row->manifest);
	free(row->config);
	free(row->description);
	free(row->architecture);
	free(row->layers);
	strv_free(row->aliases);
	strv_free(row->users);
	*row = (struct image_row){ 0 };
}

static void copy_hex(char to[DIGEST_HEX_SIZE], const char *from)
{
	(void)strncpy(to, from, DIGEST_HEX_SIZE - 1);
	to[DIGEST_HEX_SIZE - 1] = '\0';
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

int images_insert(struct db *db, const struct image_row *row, struct err *err)
{
	AUTO(db_rollback) struct db_tx tx = { 0 };
	int r;

	r = db_begin(db, &tx, err);
	if (r < 0)
		return r;
	r = db_exec(db, err, "INSERT OR IGNORE INTO images (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?)", "sssssii",
		    row->fingerprint, row->manifest, row->config, or_empty(row->description),
		    or_empty(row->architecture), (int64_t)row->created_us, (int64_t)row->uploaded_us);
	if (r == 0) /* it is there already */
		return 0;
	for (size_t i = 0; r >= 0 && i < row->n_layers; i++)
		r = db_exec(
			db, err, "INSERT INTO image_layers (fingerprint, position, diff_id, bytes) VALUES (?, ?, ?, ?)",
			"sisi", row->fingerprint, (int64_t)i, row->layers[i].diff_id, (int64_t)row->layers[i].bytes);
	return r < 0 ? r : db_commit(&tx, err);
}

static int add_text(const struct db_row *row, void *ctx)
{
	strv_add(ctx, db_text(row, 0));
	return 0;
}

static int add_layer(const struct db_row *row, void *ctx)
{
	struct image_row *image = ctx;

	image->layers = xreallocarray(image->layers, image->n_layers + 1, sizeof(*image->layers));
	copy_hex(image->layers[image->n_layers].diff_id, db_text(row, 0));
	image->layers[image->n_layers].bytes = (uint64_t)db_int(row, 1);
	image->n_layers++;
	return 0;
}

static int find_users(struct db *db, const char *fingerprint, char ***ret, struct err *err)
{
	return db_each(db, err, add_text, ret, "SELECT name FROM instances WHERE image = ? ORDER BY name", "s",
		       fingerprint);
}

/* What stands in the other tables about this image. */
static int fill_row(struct db *db, struct image_row *row, struct err *err)
{
	int r;

	r = db_each(db, err, add_layer, row,
		    "SELECT diff_id, bytes FROM image_layers WHERE fingerprint = ? ORDER BY position", "s",
		    row->fingerprint);
	if (r == 0)
		r = db_each(db, err, add_text, &row->aliases,
			    "SELECT name FROM image_aliases WHERE fingerprint = ? ORDER BY name", "s",
			    row->fingerprint);
	return r < 0 ? r : find_users(db, row->fingerprint, &row->users, err);
}

struct each {
	struct db *db;
	int (*fn)(struct image_row *row, void *ctx);
	void *ctx;
	struct err *err;
};

static int each_row(const struct db_row *row, void *ctx)
{
	AUTO(image_row_done) struct image_row image = { 0 };
	struct each *each = ctx;
	int r;

	copy_hex(image.fingerprint, db_text(row, 0));
	image.manifest = xstrdup(db_text(row, 1));
	image.config = xstrdup(db_text(row, 2));
	image.description = xstrdup(db_text(row, 3));
	image.architecture = xstrdup(db_text(row, 4));
	image.created_us = (uint64_t)db_int(row, 5);
	image.uploaded_us = (uint64_t)db_int(row, 6);
	r = fill_row(each->db, &image, each->err);
	return r < 0 ? r : each->fn(&image, each->ctx);
}

int images_each(struct db *db, int (*fn)(struct image_row *row, void *ctx), void *ctx, struct err *err)
{
	struct each each = { db, fn, ctx, err };

	return db_each(db, err, each_row, &each, "SELECT " COLUMNS " FROM images ORDER BY uploaded DESC, fingerprint",
		       "");
}

static int take_row(struct image_row *row, void *ctx)
{
	struct image_row *ret = ctx;

	*ret = *row;
	*row = (struct image_row){ 0 };
	return 1; /* one is enough */
}

static int take_fingerprint(const struct db_row *row, void *ctx)
{
	copy_hex(ctx, db_text(row, 0));
	return 0;
}

/* The one fingerprint that begins with @prefix. */
static int find_prefix(struct db *db, const char *prefix, char ret[DIGEST_HEX_SIZE], struct err *err)
{
	AUTO(strv_free) char **found = NULL;
	int r;

	if (strlen(prefix) < MIN_PREFIX || prefix[strspn(prefix, "0123456789abcdef")])
		return 0;
	r = db_each(db, err, add_text, &found, "SELECT fingerprint FROM images WHERE fingerprint GLOB ? || '*' LIMIT 2",
		    "s", prefix);
	if (r < 0)
		return r;
	if (strv_len(found) > 1)
		return err_set(err, -EINVAL, "more than one image begins with %s", prefix);
	if (found)
		copy_hex(ret, found[0]);
	return 0;
}

int images_find(struct db *db, const char *name, struct image_row *ret, struct err *err)
{
	char fingerprint[DIGEST_HEX_SIZE] = "";
	struct each each = { db, take_row, ret, err };
	int r;

	r = db_each(db, err, take_fingerprint, fingerprint, "SELECT fingerprint FROM image_aliases WHERE name = ?", "s",
		    name);
	if (r == 0 && !*fingerprint)
		r = find_prefix(db, name, fingerprint, err);
	if (r < 0)
		return r;
	r = db_each(db, err, each_row, &each, "SELECT " COLUMNS " FROM images WHERE fingerprint = ?", "s", fingerprint);
	if (r == 0)
		return err_set(err, -ENOENT, "no image '%.200s'", name);
	return r < 0 ? r : 0;
}

int images_delete(struct db *db, const char *fingerprint, struct err *err)
{
	AUTO(db_rollback) struct db_tx tx = { 0 };
	AUTO(strv_free) char **users = NULL;
	int r;

	r = db_begin(db, &tx, err);
	if (r == 0)
		r = find_users(db, fingerprint, &users, err);
	if (r < 0)
		return r;
	if (users) {
		autofree char *names = strv_join(users, ", ");

		return err_set(err, -EBUSY, "image %.12s is needed by %zu instance%s: %.300s", fingerprint,
			       strv_len(users), users[1] ? "s" : "", names);
	}
	r = db_exec(db, err, "DELETE FROM image_aliases WHERE fingerprint = ?", "s", fingerprint);
	if (r >= 0)
		r = db_exec(db, err, "DELETE FROM image_layers WHERE fingerprint = ?", "s", fingerprint);
	if (r >= 0)
		r = db_exec(db, err, "DELETE FROM images WHERE fingerprint = ?", "s", fingerprint);
	if (r == 0)
		return err_set(err, -ENOENT, "no image %.12s", fingerprint);
	return r < 0 ? r : db_commit(&tx, err);
}

int images_set_alias(struct db *db, const char *alias, const char *fingerprint, bool may_move, struct err *err)
{
	char now[DIGEST_HEX_SIZE] = "";
	AUTO(db_rollback) struct db_tx tx = { 0 };
	int r;

	r = db_begin(db, &tx, err);
	if (r == 0)
		r = db_each(db, err, take_fingerprint, now, "SELECT fingerprint FROM image_aliases WHERE name = ?", "s",
			    alias);
	if (r < 0)
		return r;
	if (strcmp(now, fingerprint) == 0)
		return 0;
	if (*now && !may_move)
		return err_set(err, -EEXIST, "the alias '%.200s' names another image (%.12s)", alias, now);
	r = db_exec(db, err, "INSERT OR REPLACE INTO image_aliases (name, fingerprint) VALUES (?, ?)", "ss", alias,
		    fingerprint);
	if (r == -EEXIST)
		return err_set(err, -ENOENT, "no image %.12s", fingerprint);
	return r < 0 ? r : db_commit(&tx, err);
}

int images_delete_alias(struct db *db, const char *alias, struct err *err)
{
	int r = db_exec(db, err, "DELETE FROM image_aliases WHERE name = ?", "s", alias);

	if (r == 0)
		return err_set(err, -ENOENT, "no alias '%.200s'", alias);
	return r < 0 ? r : 0;
}

static int take_bytes(const struct db_row *row, void *ctx)
{
	uint64_t *bytes = ctx;

	if (bytes)
		*bytes = (uint64_t)db_int(row, 0);
	return 1;
}

int images_find_layer(struct db *db, const char *diff_id, uint64_t *ret_bytes, struct err *err)
{
	return db_each(db, err, take_bytes, ret_bytes, "SELECT bytes FROM image_layers WHERE diff_id = ? LIMIT 1", "s",
		       diff_id);
}
