/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostboot.c - the instances go down and come up with the host
 *
 * Priorities are worked off from high to low, the instances of one priority in parallel. CRIU waits more than it works:
 * twice as many at a time as there are processors shortens the whole without lengthening one.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/config.h"
#include "engine/engine.h"
#include "engine/lifecycle.h"
#include "engine/operation.h"
#include "engine/state.h"

typedef int (*host_job)(struct instance *in, struct err *err);

struct batch {
	struct instance **list; /* claimed */
	size_t n;
	atomic_size_t next, n_failed;
	host_job job;
	struct operation *op;
	struct json *results; /* name: "" or what went wrong */
	struct mutex mutex;   /* guards results */
};

static void do_one(struct batch *b, struct instance *in)
{
	autofree char *name = xstrdup(in->row.name);
	struct err err = ERR_INIT;
	int r = b->job(in, &err);

	if (r < 0)
		b->n_failed++;
	instance_release(in);
	SCOPED_LOCK(&b->mutex);
	json_set_str(b->results, name, r < 0 ? err.text : "");
}

static void *batch_thread(void *arg)
{
	struct batch *b = arg;

	for (size_t i; (i = b->next++) < b->n;)
		do_one(b, b->list[i]);
	return NULL;
}

static void run_batch(struct batch *b, int64_t parallel)
{
	pthread_t threads[64];
	size_t n = 0, wanted = b->n < (size_t)parallel ? b->n : (size_t)parallel;

	if (wanted > ARRAY_SIZE(threads))
		wanted = ARRAY_SIZE(threads);
	for (; n + 1 < wanted; n++)
		if (thread_start(&threads[n], "batch", batch_thread, b, NULL) < 0)
			break;
	(void)batch_thread(b); /* this thread works too */
	for (size_t i = 0; i < n; i++)
		(void)pthread_join(threads[i], NULL);
}

static int64_t boot_priority(const struct instance *in)
{
	return config_get_int(in->row.config, "boot.autostart.priority");
}

static int64_t stop_priority(const struct instance *in)
{
	return config_get_int(in->row.config, "boot.stop.priority");
}

static int by_boot_priority(const void *a, const void *b)
{
	int64_t x = boot_priority(*(struct instance *const *)a), y = boot_priority(*(struct instance *const *)b);

	return x < y ? 1 : x > y ? -1 : 0;
}

static int by_stop_priority(const void *a, const void *b)
{
	int64_t x = stop_priority(*(struct instance *const *)a), y = stop_priority(*(struct instance *const *)b);

	return x < y ? 1 : x > y ? -1 : 0;
}

/* The longest of boot.autostart.delay in a group is waited for before the next group. */
static uint64_t longest_delay(struct instance *const *list, size_t n)
{
	int64_t longest = 0;

	for (size_t i = 0; i < n; i++) {
		int64_t delay = config_get_int(list[i]->row.config, "boot.autostart.delay");

		if (delay > longest)
			longest = delay;
	}
	return (uint64_t)longest * US_PER_S;
}

static int finish(struct batch *b, const char *what, size_t total, struct err *err)
{
	size_t failed = b->n_failed;

	operation_set(b->op, "results", b->results);
	mutex_done(&b->mutex);
	if (failed == 0)
		return 0;
	return err_set(err, -EIO, "%zu of %zu instances could not be %s (see the results)", failed, total, what);
}

/* @list is sorted; equal priorities make a group. */
static int run_groups(struct engine *e, struct instance **list, int64_t (*priority)(const struct instance *in),
		      bool with_delay, host_job job, const char *what, struct operation *op, struct err *err)
{
	struct batch b = { .job = job, .op = op, .results = json_new_object() };
	size_t done = 0, total = 0;

	mutex_init(&b.mutex);
	while (list[total])
		total++;
	while (done < total) {
		size_t n = 1;
		uint64_t delay;

		while (done + n < total && priority(list[done + n]) == priority(list[done]))
			n++;
		b.list = list + done;
		b.n = n;
		b.next = 0;
		delay = with_delay ? longest_delay(b.list, n) : 0;
		operation_progress(op, "host_progress", "%zu of %zu", done, total);
		run_batch(&b, e->settings.parallel);
		done += n;
		if (delay && done < total)
			clock_sleep_us(delay);
	}
	return finish(&b, what, total, err);
}

static bool is_to_go_down(const struct instance *in)
{
	return instance_is_up(in);
}

/* What ran comes back with the next boot, whichever way it went down. */
static int take_down(struct instance *in, struct err *err)
{
	const char *action = config_get(in->row.config, "boot.host_shutdown_action");
	uint64_t timeout_us = (uint64_t)config_get_int(in->row.config, "boot.host_shutdown_timeout") * US_PER_S;
	bool must_stop = true;
	int r = 0;

	if (str_eq(action, "stateful-stop")) {
		r = lifecycle_stop_stateful(in, NULL, err);
		must_stop = r < 0 && instance_is_up(in);
		if (must_stop)
			instance_note(
				in,
				"its state could not be saved for the host's shutdown: it is stopped cleanly instead");
	}
	if (must_stop)
		r = lifecycle_stop(in, timeout_us ? timeout_us : 1, str_eq(action, "force-stop"), NULL, err);
	if (!in->is_deleted && !instance_is_up(in))
		(void)instance_set_power(in, true, NULL);
	return r;
}

int engine_shutdown(struct engine *e, struct operation *op, struct err *err)
{
	autofree struct instance **list = instance_claim_all(e, is_to_go_down, "going down with the host");
	size_t n = 0;

	while (list[n])
		n++;
	FAULT_HERE("shutdown.begin");
	qsort(list, n, sizeof(list[0]), by_stop_priority);
	return run_groups(e, list, stop_priority, /* with_delay= */ false, take_down, "taken down", op, err);
}

static bool is_to_come_up(const struct instance *in)
{
	const char *autostart = config_get(in->row.config, "boot.autostart");
	bool wanted = autostart ? config_get_bool(in->row.config, "boot.autostart")
				: str_eq(config_get(in->row.config, "volatile.last_state.power"), "RUNNING");

	return wanted && in->status == INSTANCE_STOPPED;
}

static int bring_up(struct instance *in, struct err *err)
{
	return lifecycle_start(in, /* is_stateless= */ false, NULL, err);
}

int engine_boot(struct engine *e, struct operation *op, struct err *err)
{
	autofree struct instance **list = instance_claim_all(e, is_to_come_up, "coming up with the host");
	size_t n = 0;

	while (list[n])
		n++;
	FAULT_HERE("boot.begin");
	qsort(list, n, sizeof(list[0]), by_boot_priority);
	return run_groups(e, list, boot_priority, /* with_delay= */ true, bring_up, "started", op, err);
}
