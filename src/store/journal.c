/* SPDX-License-Identifier: Apache-2.0 */
#include "store/journal.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

int journal_begin(struct db *db, const char *flow, const char *instance, const char *detail, int64_t *ret_id,
		  struct err *err)
{
	AUTO(db_rollback) struct db_tx tx = { 0 };
	int64_t id;
	int r;

	r = db_begin(db, &tx, err);
	if (r < 0)
		return r;
	r = db_exec(db, err, "INSERT INTO journal (flow, instance, detail, began) VALUES (?, ?, ?, ?)", "sssi", flow,
		    instance, detail, (int64_t)clock_real_us());
	if (r < 0)
		return err_wrap(err, r, "journal");
	id = db_last_id(db);
	r = db_commit(&tx, err);
	if (r < 0)
		return err_wrap(err, r, "journal");
	*ret_id = id;
	return 0;
}

int journal_end(struct db *db, int64_t id, struct err *err)
{
	int r = db_exec(db, err, "DELETE FROM journal WHERE id = ?", "i", id);

	return r < 0 ? err_wrap(err, r, "journal") : 0;
}

struct rows {
	struct journal_row *v;
	size_t n;
};

static int add_row(const struct db_row *row, void *ctx)
{
	struct rows *rows = ctx;
	struct journal_row *j;

	rows->v = xreallocarray(rows->v, rows->n + 1, sizeof(*rows->v));
	j = &rows->v[rows->n++];
	*j = (struct journal_row){ .id = db_int(row, 0), .began_us = (uint64_t)db_int(row, 4) };
	(void)strncpy(j->flow, db_text(row, 1), sizeof(j->flow) - 1);
	(void)strncpy(j->instance, db_text(row, 2), sizeof(j->instance) - 1);
	(void)strncpy(j->detail, db_text(row, 3) ? db_text(row, 3) : "", sizeof(j->detail) - 1);
	return 0;
}

int journal_list(struct db *db, struct journal_row **ret, size_t *ret_n, struct err *err)
{
	struct rows rows = { 0 };
	int r;

	r = db_each(db, err, add_row, &rows, "SELECT id, flow, instance, detail, began FROM journal ORDER BY id", "");
	if (r < 0) {
		free(rows.v);
		return err_wrap(err, r, "journal");
	}
	*ret = rows.v;
	*ret_n = rows.n;
	return 0;
}
