/* SPDX-License-Identifier: Apache-2.0 */
/* lifecycle.c - the verbs; each records how it went, so that 'info' can tell later */
#include "engine/lifecycle.h"

#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/str.h"
#include "engine/config.h"
#include "engine/container.h"
#include "engine/operation.h"
#include "engine/remove.h"
#include "engine/saved.h"
#include "engine/state.h"
#include "engine/stateful.h"
#include "engine/watch.h"
#include "runtime/crun.h"
#include "runtime/freezer.h"
#include "store/journal.h"

#define KILL_US	 (10 * US_PER_S)
#define SLICE_US (100 * US_PER_MS)

/* Notes a failure in the instance's history and puts its name in front. */
static int record(struct instance *in, const char *verb, int r, struct err *err)
{
	struct err local = ERR_INIT;

	if (r >= 0) {
		instance_set_error(in, NULL);
		return r;
	}
	if (!err)
		err = &local;
	(void)err_wrap(err, r, "cannot %s '%s'", verb, in->row.name);
	instance_note(in, "%s", err->text);
	instance_set_error(in, err);
	return r;
}

static int require_up(const struct instance *in, struct err *err)
{
	if (instance_is_up(in))
		return 0;
	return err_set(err, -EINVAL, "it is not running");
}

/* From nothing to running. A saved state that is to be discarded is out of the way before the first instruction, and
 * back if there is none. */
static int boot(struct instance *in, struct err *err)
{
	bool had_state = in->state.exists;
	int r;

	r = container_prepare(in, err);
	FAULT("start.mounted", err);
	if (r == 0)
		r = container_create(in, err);
	if (r == 0 && had_state)
		r = saved_use(in, err);
	if (r < 0)
		return r;
	r = container_run(in, err);
	if (r < 0 && had_state)
		(void)saved_unuse(in, NULL); /* nothing has run: the disk is as it was */
	return r;
}

/* What an earlier life left is obsolete, now that this one runs. */
static int settle(struct instance *in, struct err *err)
{
	int r = saved_remove_previous(in, err);

	if (r == 0)
		r = instance_set_power(in, true, err);
	instance_note(in, "started");
	return r;
}

static int start_fresh(struct instance *in, struct operation *op, struct err *err)
{
	int64_t journal = 0;
	int r;

	r = operation_commit(op, err);
	if (r == 0)
		r = journal_begin(in->engine->db, "boot", in->row.uuid, in->state.exists ? "stateless" : "", &journal,
				  err);
	if (r < 0)
		return r;
	instance_set_status(in, INSTANCE_STARTING);
	r = boot(in, err);
	if (r < 0) {
		container_teardown(in);
		instance_set_stopped(in);
		saved_refresh(in);
	} else {
		r = settle(in, err);
		saved_refresh(in);
	}
	(void)journal_end(in->engine->db, journal, NULL);
	return r;
}

int lifecycle_start(struct instance *in, bool is_stateless, struct operation *op, struct err *err)
{
	int r;

	if (in->status == INSTANCE_FROZEN)
		return lifecycle_resume(in, err);
	if (in->status == INSTANCE_RUNNING)
		return err_set(err, -EEXIST, "'%s' is running already", in->row.name);
	if (in->state.exists && !is_stateless)
		r = stateful_start(in, op, err);
	else
		r = start_fresh(in, op, err);
	return record(in, "start", r, err);
}

static int stop_signal(const struct instance *in)
{
	const char *word = config_get(in->row.config, "stop.signal");
	AUTO(image_info_free) struct image_info *image = NULL;
	int n = -1;

	if (!word && image_find(in->engine, in->row.image, &image, NULL) == 0)
		word = image->stop_signal;
	if (word)
		n = config_parse_signal(word);
	return n > 0 ? n : 15;
}

/* Asks; a paused container is let go, it could not hear otherwise. */
static int ask_to_stop(struct instance *in, bool was_frozen, uint64_t timeout_us, struct operation *op, struct err *err)
{
	uint64_t deadline = clock_mono_us() + timeout_us;
	int r;

	r = crun_kill(&in->engine->tools, in->row.uuid, stop_signal(in), err);
	if (was_frozen)
		(void)freezer_set(&in->cg, false, US_PER_S, NULL);
	if (r < 0 && !container_wait_end(in, 0))
		return r;
	operation_progress(op, "stop_progress", "Waiting for it to end");
	while (clock_mono_us() < deadline) {
		if (container_wait_end(in, SLICE_US))
			return 0;
		if (operation_is_cancelled(op))
			return err_set(err, -ECANCELED, "cancelled; it has been asked to stop and may still do so");
	}
	return 0;
}

static int stop(struct instance *in, uint64_t timeout_us, bool is_forced, struct operation *op, struct err *err)
{
	enum instance_status before = in->status;
	int r = require_up(in, err);

	if (r < 0)
		return r;
	if (!timeout_us)
		timeout_us = config_get_us(in->row.config, "stop.timeout");
	instance_set_status(in, INSTANCE_STOPPING);
	r = is_forced ? 0 : ask_to_stop(in, before == INSTANCE_FROZEN, timeout_us, op, err);
	if (r < 0) {
		instance_set_status(in, before == INSTANCE_FROZEN && !freezer_is_frozen(&in->cg) ? INSTANCE_RUNNING
												 : before);
		return r;
	}
	if (!container_wait_end(in, 0)) {
		if (!is_forced)
			instance_note(in, "did not stop in %llu s and is killed",
				      (unsigned long long)(timeout_us / US_PER_S));
		r = cgroup_kill(&in->cg, CGROUP_PAYLOAD, KILL_US, err);
	}
	if (r == 0 && !container_wait_end(in, KILL_US))
		r = err_set(err, -ETIMEDOUT, "its monitor does not end");
	if (r < 0) {
		instance_set_status(in, before);
		return r;
	}
	(void)saved_remove_previous(in, NULL); /* somebody decided that it ends: it did run */
	return 0;
}

int lifecycle_stop(struct instance *in, uint64_t timeout_us, bool is_forced, struct operation *op, struct err *err)
{
	int r = stop(in, timeout_us, is_forced, op, err);

	if (r == 0)
		r = container_ended(in, /* may_delete= */ true, err);
	return record(in, "stop", r, err);
}

int lifecycle_stop_for_now(struct instance *in, struct err *err)
{
	int r = stop(in, 0, /* is_forced= */ false, NULL, err);

	if (r == 0)
		r = container_ended(in, /* may_delete= */ false, err);
	return record(in, "stop", r, err);
}

int lifecycle_stop_stateful(struct instance *in, struct operation *op, struct err *err)
{
	int r;

	if (in->status == INSTANCE_STOPPED && in->state.exists)
		return err_set(err, -EEXIST, "'%s' is stopped with state already", in->row.name);
	r = require_up(in, err);
	if (r == 0)
		r = stateful_stop(in, op, err);
	if (r == 0)
		r = instance_set_power(in, false, err);
	return record(in, "save the state of", r, err);
}

int lifecycle_restart(struct instance *in, uint64_t timeout_us, bool is_forced, bool is_stateful, struct operation *op,
		      struct err *err)
{
	int r;

	if (is_stateful) {
		r = lifecycle_stop_stateful(in, op, err);
	} else {
		r = stop(in, timeout_us, is_forced, op, err);
		if (r == 0)
			r = container_ended(in, /* may_delete= */ false, err);
		r = record(in, "restart", r, err);
	}
	return r < 0 ? r : lifecycle_start(in, /* is_stateless= */ false, NULL, err);
}

int lifecycle_pause(struct instance *in, struct err *err)
{
	int r;

	if (in->status == INSTANCE_FROZEN)
		return err_set(err, -EEXIST, "'%s' is paused already", in->row.name);
	r = require_up(in, err);
	if (r == 0)
		r = freezer_set(&in->cg, true, in->engine->settings.freeze_us, err);
	if (r == 0)
		instance_set_status(in, INSTANCE_FROZEN);
	return record(in, "pause", r, err);
}

int lifecycle_resume(struct instance *in, struct err *err)
{
	int r;

	if (in->status == INSTANCE_RUNNING)
		return err_set(err, -EEXIST, "'%s' is not paused", in->row.name);
	r = require_up(in, err);
	if (r == 0)
		r = freezer_set(&in->cg, false, in->engine->settings.freeze_us, err);
	if (r == 0)
		instance_set_status(in, INSTANCE_RUNNING);
	return record(in, "resume", r, err);
}

int lifecycle_delete(struct instance *in, bool is_forced, struct operation *op, struct err *err)
{
	int r;

	if (instance_is_up(in) && !is_forced)
		return err_set(err, -EBUSY, "'%s' is running: stop it first, or use --force", in->row.name);
	r = operation_commit(op, err);
	if (r == 0 && instance_is_up(in)) {
		r = cgroup_kill(&in->cg, CGROUP_PAYLOAD, KILL_US, err);
		if (r == 0 && !container_wait_end(in, KILL_US))
			instance_note(in, "its monitor does not end and is killed");
	}
	if (r == 0)
		r = remove_instance(in, err);
	return r < 0 ? err_wrap(err, r, "cannot delete '%s'", in->row.name) : 0;
}
