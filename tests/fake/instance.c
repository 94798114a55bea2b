/* SPDX-License-Identifier: Apache-2.0 */
/* instance.c - instances that are rows in memory, and what can be done to them */
#include "engine/instance.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/config.h"
#include "engine/lifecycle.h"
#include "engine/operation.h"
#include "engine/volume.h"
#include "fake/fake.h"

struct instance {
	struct list link;
	struct fake *fake;
	char uuid[UUID_SIZE];
	char *name, *description;
	char **config;
	struct devices devices;
	enum instance_status status;
	bool is_ephemeral, has_state;
	const char *doing;
	uint64_t created_us;
};

static struct instance *find_locked(struct fake *f, const char *name)
{
	list_each (node, &f->instances) {
		struct instance *in = list_of(node, struct instance, link);

		if (strcmp(in->name, name) == 0)
			return in;
	}
	return NULL;
}

static void instance_free(struct instance *in)
{
	list_remove(&in->link);
	free(in->name);
	free(in->description);
	strv_free(in->config);
	devices_done(&in->devices);
	free(in);
}

void fake_instances_done(struct fake *f)
{
	list_each_safe (node, &f->instances)
		instance_free(list_of(node, struct instance, link));
}

const char *instance_status_name(enum instance_status s)
{
	static const char *const names[] = { "Stopped", "Starting", "Running", "Frozen", "Stopping", "Error" };

	return names[s];
}

int instance_claim(struct engine *e, const char *name, const char *doing, struct instance **ret, struct err *err)
{
	struct fake *f = fake_of(e);
	struct instance *in;
	SCOPED_LOCK(&f->mutex);

	in = find_locked(f, name);
	if (!in)
		return err_set(err, -ENOENT, "there is no instance '%s'", name);
	if (in->doing)
		return err_set(err, -EBUSY, "'%s' is busy: %s", name, in->doing);
	in->doing = doing;
	*ret = in;
	return 0;
}

void instance_release(struct instance *in)
{
	if (!in)
		return;
	SCOPED_LOCK(&in->fake->mutex);
	in->doing = NULL;
}

const char *instance_name(const struct instance *in)
{
	return in->name;
}

static struct instance_info *info_locked(const struct instance *in, bool live)
{
	struct instance_info *info = xcalloc(1, sizeof(*info));

	memcpy(info->uuid, in->uuid, sizeof(info->uuid));
	info->name = xstrdup(in->name);
	info->description = xstrdup_null(in->description);
	info->image = xstrdup("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
	info->architecture = xstrdup("amd64");
	info->status = in->status;
	info->is_ephemeral = in->is_ephemeral;
	info->is_busy = in->doing;
	info->created_us = in->created_us;
	info->config = strv_copy(in->config);
	info->devices = devices_copy(&in->devices);
	info->processes = live ? 3 : -1;
	info->memory_bytes = live ? 1048576 : 0;
	if (in->has_state)
		info->state = (struct saved_state_info){ .exists = true, .bytes = 4096, .frozen_us = 31000 };
	return info;
}

int instance_info(struct engine *e, const char *name, bool live, struct instance_info **ret, struct err *err)
{
	struct fake *f = fake_of(e);
	const struct instance *in;
	SCOPED_LOCK(&f->mutex);

	in = find_locked(f, name);
	if (!in)
		return err_set(err, -ENOENT, "there is no instance '%s'", name);
	*ret = info_locked(in, live);
	return 0;
}

void instance_info_free(struct instance_info *info)
{
	if (!info)
		return;
	free(info->name);
	free(info->description);
	free(info->image);
	free(info->image_description);
	free(info->architecture);
	free(info->last_error);
	strv_free(info->config);
	devices_done(&info->devices);
	free(info);
}

int instance_list(struct engine *e, bool live, struct instance_info ***ret, struct err *err)
{
	struct fake *f = fake_of(e);
	struct instance_info **list = xcalloc(1, sizeof(*list));
	size_t n = 0;
	SCOPED_LOCK(&f->mutex);

	list_each (node, &f->instances) {
		if (!*list_of(node, struct instance, link)->name)
			continue; /* deleted */
		list = xreallocarray(list, n + 2, sizeof(*list));
		list[n++] = info_locked(list_of(node, struct instance, link), live);
		list[n] = NULL;
	}
	*ret = list;
	return 0;
}

void instance_list_free(struct instance_info **list)
{
	for (size_t i = 0; list && list[i]; i++)
		instance_info_free(list[i]);
	free(list);
}

int instance_check_name(const char *name, struct err *err)
{
	if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != strlen(name) || !*name)
		return err_set(err, -EINVAL, "'%s' is no name for an instance", name);
	return 0;
}

static int check_config(char *const *config, struct err *err)
{
	for (; config && *config; config++) {
		autofree char *key = xstrndup(*config, strcspn(*config, "="));
		int r = config_check(key, *config + strlen(key) + 1, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int instance_create(struct engine *e, const struct instance_create *rq, struct operation *op, struct instance **ret,
		    struct err *err)
{
	const char *name = rq->name && *rq->name ? rq->name : "calm-otter";
	struct fake *f = fake_of(e);
	struct instance *in;
	int r;

	r = check_config(rq->config, err);
	if (r < 0)
		return r;
	if (rq->image && strcmp(rq->image, "missing") == 0)
		return err_set(err, -ENOENT, "there is no image '%s'", rq->image);
	SCOPED_LOCK(&f->mutex);
	if (find_locked(f, name))
		return err_set(err, -EEXIST, "there is an instance '%s' already", name);
	in = xcalloc(1, sizeof(*in));
	in->fake = f;
	uuid_new(in->uuid);
	in->name = xstrdup(name);
	in->description = xstrdup_null(rq->description);
	in->config = strv_copy(rq->config);
	if (rq->devices)
		in->devices = devices_copy(rq->devices);
	in->is_ephemeral = rq->is_ephemeral;
	in->created_us = clock_real_us();
	in->doing = "creating";
	list_append(&f->instances, &in->link);
	*ret = in;
	return 0;
}

int instance_rename(struct instance *in, const char *new_name, struct err *err)
{
	SCOPED_LOCK(&in->fake->mutex);

	if (find_locked(in->fake, new_name))
		return err_set(err, -EEXIST, "there is an instance '%s' already", new_name);
	free(in->name);
	in->name = xstrdup(new_name);
	return 0;
}

int instance_update(struct instance *in, char *const *config, const char *description, bool is_ephemeral,
		    struct err *err)
{
	int r = check_config(config, err);

	if (r < 0)
		return r;
	SCOPED_LOCK(&in->fake->mutex);
	strv_free(in->config);
	in->config = strv_copy(config);
	free(in->description);
	in->description = xstrdup_null(description);
	in->is_ephemeral = is_ephemeral;
	return 0;
}

int volume_set_devices(struct instance *in, const struct devices *devices, struct err *err)
{
	SCOPED_LOCK(&in->fake->mutex);

	for (size_t i = 0; i < devices->n; i++)
		if (!strv_has(in->fake->volumes, devices->v[i].volume))
			return err_set(err, -ENOENT, "there is no volume '%s'", devices->v[i].volume);
	if (!devices_equal(devices, &in->devices) && in->status != INSTANCE_STOPPED)
		return err_set(err, -EBUSY, "'%s' is running", in->name);
	devices_done(&in->devices);
	in->devices = devices_copy(devices);
	return 0;
}

/* ---- logs -------------------------------------------------------------------------------------------------------- */

char *fake_log_path(struct fake *f, const char *instance, const char *file)
{
	return path_joinf(f->log_dir, "%s.%s", instance, file);
}

int instance_log_open(struct engine *e, const char *name, const char *file, int *ret_fd, struct err *err)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;
	autofree char *path = fake_log_path(fake_of(e), name, file);
	int r;

	r = instance_info(e, name, /* live= */ false, &info, err);
	if (r < 0)
		return r;
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? err_sys(err, "%s", file) : 0;
}

int instance_log_list(struct engine *e, const char *name, char ***ret, struct err *err)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;
	int r;

	r = instance_info(e, name, /* live= */ false, &info, err);
	if (r < 0)
		return r;
	*ret = strv_new("checkpoint_dump_2026-11-20T22:37:24Z.log", "output.log", "stasis.log", NULL);
	return 0;
}

static void append_log(const struct instance *in, const char *file, const char *line)
{
	autofree char *path = fake_log_path(in->fake, in->name, file);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)file_write_all(fd, line, strlen(line), NULL);
}

/* ---- lifecycle --------------------------------------------------------------------------------------------------- */

/* One step, as long and as well as user.fake.* says. */
static int step(struct instance *in, enum instance_status status, struct operation *op, struct err *err)
{
	const char *fail = strv_env_get(in->config, "user.fake.fail");
	const char *delay = strv_env_get(in->config, "user.fake.delay");
	uint64_t us = 0;

	if (delay)
		(void)str_to_us(delay, &us, NULL);
	operation_progress(op, "fake_progress", "under way");
	for (uint64_t end = clock_mono_us() + us; clock_mono_us() < end;) {
		if (operation_is_cancelled(op))
			return err_set(err, -ECANCELED, "cancelled");
		clock_sleep_us(5 * US_PER_MS);
	}
	if (fail)
		return err_set(err, -EIO, "%s", fail);
	SCOPED_LOCK(&in->fake->mutex);
	in->status = status;
	return 0;
}

int fake_step(struct instance *in, struct operation *op, struct err *err)
{
	return step(in, in->status, op, err);
}

struct fake *fake_of_instance(struct instance *in)
{
	return in->fake;
}

const char *fake_instance_config(struct fake *f, const char *name, const char *key, char *buf, size_t size)
{
	const struct instance *in;
	SCOPED_LOCK(&f->mutex);

	in = find_locked(f, name);
	(void)snprintf(buf, size, "%s", in && strv_env_get(in->config, key) ? strv_env_get(in->config, key) : "");
	return buf;
}

void fake_instance_become(struct instance *in, bool is_running, bool has_state)
{
	SCOPED_LOCK(&in->fake->mutex);

	in->status = is_running ? INSTANCE_RUNNING : INSTANCE_STOPPED;
	in->has_state = has_state;
}

int lifecycle_start(struct instance *in, bool is_stateless, struct operation *op, struct err *err)
{
	if (in->status == INSTANCE_RUNNING)
		return err_set(err, -EEXIST, "'%s' runs already", in->name);
	append_log(in, "output.log",
		   in->has_state && !is_stateless ? "2026-11-20T22:37:24.1+00:00 stdout F restored\n"
						  : "2026-11-20T22:37:24.1+00:00 stdout P boo\n"
						    "2026-11-20T22:37:24.2+00:00 stdout F ted\n");
	append_log(in, "stasis.log", "2026-11-20T22:37:24Z started\n");
	in->has_state = false;
	return step(in, INSTANCE_RUNNING, op, err);
}

int lifecycle_stop(struct instance *in, uint64_t timeout_us, bool is_forced, struct operation *op, struct err *err)
{
	if (in->status == INSTANCE_STOPPED)
		return err_set(err, -EINVAL, "'%s' is not running", in->name);
	append_log(in, "output.log", "2026-11-20T22:37:25.1+00:00 stdout F stopped\n");
	return step(in, INSTANCE_STOPPED, op, err);
}

int lifecycle_stop_stateful(struct instance *in, struct operation *op, struct err *err)
{
	in->has_state = true;
	return step(in, INSTANCE_STOPPED, op, err);
}

int lifecycle_restart(struct instance *in, uint64_t timeout_us, bool is_forced, bool is_stateful, struct operation *op,
		      struct err *err)
{
	return step(in, INSTANCE_RUNNING, op, err);
}

int lifecycle_pause(struct instance *in, struct err *err)
{
	return step(in, INSTANCE_FROZEN, NULL, err);
}

int lifecycle_resume(struct instance *in, struct err *err)
{
	return step(in, INSTANCE_RUNNING, NULL, err);
}

int lifecycle_delete(struct instance *in, bool is_forced, struct operation *op, struct err *err)
{
	if (in->status != INSTANCE_STOPPED && !is_forced)
		return err_set(err, -EBUSY, "'%s' is running", in->name);
	/* Gone by name; the row is freed at the end, for its claim is still held. */
	SCOPED_LOCK(&in->fake->mutex);
	fake_checkpoints_delete_locked(in->fake, in->name);
	in->name[0] = '\0';
	in->status = INSTANCE_STOPPED;
	return 0;
}
