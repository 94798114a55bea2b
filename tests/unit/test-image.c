/* SPDX-License-Identifier: Apache-2.0 */
/* test-image.c - the engine's images: imported, named, found, removed; an engine with nothing but a folder and a
 * database */
#include "engine/image.h"

#include <dirent.h>

#include "base/uuid.h"
#include "engine/state.h"
#include "layout.h"
#include "store/instances.h"

static void engine_done(struct engine *e)
{
	db_close(e->db);
	free(e->settings.state_dir);
}
AUTO_DEFINE_IN(struct engine, engine_done)

static void engine_make(struct engine *e, const char *name)
{
	autofree char *db = NULL;
	struct err err = ERR_INIT;

	*e = (struct engine){ .settings.state_dir = path_join(test_dir(), name) };
	CHECK_INT(path_mkdirs(e->settings.state_dir, 0700, NULL), 0);
	db = path_join(e->settings.state_dir, "stasis.db");
	CHECK_INT(db_open(db, &e->db, &err), 0);
	CHECK_STR(err.text, "");
}

#define NEEDS_ROOT()                                                                                                   \
	do {                                                                                                           \
		if (geteuid() != 0)                                                                                    \
			SKIP("owners and whiteouts need root");                                                        \
	} while (0)

static size_t n_entries(const struct engine *e, const char *sub)
{
	autofree char *path = path_join(e->settings.state_dir, sub);
	struct dirent **list;
	size_t found = 0;
	int n = scandir(path, &list, NULL, NULL);

	for (int i = 0; i < n; i++) {
		found += list[i]->d_name[0] != '.';
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return found;
}

static char *import(struct engine *e, const struct layout *l, const char *alias)
{
	struct err err = ERR_INIT;
	char *fingerprint = NULL;

	CHECK_INT(image_import(e, l->folder, alias, NULL, &fingerprint, &err), 0);
	CHECK_STR(err.text, "");
	return fingerprint;
}

static int find_code(struct engine *e, const char *name)
{
	AUTO(image_info_free) struct image_info *info = NULL;

	return image_find(e, name, &info, NULL);
}

static void add_instance(struct engine *e, const char *name, const char *fingerprint)
{
	struct instance_row row = { .name = (char *)name, .image = (char *)fingerprint, .created_us = 1 };

	uuid_new(row.uuid);
	CHECK_INT(instances_insert(e->db, &row, NULL), 0);
}

TEST(imported_and_found)
{
	AUTO(engine_done) struct engine e = { 0 };
	AUTO(image_info_free) struct image_info *info = NULL;
	AUTO(image_list_free) struct image_info **list = NULL;
	AUTO(layout_done) struct layout l = { 0 };
	autofree char *fingerprint = NULL, *layers = NULL;

	NEEDS_ROOT();
	engine_make(&e, "found-state");
	layout_init(&l, "found");
	layout_add(&l, "a", "one");
	layout_add(&l, "b", "three");
	l.process = "{\"Entrypoint\":[\"/e\"],\"Cmd\":[\"c\"],\"Env\":[\"A=b\"],\"User\":\"u\",\"WorkingDir\":\"/w\","
		    "\"StopSignal\":\"9\"}";
	l.created = "2026-01-02T03:04:05Z";
	layout_write(&l);
	fingerprint = import(&e, &l, "web:1");
	REQUIRE(image_find(&e, "web:1", &info, NULL) == 0);
	CHECK_STR(info->fingerprint, fingerprint);
	CHECK(str_eq(info->aliases[0], "web:1") && !info->aliases[1]);
	CHECK_STR(info->description, "found");
	CHECK_STR(info->architecture, oci_architecture());
	CHECK_INT(info->bytes, 8);
	CHECK_INT(info->created_us, 1767323045000000);
	CHECK(info->uploaded_us > info->created_us);
	CHECK_INT(strv_len(info->layers), 2);
	layers = path_join(info->layers[1], "b");
	CHECK(path_exists(layers) && *info->layers[0] == '/');
	CHECK(str_eq(info->entrypoint[0], "/e") && str_eq(info->cmd[0], "c") && str_eq(info->env[0], "A=b"));
	CHECK(str_eq(info->user, "u") && str_eq(info->cwd, "/w") && str_eq(info->stop_signal, "9"));
	CHECK_INT(info->n_users, 0);
	fingerprint[8] = '\0';
	CHECK_INT(find_code(&e, fingerprint), 0);
	CHECK_INT(find_code(&e, "nothing"), -ENOENT);
	CHECK_INT(image_list(&e, &list, NULL), 0);
	CHECK(list[0] && !list[1]);
}

TEST(aliases)
{
	AUTO(engine_done) struct engine e = { 0 };
	AUTO(layout_done) struct layout l = { 0 };
	autofree char *first = NULL, *second = NULL, *third = NULL;
	struct err err = ERR_INIT;

	NEEDS_ROOT();
	engine_make(&e, "alias-state");
	layout_init(&l, "alias");
	layout_add(&l, "a", "one");
	l.ref_name = "evil/name:1";
	layout_write(&l);
	first = import(&e, &l, NULL); /* takes its own name */
	CHECK_INT(find_code(&e, "evil/name:1"), 0);
	CHECK_INT(image_alias_add(&e, "mine", first, NULL), 0);
	CHECK_INT(image_alias_add(&e, "mine", first, NULL), 0);
	l.created = "2026-01-02T03:04:05Z";
	layout_write(&l);
	second = import(&e, &l, NULL); /* its own name is taken: it stays where it is */
	{
		AUTO(image_info_free) struct image_info *info = NULL;

		CHECK_INT(image_find(&e, "evil/name:1", &info, NULL), 0);
		CHECK_STR(info->fingerprint, first);
	}
	CHECK_INT(image_alias_add(&e, "mine", second, &err), -EEXIST);
	third = import(&e, &l, "mine"); /* asked for: it moves */
	CHECK_STR(third, second);
	{
		AUTO(image_info_free) struct image_info *info = NULL;

		CHECK_INT(image_find(&e, "mine", &info, NULL), 0);
		CHECK_STR(info->fingerprint, second);
	}
	CHECK_INT(image_alias_add(&e, "", first, NULL), -EINVAL);
	CHECK_INT(image_alias_add(&e, "a b", first, NULL), -EINVAL);
	CHECK_INT(image_alias_add(&e, "-x", first, NULL), -EINVAL);
	CHECK_INT(image_alias_add(&e, first, second, NULL), -EINVAL);
	CHECK_INT(image_alias_add(&e, "x", "nothing", NULL), -ENOENT);
	CHECK_INT(image_alias_delete(&e, "mine", NULL), 0);
	CHECK_INT(image_alias_delete(&e, "mine", NULL), -ENOENT);
	CHECK_INT(find_code(&e, "mine"), -ENOENT);
	CHECK_INT(find_code(&e, second), 0);
}

static void check_own_name(const char *ref_name, bool is_taken)
{
	AUTO(engine_done) struct engine e = { 0 };
	AUTO(layout_done) struct layout l = { 0 };
	autofree char *fingerprint = NULL;
	AUTO(image_info_free) struct image_info *info = NULL;

	engine_make(&e, "own-state");
	layout_init(&l, "own");
	layout_add(&l, "a", "one");
	l.ref_name = ref_name;
	layout_write(&l);
	fingerprint = import(&e, &l, NULL);
	CHECK_INT(image_find(&e, fingerprint, &info, NULL), 0);
	CHECK(is_taken ? info->aliases && str_eq(info->aliases[0], ref_name) : !info->aliases);
	db_close(TAKE_PTR(e.db));
	CHECK_INT(path_remove_all(e.settings.state_dir, NULL), 0);
}

TEST(the_name_an_archive_gives_itself)
{
	NEEDS_ROOT();
	check_own_name("registry/name:1", true);
	check_own_name("latest", false);
	check_own_name("busybox", false);
	check_own_name("a b:1", false);
	check_own_name("--force/x:1", false);
}

TEST(layers_are_shared_and_go_with_their_last_image)
{
	AUTO(engine_done) struct engine e = { 0 };
	AUTO(layout_done) struct layout small = { 0 }, large = { 0 };
	autofree char *a = NULL, *b = NULL;
	struct err err = ERR_INIT;

	NEEDS_ROOT();
	engine_make(&e, "share-state");
	layout_init(&small, "small");
	layout_add(&small, "a", "one");
	layout_write(&small);
	layout_init(&large, "large");
	layout_add(&large, "a", "one");
	layout_add(&large, "b", "two");
	layout_write(&large);
	a = import(&e, &small, "small");
	b = import(&e, &large, "large");
	CHECK_INT(n_entries(&e, "layers"), 2);
	{
		AUTO(image_info_free) struct image_info *info = NULL;

		CHECK_INT(image_find(&e, "large", &info, NULL), 0);
		CHECK_INT(info->bytes, 6); /* of the layer that was there, too */
	}
	add_instance(&e, "c1", b);
	CHECK_INT(image_delete(&e, "large", &err), -EBUSY);
	CHECK(strstr(err.text, "c1"));
	CHECK_INT(n_entries(&e, "layers"), 2);
	CHECK_INT(image_delete(&e, "small", NULL), 0);
	CHECK_INT(n_entries(&e, "layers"), 2);
	CHECK_INT(db_exec(e.db, NULL, "DELETE FROM instances", ""), 1);
	CHECK_INT(image_delete(&e, b, NULL), 0);
	CHECK_INT(n_entries(&e, "layers"), 0);
	CHECK_INT(n_entries(&e, "tmp"), 0);
	CHECK_INT(image_delete(&e, "large", NULL), -ENOENT);
}

/* The same layer twice, and one that hides all below it. */
TEST(what_overlayfs_would_not_take)
{
	AUTO(engine_done) struct engine e = { 0 };
	AUTO(image_info_free) struct image_info *twice = NULL;
	AUTO(image_info_free) struct image_info *opaque = NULL;
	AUTO(layout_done) struct layout l = { 0 }, o = { 0 };
	autofree char *a = NULL, *b = NULL;

	NEEDS_ROOT();
	engine_make(&e, "stack-state");
	layout_init(&l, "twice");
	layout_add(&l, "a", "one");
	layout_add(&l, "b", "two");
	layout_add(&l, "a", "one");
	layout_write(&l);
	a = import(&e, &l, "twice");
	REQUIRE(image_find(&e, "twice", &twice, NULL) == 0);
	CHECK_INT(strv_len(twice->layers), 2);
	{
		autofree char *top = path_join(twice->layers[1], "a"), *low = path_join(twice->layers[0], "b");

		CHECK(path_exists(top) && path_exists(low));
	}
	layout_init(&o, "opaque");
	layout_add(&o, "a", "one");
	layout_add(&o, ".wh..wh..opq", NULL);
	layout_add(&o, "c", "three");
	layout_write(&o);
	b = import(&e, &o, "opaque");
	REQUIRE(image_find(&e, "opaque", &opaque, NULL) == 0);
	CHECK_INT(strv_len(opaque->layers), 2);
}

TEST(failures_leave_nothing)
{
	AUTO(engine_done) struct engine e = { 0 };
	AUTO(layout_done) struct layout l = { 0 };
	autofree char *path = NULL;
	char digest[DIGEST_HEX_SIZE];
	struct err err = ERR_INIT;

	NEEDS_ROOT();
	engine_make(&e, "fail-state");
	layout_init(&l, "fail");
	layout_add(&l, "a", "one");
	layout_add(&l, "b", "two");
	layout_write(&l);
	digest_of(l.layers[1].s, l.layers[1].len, digest);
	path = path_joinf(l.folder, "blobs/sha256/%s", digest);
	CHECK_INT(file_write_whole(path, "x", 1, 0644, NULL), 0);
	CHECK_INT(image_import(&e, l.folder, "x", NULL, NULL, &err), -EINVAL);
	CHECK(strstr(err.text, "/fail: layer 2 of 2: damaged"));
	CHECK_INT(n_entries(&e, "layers"), 0);
	CHECK_INT(n_entries(&e, "tmp"), 0);
	CHECK_INT(find_code(&e, "x"), -ENOENT);
	CHECK_INT(image_import(&e, "/nowhere/at/all", "x", NULL, NULL, &err), -ENOENT);
	CHECK(strstr(err.text, "/nowhere/at/all"));
	CHECK_INT(image_import(&e, l.folder, "bad alias", NULL, NULL, &err), -EINVAL);
	CHECK_INT(image_pull(&e, "--help", NULL, false, NULL, NULL, &err), -EINVAL);
}

/* Killed after the layers were in their place and before the rows were. */
TEST(a_crash_leaves_nothing_for_long)
{
	AUTO(engine_done) struct engine e = { 0 };
	AUTO(layout_done) struct layout l = { 0 };
	autofree char *fingerprint = NULL, *left = NULL;

	NEEDS_ROOT();
	engine_make(&e, "crash-state");
	layout_init(&l, "crash");
	layout_add(&l, "a", "one");
	layout_write(&l);
	fingerprint = import(&e, &l, "x");
	CHECK_INT(db_exec(e.db, NULL, "DELETE FROM image_aliases", ""), 1);
	CHECK_INT(db_exec(e.db, NULL, "DELETE FROM image_layers", ""), 1);
	CHECK_INT(db_exec(e.db, NULL, "DELETE FROM images", ""), 1);
	left = path_join(e.settings.state_dir, "tmp/image-abcdef/tree/deep/er");
	CHECK_INT(path_mkdirs(left, 0555, NULL), 0);
	CHECK_INT(n_entries(&e, "layers"), 1);
	CHECK_INT(image_sweep(&e, NULL), 0);
	CHECK_INT(n_entries(&e, "layers"), 0);
	CHECK_INT(n_entries(&e, "tmp"), 0);
}

TEST(the_built_in_image_makes_itself)
{
	AUTO(engine_done) struct engine e = { 0 };
	AUTO(image_info_free) struct image_info *info = NULL;
	struct err err = ERR_INIT;

	NEEDS_ROOT();
	engine_make(&e, "built-in-state");
	if (image_find(&e, "busybox", &info, &err) == -ENOENT && strstr(err.text, "busybox-static"))
		SKIP("no static busybox here");
	CHECK_STR(err.text, "");
	REQUIRE(info);
	CHECK(str_eq(info->aliases[0], "busybox") && str_after(info->description, "busybox 1."));
	CHECK(info->bytes > 100000 && info->cmd && !info->entrypoint);
}
