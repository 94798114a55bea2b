/* SPDX-License-Identifier: Apache-2.0 */
/* create.c - a new instance. Its files come first and its row last: files without a row are swept at start-up. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/config.h"
#include "engine/create.h"
#include "engine/image.h"
#include "engine/instance.h"
#include "engine/operation.h"
#include "engine/remove.h"
#include "engine/state.h"
#include "engine/volume.h"

#define NAME_TRIES 50

static const char *const adjectives[] = { "able",   "bold",  "brave", "bright", "calm", "clear", "cosy",  "eager",
					  "fair",   "fast",  "fresh", "gentle", "glad", "happy", "keen",  "kind",
					  "lively", "lucky", "merry", "mild",	"neat", "noble", "proud", "quick",
					  "quiet",  "ready", "sharp", "sunny",	"tidy", "warm" };
static const char *const animals[] = { "badger", "beaver", "bison", "crane", "deer",  "eagle", "falcon", "finch",
				       "fox",	 "gecko",  "hare",  "hawk",  "heron", "ibis",  "koala",	 "lark",
				       "lynx",	 "marten", "mole",  "moose", "newt",  "otter", "owl",	 "panda",
				       "raven",	 "robin",  "seal",  "stork", "swan",  "wren" };

static char *made_up_name(void)
{
	unsigned int n[2];

	(void)!getrandom(n, sizeof(n), 0);
	return xasprintf("%s-%s", adjectives[n[0] % ARRAY_SIZE(adjectives)], animals[n[1] % ARRAY_SIZE(animals)]);
}

static bool is_taken(struct engine *e, const char *name)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;

	return instance_info(e, name, /* live= */ false, &info, NULL) == 0;
}

int create_choose_name(struct engine *e, const char *wanted, char **ret, struct err *err)
{
	if (wanted && *wanted) {
		int r = instance_check_name(wanted, err);

		if (r < 0)
			return r;
		if (is_taken(e, wanted))
			return err_set(err, -EEXIST, "an instance '%s' exists already", wanted);
		*ret = xstrdup(wanted);
		return 0;
	}
	for (int i = 0; i < NAME_TRIES; i++) {
		autofree char *name = made_up_name();

		if (is_taken(e, name))
			continue;
		*ret = TAKE_PTR(name);
		return 0;
	}
	return err_set(err, -EEXIST, "no free name was found: choose one");
}

static int check_all_config(const struct instance_create *rq, char ***ret, struct err *err)
{
	AUTO(strv_free) char **config = NULL;

	for (size_t i = 0; rq->config && rq->config[i]; i++) {
		const char *eq = strchr(rq->config[i], '=');
		autofree char *key = eq ? xstrndup(rq->config[i], (size_t)(eq - rq->config[i])) : NULL;
		int r;

		if (!key)
			return err_set(err, -EINVAL, "expected KEY=VALUE, not '%s'", rq->config[i]);
		r = config_check(key, eq + 1, err);
		if (r < 0)
			return r;
		strv_env_set(&config, key, eq + 1);
	}
	if (rq->command && rq->command[0]) {
		autofree char *words = strv_quote(rq->command);

		strv_env_set(&config, "oci.entrypoint", words);
	}
	strv_sort(config);
	*ret = TAKE_PTR(config);
	return 0;
}

/* Folders, what @fill puts into them, row. The instance is claimed from the moment that others can see it. */
static int bring_into_being(struct instance *in, create_fill fill, void *ctx, struct err *err)
{
	autofree char *dir = instance_path(in, ""), *logs = instance_log_path(in, "");
	AUTO(image_info_free) struct image_info *image = NULL;
	int r;

	r = path_mkdirs(dir, 0700, err);
	if (r == 0)
		r = path_mkdirs(logs, 0700, err);
	FAULT("create.rootfs", err);
	if (r == 0 && fill)
		r = fill(in, ctx, err);
	if (r == 0)
		r = instances_insert(in->engine->db, &in->row, err);
	if (r == 0) /* was it deleted before our row told that it is used? */
		r = image_find(in->engine, in->row.image, &image, err);
	FAULT("create.row", err);
	return r;
}

int create_from_row(struct engine *e, struct instance_row *row, create_fill fill, void *ctx, struct instance **ret,
		    struct err *err)
{
	AUTO(image_info_free) struct image_info *image = NULL;
	struct instance *in;
	int r = image_find(e, row->image, &image, err);

	if (r < 0)
		return r;
	uuid_new(row->uuid);
	row->created_us = clock_real_us();
	in = instance_new(e, row);
	in->image_description = xstrdup_null(image->description);
	in->architecture = xstrdup_null(image->architecture);
	in->doing = "being created";
	r = bring_into_being(in, fill, ctx, err);
	if (r < 0) {
		(void)instances_delete(e->db, in->row.uuid, NULL);
		(void)remove_files(e, in->row.uuid, NULL);
		instance_free(in);
		return r;
	}
	instance_add(in);
	instance_note(in, "created from image %.12s (%s)", in->row.image, in->image_description);
	*ret = in;
	return 0;
}

/* Its row must be there first: attachments go with it. */
static int attach_all(const struct devices *devices, struct instance **in, struct err *err)
{
	int r = volume_set_devices(*in, devices, err);

	if (r == 0)
		return 0;
	(void)remove_instance(*in, NULL);
	instance_release(TAKE_PTR(*in));
	return r;
}

int instance_create(struct engine *e, const struct instance_create *rq, struct operation *op, struct instance **ret,
		    struct err *err)
{
	AUTO(image_info_free) struct image_info *image = NULL;
	AUTO(instance_row_done) struct instance_row row = { 0 };
	int r;

	r = create_choose_name(e, rq->name, &row.name, err);
	if (r == 0)
		r = check_all_config(rq, &row.config, err);
	if (r == 0)
		r = image_find(e, rq->image && *rq->image ? rq->image : "busybox", &image, err);
	if (r == 0)
		r = operation_commit(op, err);
	if (r < 0)
		return r;
	row.image = xstrdup(image->fingerprint);
	row.description = xstrdup(rq->description ? rq->description : "");
	row.is_ephemeral = rq->is_ephemeral;
	r = create_from_row(e, &row, NULL, NULL, ret, err);
	return r == 0 && rq->devices ? attach_all(rq->devices, ret, err) : r;
}
