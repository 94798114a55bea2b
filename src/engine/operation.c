/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/operation.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/sync.h"
#include "engine/state.h"

#define MAX_RUNNING 1000
#define KEEP_US	    (5 * US_PER_S)

struct operations {
	struct mutex mutex; /* guards the list and every operation in it */
	struct cond changed;
	struct list all;
	size_t n_running;
};

struct operation {
	struct list link; /* in operations.all; empty once swept */
	struct operations *registry;
	unsigned int refs;
	struct operation_info info;
	bool is_cancelled, is_committed;
	uint64_t ended_us; /* monotonic; 0: runs */
	int (*run)(struct operation *op, void *arg, struct err *err);
	void (*free_arg)(void *arg);
	void *arg;
};

struct operations *operations_new(void)
{
	struct operations *all = xcalloc(1, sizeof(*all));

	mutex_init(&all->mutex);
	cond_init(&all->changed);
	list_init(&all->all);
	return all;
}

static void drop_locked(struct operation *op, unsigned int n)
{
	op->refs -= n;
	if (op->refs > 0)
		return;
	operation_info_done(&op->info);
	free(op);
}

static bool is_over(const struct operation *op)
{
	return op->ended_us && clock_mono_us() - op->ended_us >= KEEP_US;
}

/* What has ended more than KEEP_US ago leaves the registry. */
static void sweep_locked(struct operations *all)
{
	list_each_safe (node, &all->all) {
		struct operation *op = list_of(node, struct operation, link);

		if (!is_over(op))
			continue;
		list_remove(&op->link);
		drop_locked(op, 1);
	}
}

void operations_free(struct operations *all)
{
	if (!all)
		return;
	mutex_lock(&all->mutex);
	while (all->n_running > 0)
		cond_wait(&all->changed, &all->mutex);
	list_each_safe (node, &all->all) {
		struct operation *op = list_of(node, struct operation, link);

		list_remove(&op->link);
		drop_locked(op, 1);
	}
	mutex_unlock(&all->mutex);
	cond_done(&all->changed);
	mutex_done(&all->mutex);
	free(all);
}

static void finish_locked(struct operation *op, int r, const struct err *err)
{
	op->ended_us = clock_mono_us();
	op->info.updated_us = clock_real_us();
	op->info.may_cancel = false;
	op->info.status = r >= 0 ? OPERATION_SUCCESS : op->is_cancelled ? OPERATION_CANCELLED : OPERATION_FAILURE;
	op->info.error_code = r < 0 ? r : 0;
	if (r < 0)
		(void)snprintf(op->info.error, sizeof(op->info.error), "%s", err->text[0] ? err->text : strerror(-r));
	op->registry->n_running--;
	cond_broadcast(&op->registry->changed);
}

static void *run_thread(void *arg)
{
	struct operation *op = arg;
	struct operations *all = op->registry;
	struct err err = ERR_INIT;
	int r;

	r = op->run(op, op->arg, &err);
	if (op->free_arg)
		op->free_arg(op->arg); /* before it counts as ended: claims are released then */
	mutex_lock(&all->mutex);
	finish_locked(op, r, &err);
	drop_locked(op, 1);
	mutex_unlock(&all->mutex);
	return NULL;
}

static int reserve(struct operations *all, struct err *err)
{
	SCOPED_LOCK(&all->mutex);

	sweep_locked(all);
	if (all->n_running >= MAX_RUNNING)
		return err_set(err, -EBUSY, "too many operations run already (%d)", MAX_RUNNING);
	all->n_running++;
	return 0;
}

int operation_start(struct engine *e, const struct operation_spec *spec, struct operation **ret, struct err *err)
{
	struct operations *all = e->operations;
	struct operation *op;
	int r;

	r = reserve(all, err);
	if (r < 0) {
		if (spec->free_arg)
			spec->free_arg(spec->arg);
		return r;
	}
	op = xcalloc(1, sizeof(*op));
	op->registry = all;
	op->refs = 3; /* the registry, the thread, the caller */
	op->run = spec->run;
	op->free_arg = spec->free_arg;
	op->arg = spec->arg;
	op->info.kind = spec->kind;
	op->info.description = spec->description;
	op->info.instances = strv_copy(spec->instances);
	op->info.snapshot = xstrdup_null(spec->snapshot);
	op->info.may_cancel = spec->may_cancel;
	op->info.created_us = op->info.updated_us = clock_real_us();
	uuid_new(op->info.uuid);
	mutex_lock(&all->mutex);
	list_append(&all->all, &op->link);
	mutex_unlock(&all->mutex);

	r = thread_detach("operation", run_thread, op, err);
	if (r < 0) {
		if (op->free_arg)
			op->free_arg(op->arg);
		mutex_lock(&all->mutex);
		finish_locked(op, r, err);
		drop_locked(op, 2); /* the thread's and the caller's */
		mutex_unlock(&all->mutex);
		return r;
	}
	*ret = op;
	return 0;
}

void operation_unref(struct operation *op)
{
	struct operations *all;

	if (!op)
		return;
	all = op->registry;
	mutex_lock(&all->mutex);
	drop_locked(op, 1);
	mutex_unlock(&all->mutex);
}

int operation_find(struct engine *e, const char *uuid, struct operation **ret, struct err *err)
{
	struct operations *all = e->operations;
	SCOPED_LOCK(&all->mutex);

	list_each (node, &all->all) {
		struct operation *op = list_of(node, struct operation, link);

		if (is_over(op) || strcmp(op->info.uuid, uuid) != 0)
			continue;
		op->refs++;
		*ret = op;
		return 0;
	}
	return err_set(err, -ENOENT, "there is no operation '%.64s' (one that has ended is kept for 5 seconds)", uuid);
}

struct operation **operation_list(struct engine *e)
{
	struct operations *all = e->operations;
	struct operation **list = xcalloc(1, sizeof(*list));
	size_t n = 0;
	SCOPED_LOCK(&all->mutex);

	list_each (node, &all->all) {
		struct operation *op = list_of(node, struct operation, link);

		if (is_over(op))
			continue;
		list = xreallocarray(list, n + 2, sizeof(*list));
		op->refs++;
		list[n++] = op;
		list[n] = NULL;
	}
	return list;
}

void operation_list_free(struct operation **list)
{
	for (size_t i = 0; list && list[i]; i++)
		operation_unref(list[i]);
	free(list);
}

const char *operation_uuid(const struct operation *op)
{
	return op->info.uuid;
}

int operation_wait(struct operation *op, uint64_t timeout_us)
{
	uint64_t deadline = timeout_us == UINT64_MAX ? UINT64_MAX : clock_mono_us() + timeout_us;
	SCOPED_LOCK(&op->registry->mutex);

	while (!op->ended_us) {
		if (deadline == UINT64_MAX)
			cond_wait(&op->registry->changed, &op->registry->mutex);
		else if (cond_wait_until(&op->registry->changed, &op->registry->mutex, deadline) < 0)
			return op->ended_us != 0;
	}
	return 1;
}

int operation_cancel(struct operation *op, struct err *err)
{
	SCOPED_LOCK(&op->registry->mutex);

	if (op->ended_us)
		return err_set(err, -EPERM, "the operation has ended already");
	if (!op->info.may_cancel)
		return err_set(err, -EPERM, "this operation cannot be cancelled%s",
			       op->is_committed ? " any more: its point of no return is behind it" : "");
	op->is_cancelled = true;
	op->info.status = OPERATION_CANCELLING;
	op->info.updated_us = clock_real_us();
	return 0;
}

void operation_set(struct operation *op, const char *key, struct json *value)
{
	if (!op) {
		json_free(value);
		return;
	}
	SCOPED_LOCK(&op->registry->mutex);
	if (!op->info.metadata)
		op->info.metadata = json_new_object();
	json_set(op->info.metadata, key, value);
	op->info.updated_us = clock_real_us();
}

void operation_progress(struct operation *op, const char *key, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (!op)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	operation_set(op, key, json_new_str(text));
}

bool operation_is_cancelled(const struct operation *op)
{
	if (!op)
		return false;
	SCOPED_LOCK(&op->registry->mutex);
	return op->is_cancelled;
}

int operation_commit(struct operation *op, struct err *err)
{
	if (!op)
		return 0;
	SCOPED_LOCK(&op->registry->mutex);
	if (op->is_cancelled)
		return err_set(err, -ECANCELED, "cancelled");
	op->is_committed = true;
	op->info.may_cancel = false;
	return 0;
}

void operation_get(struct operation *op, struct operation_info *ret)
{
	SCOPED_LOCK(&op->registry->mutex);

	*ret = op->info;
	ret->instances = strv_copy(op->info.instances);
	ret->snapshot = xstrdup_null(op->info.snapshot);
	ret->metadata = op->info.metadata ? json_copy(op->info.metadata) : NULL;
}

void operation_info_done(struct operation_info *info)
{
	strv_free(info->instances);
	free(info->snapshot);
	json_free(info->metadata);
	*info = (struct operation_info){ 0 };
}
