/* SPDX-License-Identifier: Apache-2.0 */
/* instances.c - config is kept as a JSON object in one column: it is read and written whole */
#include "store/instances.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"

void instance_row_done(struct instance_row *row)
{
	free(row->name);
	free(row->image);
	free(row->description);
	strv_free(row->config);
	*row = (struct instance_row){ 0 };
}

static char *config_to_text(char *const *config)
{
	AUTO(json_free) struct json *o = json_new_object();

	for (size_t i = 0; config && config[i]; i++) {
		const char *eq = strchr(config[i], '=');
		autofree char *key = xstrndup(config[i], (size_t)(eq - config[i]));

		json_set_str(o, key, eq + 1);
	}
	return json_print(o, JSON_COMPACT);
}

static int config_from_text(const char *text, char ***ret, struct err *err)
{
	AUTO(json_free) struct json *o = NULL;
	char **v = NULL;
	int r;

	r = json_parse(text, strlen(text), &o, err);
	if (r < 0)
		return r;
	for (struct json_iter it = json_iter(o); json_next(&it);)
		strv_addf(&v, "%s=%s", it.key, json_str(it.value) ? json_str(it.value) : "");
	strv_sort(v);
	*ret = v;
	return 0;
}

int instances_insert(struct db *db, const struct instance_row *row, struct err *err)
{
	autofree char *config = config_to_text(row->config);
	int r;

	r = db_exec(db, err,
		    "INSERT INTO instances (uuid, name, image, description, config, ephemeral, created, last_used)"
		    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		    "sssssiii", row->uuid, row->name, row->image, row->description ? row->description : "", config,
		    (int64_t)row->is_ephemeral, (int64_t)row->created_us, (int64_t)row->last_used_us);
	if (r == -EEXIST)
		return err_set(err, r, "an instance '%s' exists already", row->name);
	return r < 0 ? r : 0;
}

int instances_update(struct db *db, const struct instance_row *row, struct err *err)
{
	autofree char *config = config_to_text(row->config);
	int r;

	r = db_exec(
		db, err,
		"UPDATE instances SET name = ?, image = ?, description = ?, config = ?, ephemeral = ?, last_used = ?"
		" WHERE uuid = ?",
		"ssssiis", row->name, row->image, row->description ? row->description : "", config,
		(int64_t)row->is_ephemeral, (int64_t)row->last_used_us, row->uuid);
	if (r == -EEXIST)
		return err_set(err, r, "an instance '%s' exists already", row->name);
	if (r == 0)
		return err_set(err, -ENOENT, "no row for instance '%s'", row->name);
	return r < 0 ? r : 0;
}

int instances_delete(struct db *db, const char *uuid, struct err *err)
{
	int r = db_exec(db, err, "DELETE FROM instances WHERE uuid = ?", "s", uuid);

	return r < 0 ? r : 0;
}

struct each {
	int (*fn)(struct instance_row *row, void *ctx);
	void *ctx;
	struct err *err;
};

static int each_row(const struct db_row *row, void *ctx)
{
	AUTO(instance_row_done) struct instance_row in = { 0 };
	struct each *each = ctx;
	int r;

	(void)strncpy(in.uuid, db_text(row, 0), sizeof(in.uuid) - 1);
	in.name = xstrdup(db_text(row, 1));
	in.image = xstrdup(db_text(row, 2));
	in.description = xstrdup(db_text(row, 3));
	r = config_from_text(db_text(row, 4), &in.config, each->err);
	if (r < 0)
		return err_wrap(each->err, r, "configuration of '%s'", in.name);
	in.is_ephemeral = db_int(row, 5);
	in.created_us = (uint64_t)db_int(row, 6);
	in.last_used_us = (uint64_t)db_int(row, 7);
	return each->fn(&in, each->ctx);
}

int instances_each(struct db *db, int (*fn)(struct instance_row *row, void *ctx), void *ctx, struct err *err)
{
	struct each each = { fn, ctx, err };

	return db_each(db, err, each_row, &each,
		       "SELECT uuid, name, image, description, config, ephemeral, created, last_used FROM instances"
		       " ORDER BY name",
		       "");
}
