/* SPDX-License-Identifier: Apache-2.0 */
/* test-volume.c - where a volume may be mounted, and what may be attached when; an engine with nothing but a database
 */
#include "engine/volume.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "engine/state.h"
#include "test.h"

static void engine_done(struct engine *e)
{
	db_close(e->db);
	mutex_done(&e->mutex);
	free(e->settings.state_dir);
}
AUTO_DEFINE_IN(struct engine, engine_done)

static void engine_make(struct engine *e, const char *name)
{
	autofree char *db = NULL;

	*e = (struct engine){ .settings.state_dir = path_join(test_dir(), name) };
	mutex_init(&e->mutex);
	list_init(&e->instances);
	CHECK_INT(path_mkdirs(e->settings.state_dir, 0700, NULL), 0);
	db = path_join(e->settings.state_dir, "stasis.db");
	CHECK_INT(db_open(db, &e->db, NULL), 0);
	CHECK_INT(volume_sweep(e, NULL), 0);
}

static struct instance *instance_make(struct engine *e, const char *name)
{
	struct instance_row row = { .name = xstrdup(name), .image = xstrdup("x"), .created_us = 1 };

	uuid_new(row.uuid);
	CHECK_INT(instances_insert(e->db, &row, NULL), 0);
	return instance_new(e, &row);
}
AUTO_DEFINE(struct instance *, instance_free)

static void check_path(const char *path, const char *want)
{
	autofree char *clean = NULL;
	int r = volume_check_path(path, &clean, NULL);

	CHECK_INT(r, want ? 0 : -EINVAL);
	CHECK_STR(clean, want);
}

TEST(paths)
{
	static const char *const refused[] = { "",	    "data",  "./data", "/",	"//",	 "/.",
					       "/../a",	    "/a/..", "/proc",  "/sys/", "//dev", "/dev/shm",
					       "/./proc/x", "/a:b",  "/a\nb",  "/a\x7f" };

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		check_path(refused[i], NULL);
	check_path("/data", "/data");
	check_path("//srv/./data//", "/srv/data");
	check_path("/process", "/process"); /* begins as /proc does */
	check_path("/a/proc", "/a/proc");
	check_path("/..a", "/..a");
	check_path("/mit \xc3\xa4", "/mit \xc3\xa4");
}

TEST(names_are_those_of_instances)
{
	AUTO(engine_done) struct engine e;

	engine_make(&e, "names");
	CHECK_INT(volume_create(&e, "a-1", NULL), 0);
	CHECK_INT(volume_create(&e, "a-1", NULL), -EEXIST);
	CHECK_INT(volume_create(&e, "", NULL), -EINVAL);
	CHECK_INT(volume_create(&e, "..", NULL), -EINVAL);
	CHECK_INT(volume_create(&e, "a/b", NULL), -EINVAL);
	CHECK_INT(volume_create(&e, ".fill-a", NULL), -EINVAL);
	CHECK_INT(volume_delete(&e, "..", NULL), -ENOENT);
	CHECK_INT(volume_delete(&e, "a-1", NULL), 0);
}

/* Somebody is between making the folder and writing the row. */
TEST(a_folder_without_a_row_is_somebody_at_work)
{
	AUTO(engine_done) struct engine e;
	autofree char *path = NULL;

	engine_make(&e, "race");
	path = volume_path(&e, "data");
	REQUIRE(mkdir(path, 0700) == 0);
	CHECK_INT(volume_create(&e, "data", NULL), -EBUSY);
	CHECK_INT(volume_sweep(&e, NULL), 0); /* a crash was between them */
	CHECK(!path_exists(path));
	CHECK_INT(volume_create(&e, "data", NULL), 0);
	CHECK_INT(volume_sweep(&e, NULL), 0);
	CHECK(path_exists(path));
}

TEST(attachments)
{
	AUTO(engine_done) struct engine e;
	struct volume_mount *mounts;
	struct err err = ERR_INIT;
	size_t n = 0;

	engine_make(&e, "attach");
	AUTO(instance_free) struct instance *in = instance_make(&e, "web");
	CHECK_INT(volume_create(&e, "a", NULL), 0);
	CHECK_INT(volume_create(&e, "b", NULL), 0);
	CHECK_INT(volume_attach(in, "b", "/srv/x/", true, NULL), 0);
	CHECK_INT(volume_attach(in, "a", "/srv", false, NULL), 0);
	CHECK_INT(volume_attach(in, "a", "/other", false, NULL), -EEXIST);
	CHECK_INT(volume_attach(in, "none", "/none", false, NULL), -ENOENT);
	CHECK_INT(volume_delete(&e, "a", &err), -EBUSY);
	CHECK_STR(err.text, "volume 'a' is attached: web:/srv");
	mounts = volume_mounts(in, &n);
	CHECK_INT(n, 2);
	CHECK_STR(mounts[0].path, "/srv"); /* the outer one first */
	CHECK_STR(mounts[1].path, "/srv/x");
	CHECK(!mounts[0].is_readonly && mounts[1].is_readonly);
	volume_mounts_free(mounts, n);
	CHECK_INT(volume_detach(in, "a", NULL), 0);
	CHECK_INT(volume_detach(in, "a", NULL), -ENOENT);
	devices_done(&in->devices);
	CHECK_INT(volume_load(in, NULL), 0); /* as the next daemon would */
	CHECK_INT(in->devices.n, 1);
	CHECK_STR(in->devices.v[0].volume, "b");
}

TEST(only_at_rest)
{
	AUTO(engine_done) struct engine e;
	struct err err = ERR_INIT;

	engine_make(&e, "rest");
	AUTO(instance_free) struct instance *in = instance_make(&e, "web");
	CHECK_INT(volume_create(&e, "a", NULL), 0);
	CHECK_INT(volume_attach(in, "a", "/a", false, NULL), 0);
	in->status = INSTANCE_FROZEN;
	CHECK_INT(volume_detach(in, "a", &err), -EBUSY);
	CHECK_STR(err.text, "'web' is running: volumes change only while it is stopped");
	CHECK_INT(volume_set_devices(in, &in->devices, NULL), 0); /* no change */
	in->status = INSTANCE_STOPPED;
	in->state.exists = true;
	CHECK_INT(volume_detach(in, "a", &err), -EBUSY);
	CHECK(strstr(err.text, "saved state") != NULL);
	in->state.exists = false;
	CHECK_INT(volume_detach(in, "a", NULL), 0);
}
