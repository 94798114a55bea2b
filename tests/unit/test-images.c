/* SPDX-License-Identifier: Apache-2.0 */
/* test-images.c - the tables of images */
#include "store/images.h"

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

/* A fingerprint or diff id that begins with @first. */
static const char *hex(const char *first, char buf[DIGEST_HEX_SIZE])
{
	memset(buf, '0', DIGEST_HEX_SIZE - 1);
	buf[DIGEST_HEX_SIZE - 1] = '\0';
	memcpy(buf, first, strlen(first));
	return buf;
}

static void add_image(struct db *db, const char *fingerprint, const char *const *layers, uint64_t uploaded_us)
{
	struct image_layer_row rows[8] = { 0 };
	struct image_row row = { .manifest = (char *)"{\"m\":1}",
				 .config = (char *)"{}",
				 .description = (char *)"it's an image",
				 .created_us = 5,
				 .uploaded_us = uploaded_us,
				 .layers = rows };

	(void)hex(fingerprint, row.fingerprint);
	for (; layers[row.n_layers]; row.n_layers++) {
		(void)hex(layers[row.n_layers], rows[row.n_layers].diff_id);
		rows[row.n_layers].bytes = 100 + row.n_layers;
	}
	CHECK_INT(images_insert(db, &row, NULL), 0);
}

static void add_instance(struct db *db, const char *name, const char *image)
{
	char fingerprint[DIGEST_HEX_SIZE];
	struct instance_row row = { .name = (char *)name, .image = (char *)hex(image, fingerprint), .created_us = 1 };

	uuid_new(row.uuid);
	CHECK_INT(instances_insert(db, &row, NULL), 0);
}

static void check_found(struct db *db, const char *name, const char *first, const char *aliases, const char *users)
{
	AUTO(image_row_done) struct image_row row = { 0 };
	char want[DIGEST_HEX_SIZE];
	struct err err = ERR_INIT;

	CHECK_INT(images_find(db, name, &row, &err), 0);
	CHECK_STR(err.text, "");
	CHECK_STR(row.fingerprint, hex(first, want));
	{
		autofree char *a = strv_join(row.aliases, " "), *u = strv_join(row.users, " ");

		CHECK_STR(a, aliases);
		CHECK_STR(u, users);
	}
}

static int find_error(struct db *db, const char *name)
{
	AUTO(image_row_done) struct image_row row = { 0 };

	return images_find(db, name, &row, NULL);
}

static const char *const two[] = { "aa", "bb", NULL };
static const char *const three[] = { "aa", "bb", "aa", NULL };

TEST(what_is_written_is_found)
{
	AUTO(db_close) struct db *db = open_db("found");
	AUTO(image_row_done) struct image_row row = { 0 };
	char fingerprint[DIGEST_HEX_SIZE], diff_id[DIGEST_HEX_SIZE];

	add_image(db, "abcdef1", two, 10);
	add_image(db, "abcdef1", three, 11); /* again: nothing changes for the image */
	CHECK_INT(images_find(db, hex("abcdef1", fingerprint), &row, NULL), 0);
	CHECK_STR(row.manifest, "{\"m\":1}");
	CHECK_STR(row.config, "{}");
	CHECK_STR(row.description, "it's an image");
	CHECK_STR(row.architecture, "");
	CHECK_INT(row.n_layers, 2);
	CHECK_INT(row.created_us, 5);
	CHECK_INT(row.uploaded_us, 10);
	CHECK_STR(row.layers[0].diff_id, hex("aa", diff_id));
	CHECK_INT(row.layers[1].bytes, 101);
	CHECK(!row.aliases && !row.users);
}

TEST(names)
{
	AUTO(db_close) struct db *db = open_db("names");
	char a[DIGEST_HEX_SIZE], b[DIGEST_HEX_SIZE], none[DIGEST_HEX_SIZE];
	struct err err = ERR_INIT;

	add_image(db, "abcdef1", two, 10);
	add_image(db, "abcdef2", two, 20);
	(void)hex("abcdef1", a);
	(void)hex("abcdef2", b);
	CHECK_INT(images_set_alias(db, "web", a, false, NULL), 0);
	CHECK_INT(images_set_alias(db, "docker.io/web:1", a, false, NULL), 0);
	CHECK_INT(images_set_alias(db, "web", a, false, NULL), 0);
	CHECK_INT(images_set_alias(db, "web", b, false, &err), -EEXIST);
	CHECK(strstr(err.text, "'web' names another image"));
	CHECK_INT(images_set_alias(db, "x", hex("dd", none), false, &err), -ENOENT);
	add_instance(db, "one", "abcdef1");
	add_instance(db, "two", "abcdef1");
	check_found(db, "web", "abcdef1", "docker.io/web:1 web", "one two");
	check_found(db, a, "abcdef1", "docker.io/web:1 web", "one two");
	check_found(db, "abcdef1", "abcdef1", "docker.io/web:1 web", "one two");
	check_found(db, "abcdef2", "abcdef2", "", "");
	CHECK_INT(find_error(db, "abcdef"), -EINVAL);
	CHECK_INT(find_error(db, "abcd"), -ENOENT);
	CHECK_INT(find_error(db, ""), -ENOENT);
	CHECK_INT(find_error(db, "ABCDEF1"), -ENOENT);
	CHECK_INT(find_error(db, "abcde*"), -ENOENT);
	CHECK_INT(find_error(db, "' OR 1=1 --"), -ENOENT);
	CHECK_INT(images_set_alias(db, "web", b, true, NULL), 0);
	check_found(db, "web", "abcdef2", "web", "");
	CHECK_INT(images_set_alias(db, "abcdef1", b, false, NULL), 0); /* an alias comes before a prefix */
	check_found(db, "abcdef1", "abcdef2", "abcdef1 web", "");
	CHECK_INT(images_delete_alias(db, "web", NULL), 0);
	CHECK_INT(images_delete_alias(db, "web", NULL), -ENOENT);
	CHECK_INT(find_error(db, "web"), -ENOENT);
}

TEST(an_image_in_use_stays)
{
	AUTO(db_close) struct db *db = open_db("use");
	char a[DIGEST_HEX_SIZE], diff_id[DIGEST_HEX_SIZE];
	struct err err = ERR_INIT;
	uint64_t bytes = 0;

	add_image(db, "abcdef1", two, 10);
	add_instance(db, "one", "abcdef1");
	add_instance(db, "two", "abcdef1");
	(void)hex("abcdef1", a);
	CHECK_INT(images_set_alias(db, "web", a, false, NULL), 0);
	CHECK_INT(images_delete(db, a, &err), -EBUSY);
	CHECK_STR(err.text, "image abcdef100000 is needed by 2 instances: one, two");
	check_found(db, "web", "abcdef1", "web", "one two");
	CHECK_INT(db_exec(db, NULL, "DELETE FROM instances", ""), 2);
	CHECK_INT(images_find_layer(db, hex("bb", diff_id), &bytes, NULL), 1);
	CHECK_INT(bytes, 101);
	CHECK_INT(images_delete(db, a, &err), 0);
	CHECK_INT(images_delete(db, a, &err), -ENOENT);
	CHECK_INT(find_error(db, "web"), -ENOENT);
	CHECK_INT(images_find_layer(db, diff_id, &bytes, NULL), 0);
	CHECK_INT(images_find_layer(db, diff_id, NULL, NULL), 0);
}

static int collect(struct image_row *row, void *ctx)
{
	strv_addf(ctx, "%.7s:%zu", row->fingerprint, row->n_layers);
	return 0;
}

TEST(all_of_them)
{
	AUTO(db_close) struct db *db = open_db("all");
	AUTO(strv_free) char **seen = NULL;
	autofree char *text = NULL;

	CHECK_INT(images_each(db, collect, &seen, NULL), 0);
	CHECK(!seen);
	add_image(db, "abcdef1", two, 10);
	add_image(db, "abcdef2", three, 30);
	add_image(db, "abcdef3", two, 20);
	CHECK_INT(images_each(db, collect, &seen, NULL), 0);
	text = strv_join(seen, " ");
	CHECK_STR(text, "abcdef2:3 abcdef3:2 abcdef1:2");
}
