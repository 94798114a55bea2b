/* SPDX-License-Identifier: Apache-2.0 */
/* instance.c - the list of instances, claims, and copies for those who only look */
#include "engine/instance.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/config.h"
#include "engine/state.h"
#include "engine/watch.h"

const char *instance_status_name(enum instance_status s)
{
	static const char *const names[] = {
		[INSTANCE_STOPPED] = "Stopped", [INSTANCE_STARTING] = "Starting", [INSTANCE_RUNNING] = "Running",
		[INSTANCE_FROZEN] = "Frozen",	[INSTANCE_STOPPING] = "Stopping", [INSTANCE_ERROR] = "Error",
	};

	return names[s];
}

struct instance *instance_new(struct engine *e, struct instance_row *row)
{
	struct instance *in = xcalloc(1, sizeof(*in));

	list_init(&in->link);
	in->engine = e;
	in->row = *row;
	*row = (struct instance_row){ 0 };
	in->conmon_fd = -1;
	in->cg = (struct cgroup){ .parent = e->settings.cgroup_parent, .uuid = in->row.uuid };
	return in;
}

void instance_free(struct instance *in)
{
	if (!in)
		return;
	if (in->conmon_fd >= 0)
		(void)close(in->conmon_fd);
	instance_row_done(&in->row);
	devices_done(&in->devices);
	free(in->image_description);
	free(in->architecture);
	free(in->last_error);
	free(in);
}

void instance_add(struct instance *in)
{
	SCOPED_LOCK(&in->engine->mutex);

	list_append(&in->engine->instances, &in->link);
}

static struct instance *find_locked(struct engine *e, const char *name)
{
	list_each (node, &e->instances) {
		struct instance *in = list_of(node, struct instance, link);

		if (strcmp(in->row.name, name) == 0)
			return in;
	}
	return NULL;
}

static int not_found(const char *name, struct err *err)
{
	return err_set(err, -ENOENT, "there is no instance '%.80s'", name);
}

int instance_claim(struct engine *e, const char *name, const char *doing, struct instance **ret, struct err *err)
{
	SCOPED_LOCK(&e->mutex);
	struct instance *in = find_locked(e, name);

	if (!in)
		return not_found(name, err);
	if (in->doing)
		return err_set(err, -EBUSY, "'%s' is busy: %s", name, in->doing);
	in->doing = doing;
	*ret = in;
	return 0;
}

struct instance **instance_claim_all(struct engine *e, bool (*is_wanted)(const struct instance *in), const char *doing)
{
	struct instance **list = xcalloc(1, sizeof(struct instance *));
	size_t n = 0;
	SCOPED_LOCK(&e->mutex);

	list_each (node, &e->instances) {
		struct instance *in = list_of(node, struct instance, link);

		if (in->doing || !is_wanted(in))
			continue;
		in->doing = doing;
		list = xreallocarray(list, n + 2, sizeof(struct instance *));
		list[n++] = in;
		list[n] = NULL;
	}
	return list;
}

void instance_release(struct instance *in)
{
	bool must_clean;

	if (!in)
		return;
	mutex_lock(&in->engine->mutex);
	must_clean = in->has_ended && !in->is_deleted;
	in->doing = must_clean ? WATCH_CLEANING : NULL;
	if (in->is_deleted)
		list_remove(&in->link);
	mutex_unlock(&in->engine->mutex);
	if (in->is_deleted)
		instance_free(in);
	else if (must_clean)
		watch_clean(in); /* it ended while we held it: the claim goes on to who cleans up */
}

const char *instance_name(const struct instance *in)
{
	return in->row.name;
}

bool instance_is_up(const struct instance *in)
{
	return in->status == INSTANCE_RUNNING || in->status == INSTANCE_FROZEN;
}

void instance_set_status(struct instance *in, enum instance_status status)
{
	SCOPED_LOCK(&in->engine->mutex);

	in->status = status;
}

void instance_set_running(struct instance *in, pid_t init, int conmon_fd)
{
	mutex_lock(&in->engine->mutex);
	in->status = INSTANCE_RUNNING;
	in->init = init;
	in->conmon_fd = conmon_fd;
	in->has_ended = false;
	in->has_exit_code = false;
	if (!in->started_us)
		in->started_us = clock_real_us();
	mutex_unlock(&in->engine->mutex);
	watch_add(in);
}

void instance_set_stopped(struct instance *in)
{
	SCOPED_LOCK(&in->engine->mutex);

	in->status = INSTANCE_STOPPED;
	in->init = 0;
	in->has_ended = false;
	in->started_us = 0;
	in->prove_at_us = 0;
	if (in->conmon_fd >= 0)
		(void)close(TAKE_FD(in->conmon_fd));
}

void instance_set_error(struct instance *in, const struct err *error)
{
	SCOPED_LOCK(&in->engine->mutex);

	free(in->last_error);
	in->last_error = error ? xstrdup(error->text) : NULL;
}

void instance_set_states(struct instance *in, const struct saved_state_info *state,
			 const struct saved_state_info *previous)
{
	SCOPED_LOCK(&in->engine->mutex);

	if (state)
		in->state = *state;
	if (previous)
		in->previous = *previous;
}

/* Writes the row with a new config; memory follows the database, never the other way round. */
static int store_config(struct instance *in, char **config, struct err *err)
{
	struct instance_row row = in->row;
	int r;

	row.config = config;
	r = instances_update(in->engine->db, &row, err);
	if (r < 0)
		return r;
	SCOPED_LOCK(&in->engine->mutex);
	strv_free(in->row.config);
	in->row.config = strv_copy(config);
	return 0;
}

int instance_set_power(struct instance *in, bool is_on, struct err *err)
{
	const char *word = is_on ? "RUNNING" : "STOPPED";
	AUTO(strv_free) char **config = NULL;

	if (str_eq(config_get(in->row.config, "volatile.last_state.power"), word) && !is_on)
		return 0;
	if (is_on)
		in->row.last_used_us = clock_real_us();
	config = strv_copy(in->row.config);
	strv_env_set(&config, "volatile.last_state.power", word);
	strv_sort(config);
	return store_config(in, config, err);
}

int instance_check_name(const char *name, struct err *err)
{
	size_t n = strlen(name);
	bool has_letter = false;

	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)name[i]) && name[i] != '-')
			return err_set(err, -EINVAL, "'%.80s' is no name: only letters, digits and '-' are allowed",
				       name);
		has_letter |= !isdigit((unsigned char)name[i]);
	}
	if (n == 0 || n > 63)
		return err_set(err, -EINVAL, "a name must have 1 to 63 characters");
	if (name[0] == '-' || name[n - 1] == '-' || !has_letter)
		return err_set(err, -EINVAL,
			       "'%s' is no name: it must begin and end with a letter or digit, and not be a number",
			       name);
	return 0;
}

int instance_rename(struct instance *in, const char *new_name, struct err *err)
{
	struct instance_row row = in->row;
	int r;

	r = instance_check_name(new_name, err);
	if (r < 0)
		return r;
	if (str_eq(new_name, in->row.name))
		return err_set(err, -EEXIST, "it is called '%s' already", new_name);
	row.name = (char *)new_name;
	r = instances_update(in->engine->db, &row, err);
	if (r < 0)
		return r;
	instance_note(in, "renamed from %s to %s", in->row.name, new_name);
	SCOPED_LOCK(&in->engine->mutex);
	free(in->row.name);
	in->row.name = xstrdup(new_name);
	return 0;
}

/* The volatile keys stay, everything else is as @config says. */
static int merge_config(const struct instance *in, char *const *config, char ***ret, struct err *err)
{
	AUTO(strv_free) char **merged = NULL;

	for (size_t i = 0; in->row.config && in->row.config[i]; i++)
		if (str_after(in->row.config[i], "volatile."))
			strv_add(&merged, in->row.config[i]);
	for (size_t i = 0; config[i]; i++) {
		const char *eq = strchr(config[i], '=');
		autofree char *key = eq ? xstrndup(config[i], (size_t)(eq - config[i])) : xstrdup(config[i]);
		int r;

		if (str_after(key, "volatile.") && config_find(key))
			continue; /* a client that sends back what it was given */
		r = config_check(key, eq ? eq + 1 : "", err);
		if (r < 0)
			return r;
		strv_env_set(&merged, key, eq ? eq + 1 : "");
	}
	strv_sort(merged);
	*ret = TAKE_PTR(merged);
	return 0;
}

int instance_update(struct instance *in, char *const *config, const char *description, bool is_ephemeral,
		    struct err *err)
{
	struct instance_row row = in->row;
	AUTO(strv_free) char **merged = NULL;
	int r;

	r = config ? merge_config(in, config, &merged, err) : 0;
	if (r < 0)
		return r;
	if (config)
		row.config = merged;
	if (description)
		row.description = (char *)description;
	row.is_ephemeral = is_ephemeral;
	r = instances_update(in->engine->db, &row, err);
	if (r < 0)
		return r;
	SCOPED_LOCK(&in->engine->mutex);
	if (config) {
		strv_free(in->row.config);
		in->row.config = TAKE_PTR(merged);
	}
	if (description) {
		free(in->row.description);
		in->row.description = xstrdup(description);
	}
	in->row.is_ephemeral = is_ephemeral;
	return 0;
}

static struct instance_info *copy_locked(const struct instance *in)
{
	struct instance_info *info = xcalloc(1, sizeof(*info));

	(void)memcpy(info->uuid, in->row.uuid, sizeof(info->uuid));
	info->name = xstrdup(in->row.name);
	info->description = xstrdup_null(in->row.description);
	info->image = xstrdup(in->row.image);
	info->image_description = xstrdup_null(in->image_description);
	info->architecture = xstrdup_null(in->architecture);
	info->status = in->status;
	info->is_ephemeral = in->row.is_ephemeral;
	info->is_busy = in->doing != NULL;
	info->created_us = in->row.created_us;
	info->last_used_us = in->row.last_used_us;
	info->config = strv_copy(in->row.config);
	info->devices = devices_copy(&in->devices);
	info->pid = in->init;
	info->has_exit_code = in->has_exit_code;
	info->exit_code = in->exit_code;
	info->started_us = in->started_us;
	info->processes = -1;
	info->state = in->state;
	info->previous = in->previous;
	info->last_error = xstrdup_null(in->last_error);
	return info;
}

/* What only the kernel knows; the instance may be gone by now, then it says 0. */
static void add_live(struct engine *e, struct instance_info *info)
{
	const struct cgroup cg = { .parent = e->settings.cgroup_parent, .uuid = info->uuid };
	autofree char *upper = xasprintf("%s/instances/%s/upper", e->settings.state_dir, info->uuid);
	struct cgroup_stats stats;

	(void)path_disk_usage(upper, &info->disk_bytes, NULL);
	info->processes = 0;
	if (!info->pid)
		return;
	cgroup_stats(&cg, &stats);
	info->processes = stats.processes;
	info->memory_bytes = stats.memory_bytes;
	info->cpu_ns = stats.cpu_ns;
}

int instance_info(struct engine *e, const char *name, bool live, struct instance_info **ret, struct err *err)
{
	struct instance_info *info;
	struct instance *in;

	mutex_lock(&e->mutex);
	in = find_locked(e, name);
	info = in ? copy_locked(in) : NULL;
	mutex_unlock(&e->mutex);
	if (!info)
		return not_found(name, err);
	if (live)
		add_live(e, info);
	*ret = info;
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
	strv_free(info->config);
	devices_done(&info->devices);
	free(info->last_error);
	free(info);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct instance_info *const *)a)->name, (*(struct instance_info *const *)b)->name);
}

int instance_list(struct engine *e, bool live, struct instance_info ***ret, struct err *err)
{
	struct instance_info **list = xcalloc(1, sizeof(struct instance_info *));
	size_t n = 0;

	(void)err;
	mutex_lock(&e->mutex);
	list_each (node, &e->instances) {
		list = xreallocarray(list, n + 2, sizeof(struct instance_info *));
		list[n++] = copy_locked(list_of(node, struct instance, link));
		list[n] = NULL;
	}
	mutex_unlock(&e->mutex);
	qsort(list, n, sizeof(struct instance_info *), by_name);
	for (size_t i = 0; live && i < n; i++)
		add_live(e, list[i]);
	*ret = list;
	return 0;
}

void instance_list_free(struct instance_info **list)
{
	for (size_t i = 0; list && list[i]; i++)
		instance_info_free(list[i]);
	free(list);
}
