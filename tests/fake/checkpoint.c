/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.c - checkpoints that are rows in memory
 *
 * An archive is "FAKE name" and a newline and as many bytes as user.fake.export says; import takes what begins so.
 */
#include "engine/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/operation.h"
#include "fake/fake.h"

#define MAGIC "FAKE "

struct checkpoint {
	struct list link;
	char uuid[UUID_SIZE], instance_uuid[UUID_SIZE];
	char *name, *instance, *description;
	bool has_memory;
	int tcp_established;
	uint64_t created_us, expires_us, max_pause_us;
};

static void checkpoint_free(struct checkpoint *c)
{
	list_remove(&c->link);
	free(c->name);
	free(c->instance);
	free(c->description);
	free(c);
}

void fake_checkpoints_done(struct fake *f)
{
	list_each_safe (node, &f->checkpoints)
		checkpoint_free(list_of(node, struct checkpoint, link));
}

void fake_checkpoints_delete_locked(struct fake *f, const char *instance)
{
	list_each_safe (node, &f->checkpoints)
		if (str_eq(list_of(node, struct checkpoint, link)->instance, instance))
			checkpoint_free(list_of(node, struct checkpoint, link));
}

static struct checkpoint *find_locked(struct fake *f, const char *instance, const char *which)
{
	list_each (node, &f->checkpoints) {
		struct checkpoint *c = list_of(node, struct checkpoint, link);

		if (str_eq(c->instance, instance) && (str_eq(c->name, which) || str_eq(c->uuid, which)))
			return c;
	}
	return NULL;
}

static struct checkpoint_info *info_locked(const struct checkpoint *c)
{
	struct checkpoint_info *info = xcalloc(1, sizeof(*info));

	memcpy(info->uuid, c->uuid, sizeof(info->uuid));
	info->name = xstrdup(c->name);
	info->instance = xstrdup(c->instance);
	info->instance_uuid = xstrdup(c->instance_uuid);
	info->description = xstrdup_null(c->description);
	info->has_memory = c->has_memory;
	info->created_us = c->created_us;
	info->expires_us = c->expires_us;
	info->memory_bytes = c->has_memory ? 268435456 : 0;
	info->rootfs_bytes = 12582912;
	info->volumes = strv_new("data", NULL);
	info->processes = 3;
	info->phases = (struct checkpoint_phases){ 9000, 1000, 150000, 50000, 210000, 80000, 70000, 30000, 400000 };
	info->manifest = json_new_object();
	json_set_int(info->manifest, "version", 1);
	json_set_int(info->manifest, "tcp_established", c->tcp_established);
	json_set_int(info->manifest, "max_pause_us", (int64_t)c->max_pause_us);
	return info;
}

void checkpoint_info_free(struct checkpoint_info *c)
{
	if (!c)
		return;
	free(c->name);
	free(c->instance);
	free(c->instance_uuid);
	free(c->image);
	free(c->description);
	strv_free(c->volumes);
	json_free(c->manifest);
	free(c);
}

void checkpoint_list_free(struct checkpoint_info **list)
{
	for (size_t i = 0; list && list[i]; i++)
		checkpoint_info_free(list[i]);
	free(list);
}

int checkpoint_check_name(const char *name, struct err *err)
{
	if (*name && *name != '.' && *name != '-' && strlen(name) < 64 &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == strlen(name))
		return 0;
	return err_set(err, -EINVAL, "'%.80s' is no name for a checkpoint", name);
}

static int check_instance(struct engine *e, const char *name, struct err *err)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;

	return name ? instance_info(e, name, /* live= */ false, &info, err) : 0;
}

int checkpoint_list(struct engine *e, const char *instance, struct checkpoint_info ***ret, struct err *err)
{
	struct checkpoint_info **list = NULL;
	struct fake *f = fake_of(e);
	size_t n = 0;
	int r;

	r = check_instance(e, instance, err);
	if (r < 0)
		return r;
	list = xcalloc(1, sizeof(*list));
	SCOPED_LOCK(&f->mutex);
	list_each (node, &f->checkpoints) {
		const struct checkpoint *c = list_of(node, struct checkpoint, link);

		if (instance && !str_eq(c->instance, instance))
			continue;
		list = xreallocarray(list, n + 2, sizeof(*list));
		list[n++] = info_locked(c);
		list[n] = NULL;
	}
	*ret = list;
	return 0;
}

static int missing(const char *instance, const char *which, struct err *err)
{
	return err_set(err, -ENOENT, "'%s' has no checkpoint '%s'", instance, which);
}

int checkpoint_find(struct engine *e, const char *instance, const char *which, struct checkpoint_info **ret,
		    struct err *err)
{
	struct fake *f = fake_of(e);
	const struct checkpoint *c;
	int r;

	r = check_instance(e, instance, err);
	if (r < 0)
		return r;
	SCOPED_LOCK(&f->mutex);
	c = find_locked(f, instance, which);
	if (!c)
		return missing(instance, which, err);
	*ret = info_locked(c);
	return 0;
}

int checkpoint_create(struct instance *in, const struct checkpoint_options *o, struct operation *op,
		      char ret_uuid[UUID_SIZE], struct err *err)
{
	struct fake *f = fake_of_instance(in);
	AUTO(instance_info_free) struct instance_info *info = NULL;
	struct checkpoint *c;
	int r;

	operation_progress(op, "checkpoint_progress", "Writing memory: 61%%");
	r = fake_step(in, op, err);
	if (r >= 0)
		r = operation_commit(op, err);
	if (r >= 0)
		r = instance_info(f->engine, instance_name(in), /* live= */ false, &info, err);
	if (r < 0)
		return r;
	c = xcalloc(1, sizeof(*c));
	uuid_new(c->uuid);
	memcpy(c->instance_uuid, info->uuid, UUID_SIZE);
	c->name = xstrdup(o->name);
	c->instance = xstrdup(instance_name(in));
	c->description = xstrdup_null(o->description);
	c->has_memory = !o->is_stateless;
	c->created_us = clock_real_us();
	c->expires_us = o->expires_us;
	c->max_pause_us = o->max_pause_us;
	c->tcp_established = o->tcp_established;
	memcpy(ret_uuid, c->uuid, UUID_SIZE);
	SCOPED_LOCK(&f->mutex);
	list_append(&f->checkpoints, &c->link);
	return 0;
}

int checkpoint_delete(struct engine *e, const char *instance, const char *which, struct err *err)
{
	struct fake *f = fake_of(e);
	struct checkpoint *c;
	SCOPED_LOCK(&f->mutex);

	c = find_locked(f, instance, which);
	if (!c)
		return missing(instance, which, err);
	checkpoint_free(c);
	return 0;
}

int checkpoint_rename(struct engine *e, const char *instance, const char *which, const char *new_name, struct err *err)
{
	struct fake *f = fake_of(e);
	struct checkpoint *c;
	SCOPED_LOCK(&f->mutex);

	c = find_locked(f, instance, which);
	if (!c)
		return missing(instance, which, err);
	if (find_locked(f, instance, new_name))
		return err_set(err, -EEXIST, "'%s' has a checkpoint '%s' already", instance, new_name);
	free(c->name);
	c->name = xstrdup(new_name);
	return 0;
}

int checkpoint_set_expiry(struct engine *e, const char *instance, const char *which, uint64_t expires_us,
			  struct err *err)
{
	struct fake *f = fake_of(e);
	struct checkpoint *c;
	SCOPED_LOCK(&f->mutex);

	c = find_locked(f, instance, which);
	if (!c)
		return missing(instance, which, err);
	c->expires_us = expires_us;
	return 0;
}

int checkpoint_restore(struct instance *in, const char *which, bool is_stateless, struct operation *op, struct err *err)
{
	int r = fake_step(in, op, err);

	if (r < 0)
		return r;
	fake_instance_become(in, /* is_running= */ !is_stateless, /* has_state= */ false);
	return 0;
}

/* ---- archives ---------------------------------------------------------------------------------------------------- */

static int write_archive(const char *name, uint64_t bytes, int fd, struct operation *op, struct err *err)
{
	static const char block[4096];
	char head[128];
	int n = snprintf(head, sizeof(head), MAGIC "%s\n", name), r;

	r = file_write_all(fd, head, (size_t)n, err);
	for (uint64_t done = 0; done < bytes && r >= 0; done += sizeof(block)) {
		if (operation_is_cancelled(op))
			return err_set(err, -ECANCELED, "cancelled");
		operation_progress(op, "export_progress", "Writing the archive: %d%%", (int)(done * 100 / bytes));
		r = file_write_all(fd, block, bytes - done < sizeof(block) ? bytes - done : sizeof(block), err);
	}
	return r;
}

int checkpoint_export(struct engine *e, const char *instance, const char *which, const struct export_options *o, int fd,
		      struct operation *op, struct err *err)
{
	struct fake *f = fake_of(e);
	char text[128];
	uint64_t bytes = 1000;
	bool is_broken;
	int r;

	if (*fake_instance_config(f, instance, "user.fake.fail", text, sizeof(text)))
		return err_set(err, -ENOSPC, "%s", text);
	if (*fake_instance_config(f, instance, "user.fake.export", text, sizeof(text)))
		(void)str_to_bytes(text, &bytes, NULL);
	is_broken = *fake_instance_config(f, instance, "user.fake.broken", text, sizeof(text));
	r = write_archive(instance, is_broken ? bytes / 2 : bytes, fd, op, err);
	if (r < 0)
		return r;
	return is_broken ? err_set(err, -EIO, "the disk is broken") : 0;
}

/* Reads all of it; the name from its first line. */
static int read_archive(int fd, char *name, size_t size, struct operation *op, struct err *err)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	if (n < (ssize_t)strlen(MAGIC) || memcmp(buf, MAGIC, strlen(MAGIC)) != 0)
		return err_set(err, -EINVAL, "that is no checkpoint archive");
	buf[n] = '\0';
	(void)snprintf(name, size, "%.*s", (int)strcspn(buf + strlen(MAGIC), "\n"), buf + strlen(MAGIC));
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (operation_is_cancelled(op))
			return err_set(err, -ECANCELED, "cancelled");
	return operation_commit(op, err);
}

static int make_instance(struct engine *e, const char *name, const struct import_options *o, struct instance **ret,
			 struct err *err)
{
	const struct instance_create rq = { .name = o->name ? o->name : name };
	int r = instance_create(e, &rq, NULL, ret, err);

	if (r < 0)
		return r;
	fake_instance_become(*ret, !o->is_stopped && !o->is_stateless, o->is_stopped && !o->is_stateless);
	return 0;
}

int checkpoint_import(struct engine *e, int fd, const struct import_options *o, struct operation *op,
		      struct instance **ret, struct err *err)
{
	char name[64];
	int r = read_archive(fd, name, sizeof(name), op, err);

	return r < 0 ? r : make_instance(e, name, o, ret, err);
}

int checkpoint_clone(struct engine *e, const char *instance, const char *which, const struct import_options *o,
		     struct operation *op, struct instance **ret, struct err *err)
{
	AUTO(checkpoint_info_free) struct checkpoint_info *info = NULL;
	int r = checkpoint_find(e, instance, which, &info, err);

	return r < 0 ? r : make_instance(e, instance, o, ret, err);
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

int checkpoint_push(struct engine *e, const char *instance, const char *which, const struct image_push_options *o,
		    struct operation *op, struct err *err)
{
	char text[128];

	if (*fake_instance_config(fake_of(e), instance, "user.fake.fail", text, sizeof(text)))
		return err_set(err, -ENOSPC, "%s", text);
	if (!strchr(o->reference, ':'))
		return err_set(err, -EINVAL, "'%s' is no place for an image", o->reference);
	operation_progress(op, "export_progress", "Copying image");
	operation_set(op, "reference", json_new_str(o->reference));
	operation_set(op, "compression", json_new_int(o->archive.compression));
	operation_set(op, "insecure", json_new_bool(o->is_insecure));
	return 0;
}

/* "oci:/folder:NAME" holds an instance of that name; "…:plain" is no checkpoint. */
int checkpoint_pull(struct engine *e, const char *reference, bool is_insecure, const struct import_options *o,
		    struct operation *op, struct instance **ret, struct err *err)
{
	const char *colon = strrchr(reference, ':');

	if (!colon || str_eq(colon, ":plain"))
		return err_set(err, -EINVAL, "%s: it is not a checkpoint", reference);
	operation_set(op, "insecure", json_new_bool(is_insecure));
	return make_instance(e, colon + 1, o, ret, err);
}
