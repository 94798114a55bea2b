/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulk.c - PUT /1.0/instances: the same for every instance to which it applies
 *
 * One operation; inside it settings.parallel threads each take the next instance from the list. Lifecycle functions get
 * no operation: the point of no return of one instance is not that of all.
 */
#include <stdio.h>
#include <string.h>

#include "api/handlers.h"
#include "api/state.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/sync.h"
#include "engine/operation.h"

#define MAX_WORKERS 64

struct bulk {
	struct engine *engine;
	struct state_request rq;
	char **names;
	size_t n_names;
	struct operation *op; /* while it runs */
	struct mutex mutex;   /* guards what follows */
	size_t next, n_done, n_failed;
	char first_error[480];
	struct json *results;
};

static void bulk_free(void *arg)
{
	struct bulk *b = arg;

	strv_free(b->names);
	json_free(b->results);
	mutex_done(&b->mutex);
	free(b);
}

/* The next name, or NULL when all are taken or the client has had enough. */
static const char *take(struct bulk *b)
{
	bool is_cancelled = operation_is_cancelled(b->op);
	SCOPED_LOCK(&b->mutex);

	return is_cancelled || b->next == b->n_names ? NULL : b->names[b->next++];
}

static void note(struct bulk *b, const char *name, int r, const struct err *err)
{
	size_t n_done;

	mutex_lock(&b->mutex);
	json_set_str(b->results, name, r < 0 ? err->text : "");
	n_done = ++b->n_done;
	if (r < 0 && b->n_failed++ == 0)
		(void)snprintf(b->first_error, sizeof(b->first_error), "%s", err->text);
	mutex_unlock(&b->mutex);
	operation_progress(b->op, "instances_progress", "%zu of %zu", n_done, b->n_names);
}

static void *work(void *arg)
{
	struct bulk *b = arg;
	const char *name;

	while ((name = take(b))) {
		AUTO(instance_release) struct instance *in = NULL;
		struct err err = ERR_INIT;
		int r;

		r = instance_claim(b->engine, name, b->rq.doing, &in, &err);
		if (r == 0)
			r = state_run(in, &b->rq, NULL, &err);
		note(b, name, r, &err);
	}
	return NULL;
}

static size_t count_workers(const struct bulk *b)
{
	int64_t n = engine_settings(b->engine)->parallel;

	if (n <= 0)
		n = 2 * sysconf(_SC_NPROCESSORS_ONLN);
	if (n < 1)
		n = 1;
	if (n > MAX_WORKERS)
		n = MAX_WORKERS;
	return (size_t)n < b->n_names ? (size_t)n : b->n_names;
}

static int bulk_run(struct operation *op, void *arg, struct err *err)
{
	struct bulk *b = arg;
	pthread_t threads[MAX_WORKERS];
	size_t n = count_workers(b), n_started = 0;

	b->op = op;
	/* This thread works too: one that cannot be started only makes it slower. */
	while (n_started + 1 < n && thread_start(&threads[n_started], "bulk", work, b, NULL) == 0)
		n_started++;
	(void)work(b);
	for (size_t i = 0; i < n_started; i++)
		(void)pthread_join(threads[i], NULL);
	/* Two that ended together may have said it in the wrong order. */
	operation_progress(op, "instances_progress", "%zu of %zu", b->n_done, b->n_names);
	operation_set(op, "results", TAKE_PTR(b->results));
	if (b->n_failed > 0)
		return err_set(err, -EIO, "%zu of %zu failed, the first: %s", b->n_failed, b->n_names, b->first_error);
	if (b->n_done < b->n_names)
		return err_set(err, -ECANCELED, "cancelled after %zu of %zu", b->n_done, b->n_names);
	return 0;
}

static int decode(const struct json *j, struct state_request *ret, struct err *err)
{
	struct {
		struct json *state;
	} in = { 0 };
	static const struct json_field fields[] = {
		{ "state", JSON_F_JSON, offsetof(__typeof__(in), state), true },
	};
	int r;

	r = json_decode(j, fields, ARRAY_SIZE(fields), &in, err);
	if (r < 0)
		return r;
	if (json_type(in.state) != JSON_OBJECT)
		return err_set(err, -EINVAL, "state must be an object");
	r = state_decode(in.state, ret, err);
	return r < 0 ? err_wrap(err, r, "state") : 0;
}

int put_instances(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(instance_list_free) struct instance_info **list = NULL;
	AUTO(strv_free) char **names = NULL;
	struct operation_spec spec = { .may_cancel = true, .run = bulk_run, .free_arg = bulk_free };
	struct state_request state = { 0 };
	struct operation *op;
	struct bulk *b;
	int r;

	r = decode(rq->json, &state, err);
	if (r < 0)
		return r;
	r = instance_list(rq->engine, /* live= */ false, &list, err);
	if (r < 0)
		return r;
	for (size_t i = 0; list[i]; i++)
		if (state_applies(&state, list[i]->status))
			strv_add(&names, list[i]->name);
	b = xcalloc(1, sizeof(*b));
	b->engine = rq->engine;
	b->rq = state;
	b->names = strv_copy(names);
	b->n_names = strv_len(names);
	b->results = json_new_object();
	mutex_init(&b->mutex);
	spec.description = state.description;
	spec.instances = names;
	spec.arg = b;
	r = operation_start(rq->engine, &spec, &op, err);
	if (r < 0)
		return r;
	reply_async(ret, op);
	return 0;
}
