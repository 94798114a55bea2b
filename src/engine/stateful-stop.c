/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stateful-stop.c - write the running state to disk and stop, with nothing done in between
 *
 *   pre-flight → journal → hook → CRIU starts → (its hook asks us) [ guard, freeze → CRIU dumps → (its hook asks us)
 *   copy, digest, sync, commit → CRIU kills ]
 *
 * CRIU holds every task while its hook waits for our answer: no instruction runs between the dump and the kill, and the
 * network stays locked, so that no peer sees a FIN or a RST. A refusal makes CRIU resume the tasks, and the window
 * thaws them.
 */
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "engine/check.h"
#include "engine/container.h"
#include "engine/follow.h"
#include "engine/host.h"
#include "engine/memory.h"
#include "engine/operation.h"
#include "engine/saved.h"
#include "engine/state.h"
#include "engine/stateful.h"
#include "engine/window.h"
#include "runtime/affinity.h"
#include "runtime/freezer.h"
#include "store/journal.h"

#define KILL_US (10 * US_PER_S)

struct stop {
	struct instance *in;
	struct operation *op;
	struct memory memory;
	struct saved_facts facts;
	struct saved_state_info info;
	struct container_stdio stdio;
	struct json *affinity;
	struct window window; /* opened by on_ready() */
	struct follow *follow;
	bool is_committed;
};

static void stop_done(struct stop *s)
{
	window_close(&s->window);
	follow_free(s->follow);
	memory_done(&s->memory);
	container_stdio_done(&s->stdio);
	json_free(s->affinity);
}
AUTO_DEFINE_IN(struct stop, stop_done)

/* Everything that can be known to fail is found out while the container still runs. */
static int prepare(struct stop *s, struct err *err)
{
	autofree char *images = instance_path(s->in, SAVED_NEW "/checkpoint");
	autofree char *bundle = instance_bundle_path(s->in, "");
	AUTO(preflight_done) struct preflight report = { 0 };
	int r;

	operation_progress(s->op, "checkpoint_progress", "Checking");
	r = check_before_dump(s->in, &report, err);
	if (r < 0)
		return r;
	r = container_read_stdio(bundle, &s->stdio, err);
	if (r == 0)
		r = affinity_read(&s->in->cg, &s->affinity, err);
	if (r == 0)
		r = saved_begin(s->in, err);
	if (r == 0)
		r = memory_prepare(&s->memory, s->in, images, report.memory_bytes, err);
	s->facts.affinity = s->affinity;
	s->facts.processes = report.processes;
	s->facts.has_tty = s->stdio.has_tty;
	s->facts.has_stdin = s->stdio.has_stdin;
	s->facts.tcp_established = s->memory.tcp_established;
	s->facts.file_locks = s->memory.file_locks;
	host_versions(s->in->engine, &s->facts.criu_version, &s->facts.crun_version);
	return r;
}

/* CRIU has started and waits: the frozen window opens. */
static int on_ready(struct stop *s, struct err *err)
{
	autofree char *done = instance_path(s->in, SAVED_STATE "/stasis.json");
	autofree char *images = instance_path(s->in, SAVED_NEW "/checkpoint");
	int r = window_open(&s->window, s->in, done, err);

	if (r < 0)
		return r;
	FAULT("stop.frozen", err);
	s->facts.was_paused = window_found_paused(&s->window);
	s->facts.frozen_at_us = s->window.frozen_at_us;
	s->facts.freeze_us = s->window.freeze_us;
	operation_progress(s->op, "checkpoint_progress", "Reading memory");
	return s->memory.is_in_memory ? follow_start(s->memory.images, images, &s->follow, err) : 0;
}

/* CRIU has written the images and holds the tasks; what we answer decides between kill and resume. */
static int on_dumped(struct stop *s, struct hook *hook, struct err *err)
{
	autofree char *freeze = cgroup_file(&s->in->cg, CGROUP_PAYLOAD, "cgroup.freeze");
	int r;

	s->facts.dump_us = clock_mono_us() - s->facts.frozen_at_us;
	FAULT("stop.dumped", err);
	/* CRIU thaws the cgroup for its work: freeze it again, so that nothing would run even if CRIU were killed now
	 */
	r = file_poke(freeze, "1", err);
	if (r == 0 && s->follow)
		r = follow_finish(s->follow, &s->facts.taken, err);
	if (r == 0)
		r = saved_fill(s->in, &s->facts, s->memory.is_in_memory ? s->memory.images : NULL, s->stdio.descriptors,
			       s->op, &s->info, err);
	if (r == 0)
		r = operation_commit(s->op, err);
	if (r < 0)
		return r;
	if (!hook_is_waiting(hook))
		return err_set(err, -EIO, "CRIU was ended by somebody else");
	r = saved_commit(s->in, err);
	if (r < 0)
		return r;
	s->is_committed = true;
	FAULT_HERE("stop.committed");
	return 0;
}

static int on_hook(const char *action, struct hook *hook, void *ctx, struct err *err)
{
	return str_eq(action, "pre-dump") ? on_ready(ctx, err) : on_dumped(ctx, hook, err);
}

/* Until on_dumped() has committed, every way out of here leaves the container running. */
static int dump_and_commit(struct stop *s, struct err *err)
{
	autofree char *done = instance_path(s->in, SAVED_STATE "/stasis.json");
	AUTO(hook_close) struct hook *hook = NULL;
	struct err dump_err = ERR_INIT;
	int r, answer;

	FAULT("stop.journal", err);
	r = hook_open(s->in, on_hook, s, &hook, err);
	if (r < 0)
		return r;
	r = memory_dump(&s->memory, s->in, hook, done, /* leave_running= */ false, &dump_err);
	if (hook_end(hook, &answer, err) && answer < 0 && !s->is_committed)
		r = answer; /* our own refusal is the cause, and CRIU's error its consequence */
	else if (r < 0 && err)
		*err = dump_err;
	if (!s->is_committed) {
		if (s->facts.was_paused)
			(void)freezer_set(&s->in->cg, true, KILL_US, NULL);
		return r < 0 ? r : err_set(err, -EIO, "CRIU ended without asking whether to commit");
	}
	/* CRIU has killed them; this makes it certain, whatever became of CRIU */
	r = cgroup_kill(&s->in->cg, CGROUP_PAYLOAD, KILL_US, err);
	window_end_killed(&s->window);
	return r;
}

static int finish(struct stop *s, struct err *err)
{
	struct instance *in = s->in;

	FAULT_HERE("stop.killed");
	(void)container_wait_end(in, KILL_US);
	container_teardown(in);
	instance_set_stopped(in);
	instance_set_states(in, &s->info, NULL);
	instance_note(
		in, "stopped with state: %lld processes, %llu bytes; frozen %llu ms: dump %llu, copy %llu, sync %llu",
		(long long)s->info.processes, (unsigned long long)s->info.bytes,
		(unsigned long long)(s->info.frozen_us / US_PER_MS), (unsigned long long)(s->info.dump_us / US_PER_MS),
		(unsigned long long)(s->info.copy_us / US_PER_MS), (unsigned long long)(s->info.sync_us / US_PER_MS));
	return saved_remove_previous(in, err); /* older than what we have now */
}

int stateful_stop(struct instance *in, struct operation *op, struct err *err)
{
	AUTO(stop_done) struct stop s = { .in = in, .op = op, .window = WINDOW_CLOSED };
	enum instance_status before = in->status;
	int64_t journal;
	int r;

	r = prepare(&s, err);
	if (r < 0) {
		saved_sweep(in);
		return r;
	}
	r = journal_begin(in->engine->db, "stateful-stop", in->row.uuid, freezer_is_frozen(&in->cg) ? "paused" : "",
			  &journal, err);
	if (r < 0)
		return r;
	instance_set_status(in, INSTANCE_STOPPING);
	r = dump_and_commit(&s, err);
	if (s.is_committed) {
		r = finish(&s, err);
	} else {
		window_close(&s.window);
		saved_sweep(in);
		instance_set_status(in, before);
	}
	(void)journal_end(in->engine->db, journal, NULL);
	return r;
}
