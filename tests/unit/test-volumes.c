/* SPDX-License-Identifier: Apache-2.0 */
/* test-volumes.c - the tables of volumes and attachments */
#include "store/volumes.h"

#include "base/mem.h"
#include "base/strv.h"
#include "store/instances.h"
#include "test.h"

static struct db *open_db(const char *name)
{
	autofree char *path = path_join(test_dir(), name);
	struct db *db = NULL;
	struct err err = ERR_INIT;

	if (db_open(path, &db, &err) < 0)
		CHECK_STR(err.text, "");
	return db;
}

static void add_volume(struct db *db, const char *name)
{
	const struct volume_row row = { .name = (char *)name, .created_us = 7 };

	CHECK_INT(volumes_insert(db, &row, NULL), 0);
}

static void add_instance(struct db *db, const char *name, char uuid[UUID_SIZE])
{
	struct instance_row row = { .name = (char *)name, .image = (char *)"x", .created_us = 1 };

	uuid_new(row.uuid);
	memcpy(uuid, row.uuid, UUID_SIZE);
	CHECK_INT(instances_insert(db, &row, NULL), 0);
}

static void check_users(struct db *db, const char *volume, const char *want)
{
	AUTO(volume_row_done) struct volume_row row = { 0 };
	autofree char *users = NULL;

	CHECK_INT(volumes_find(db, volume, &row, NULL), 0);
	users = strv_join(row.users, " ");
	CHECK_STR(users, want);
}

static int add_words(const struct attachment_row *row, void *ctx)
{
	strv_addf(ctx, "%s=%s:%s%s", row->name, row->volume, row->path, row->is_readonly ? ":ro" : "");
	return 0;
}

static void check_attached(struct db *db, const char *uuid, const char *want)
{
	AUTO(strv_free) char **words = NULL;
	autofree char *text = NULL;

	CHECK_INT(attachments_each(db, uuid, add_words, &words, NULL), 0);
	text = strv_join(words, " ");
	CHECK_STR(text, want);
}

TEST(volumes_come_and_go)
{
	AUTO(db_close) struct db *db = open_db("come.db");
	AUTO(volume_row_done) struct volume_row row = { 0 };
	const struct volume_row again = { .name = (char *)"data" };
	struct err err = ERR_INIT;

	add_volume(db, "data");
	CHECK_INT(volumes_insert(db, &again, &err), -EEXIST);
	CHECK_STR(err.text, "a volume 'data' exists already");
	CHECK_INT(volumes_find(db, "data", &row, NULL), 0);
	CHECK_STR(row.name, "data");
	CHECK_INT(row.created_us, 7);
	CHECK(row.users == NULL);
	CHECK(row.is_fresh);
	CHECK_INT(volumes_set_used(db, "data", NULL), 0);
	volume_row_done(&row);
	CHECK_INT(volumes_find(db, "data", &row, NULL), 0);
	CHECK(!row.is_fresh);
	CHECK_INT(volumes_delete(db, "data", NULL), 0);
	CHECK_INT(volumes_delete(db, "data", &err), -ENOENT);
	CHECK_STR(err.text, "there is no volume 'data'");
	volume_row_done(&row);
	CHECK_INT(volumes_find(db, "data", &row, NULL), -ENOENT);
}

static int add_name(struct volume_row *row, void *ctx)
{
	strv_take(ctx, TAKE_PTR(row->name));
	return 0;
}

TEST(volumes_are_listed_by_name)
{
	AUTO(db_close) struct db *db = open_db("list.db");
	AUTO(strv_free) char **names = NULL;
	autofree char *text = NULL;

	add_volume(db, "b");
	add_volume(db, "c");
	add_volume(db, "a");
	CHECK_INT(volumes_each(db, add_name, &names, NULL), 0);
	text = strv_join(names, " ");
	CHECK_STR(text, "a b c");
}

TEST(a_volume_in_use_stays)
{
	AUTO(db_close) struct db *db = open_db("use.db");
	const struct attachment_row one = { "d", "data", "/data", false }, two = { "e", "data", "/srv", true };
	char web[UUID_SIZE], old[UUID_SIZE];
	struct err err = ERR_INIT;

	add_volume(db, "data");
	add_instance(db, "web", web);
	add_instance(db, "old", old);
	CHECK_INT(attachments_set(db, web, &one, 1, NULL), 0);
	CHECK_INT(attachments_set(db, old, &two, 1, NULL), 0);
	check_users(db, "data", "old:/srv web:/data");
	CHECK_INT(volumes_delete(db, "data", &err), -EBUSY);
	CHECK_STR(err.text, "volume 'data' is attached: old:/srv, web:/data");
	CHECK_INT(instances_delete(db, old, NULL), 0); /* takes its attachments along */
	check_users(db, "data", "web:/data");
	CHECK_INT(attachments_set(db, web, NULL, 0, NULL), 0);
	CHECK_INT(volumes_delete(db, "data", NULL), 0);
}

TEST(attachments_are_replaced_as_one)
{
	AUTO(db_close) struct db *db = open_db("replace.db");
	const struct attachment_row good[] = { { "x", "b", "/srv/b", true }, { "y", "a", "/srv", false } };
	const struct attachment_row missing[] = { { "x", "a", "/a", false }, { "y", "none", "/b", false } };
	char web[UUID_SIZE];
	struct err err = ERR_INIT;

	add_volume(db, "a");
	add_volume(db, "b");
	add_instance(db, "web", web);
	CHECK_INT(attachments_set(db, web, good, 2, NULL), 0);
	check_attached(db, web, "y=a:/srv x=b:/srv/b:ro"); /* the outer folder first */
	CHECK_INT(attachments_set(db, web, missing, 2, &err), -ENOENT);
	CHECK_STR(err.text, "there is no volume 'none'");
	check_attached(db, web, "y=a:/srv x=b:/srv/b:ro");
	CHECK_INT(attachments_set(db, web, good, 1, NULL), 0);
	check_attached(db, web, "x=b:/srv/b:ro");
}

TEST(twice_is_refused)
{
	AUTO(db_close) struct db *db = open_db("twice.db");
	const struct attachment_row device[] = { { "x", "a", "/a", false }, { "x", "b", "/b", false } };
	const struct attachment_row volume[] = { { "x", "a", "/a", false }, { "y", "a", "/b", false } };
	const struct attachment_row path[] = { { "x", "a", "/a", false }, { "y", "b", "/a", false } };
	char web[UUID_SIZE];
	struct err err = ERR_INIT;

	add_volume(db, "a");
	add_volume(db, "b");
	add_instance(db, "web", web);
	CHECK_INT(attachments_set(db, web, device, 2, &err), -EEXIST);
	CHECK_STR(err.text, "there is a device 'x' already");
	CHECK_INT(attachments_set(db, web, volume, 2, &err), -EEXIST);
	CHECK_STR(err.text, "volume 'a' is attached at /a already");
	CHECK_INT(attachments_set(db, web, path, 2, &err), -EEXIST);
	CHECK_STR(err.text, "volume 'a' is at /a already");
	check_attached(db, web, "");
}

/* Databases of before there were volumes get the tables, and keep what they have. */
TEST(an_older_database_is_brought_up)
{
	char web[UUID_SIZE];

	{
		AUTO(db_close) struct db *db = open_db("old.db");

		add_instance(db, "web", web);
		CHECK(db_exec(db, NULL, "DROP TABLE attachments", "") >= 0);
		CHECK(db_exec(db, NULL, "DROP TABLE volumes", "") >= 0);
	}
	AUTO(db_close) struct db *db = open_db("old.db");
	const struct attachment_row row = { "a", "a", "/a", false };

	add_volume(db, "a");
	CHECK_INT(attachments_set(db, web, &row, 1, NULL), 0);
}
