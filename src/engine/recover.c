/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/recover.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "engine/checkpoint-folder.h"
#include "engine/config.h"
#include "engine/container.h"
#include "engine/import.h"
#include "engine/remove.h"
#include "engine/saved.h"
#include "engine/state.h"
#include "engine/swap.h"
#include "engine/watch.h"
#include "runtime/conmon.h"
#include "runtime/crun.h"
#include "runtime/freezer.h"
#include "store/journal.h"

#define CRIU_ENDS_US (60 * US_PER_S)
#define KILL_US	     (10 * US_PER_S)

static struct instance *find(struct engine *e, const char *uuid)
{
	list_each (node, &e->instances) {
		struct instance *in = list_of(node, struct instance, link);

		if (strcmp(in->row.uuid, uuid) == 0)
			return in;
	}
	return NULL;
}

static bool has_folder(const struct instance *in, const char *name)
{
	autofree char *rel = path_join(name, "stasis.json");
	autofree char *path = instance_path(in, rel);

	return path_exists(path);
}

/* Its hook finds the daemon gone and answers by itself, so CRIU ends soon; it is not killed in the middle of a dump. */
static void recover_stop(struct instance *in, const struct journal_row *row)
{
	bool was_paused = str_eq(row->detail, "paused");

	if (!cgroup_wait_empty(&in->cg, CGROUP_DUMP, CRIU_ENDS_US))
		(void)cgroup_kill(&in->cg, CGROUP_DUMP, KILL_US, NULL);
	if (has_folder(in, SAVED_STATE)) {
		(void)cgroup_kill(&in->cg, CGROUP_PAYLOAD, KILL_US, NULL);
		(void)cgroup_wait_empty(&in->cg, CGROUP_MONITOR, KILL_US);
		container_teardown(in);
		(void)saved_remove_previous(in, NULL);
		(void)instance_set_power(in, false, NULL);
		instance_note(in, "stopped with state; stasisd was restarted meanwhile");
	} else {
		if (cgroup_exists(&in->cg, CGROUP_PAYLOAD))
			(void)freezer_set(&in->cg, was_paused, KILL_US, NULL);
		instance_note(in, "a stop with state was interrupted by the end of stasisd; it was undone");
	}
}

/* A crun that the last daemon started may still be at work; its hook answers for us. */
static void await_settled(const struct instance *in)
{
	autofree char *bundle = instance_bundle_path(in, "");
	uint64_t deadline = clock_mono_us() + CRIU_ENDS_US;

	while (!conmon_is_settled(bundle, &in->cg) && clock_mono_us() < deadline)
		clock_sleep_us(5 * US_PER_MS);
}

static void recover_restore(struct instance *in, const struct journal_row *row)
{
	(void)row;
	await_settled(in);
	if (has_folder(in, SAVED_STATE)) {
		container_teardown(in);
		instance_note(in, "a start was interrupted by the end of stasisd; the saved state is kept");
	} else {
		instance_note(in, "stasisd was restarted just after it was continued");
	}
}

/* A live checkpoint left nothing that counts; what it froze goes on. */
static void recover_checkpoint(struct instance *in, const struct journal_row *row)
{
	if (!cgroup_wait_empty(&in->cg, CGROUP_DUMP, CRIU_ENDS_US))
		(void)cgroup_kill(&in->cg, CGROUP_DUMP, KILL_US, NULL);
	if (cgroup_exists(&in->cg, CGROUP_PAYLOAD))
		(void)freezer_set(&in->cg, str_eq(row->detail, "paused"), KILL_US, NULL);
	instance_note(in, "a checkpoint was interrupted by the end of stasisd");
}

/* Whether a created container has been let go: its first program is then not crun any more. */
static bool has_been_started(const struct instance *in)
{
	autofree char *fifo = xasprintf("%s/crun/%s/exec.fifo", in->engine->settings.run_dir, in->row.uuid);
	autofree char *bundle = instance_bundle_path(in, "");
	pid_t init;

	return conmon_find_init(bundle, &in->cg, &init, NULL) == 0 && !path_exists(fifo);
}

static void recover_boot(struct instance *in, const struct journal_row *row)
{
	bool is_stateless = str_eq(row->detail, "stateless");

	if (has_been_started(in)) {
		if (is_stateless)
			(void)saved_remove_previous(in, NULL);
		return;
	}
	container_teardown(in);
	if (is_stateless && !has_folder(in, SAVED_STATE) && has_folder(in, SAVED_USED))
		(void)saved_unuse(in, NULL);
	instance_note(in, "a start was interrupted by the end of stasisd; it was undone");
}

static const struct {
	const char *flow;
	void (*recover)(struct instance *in, const struct journal_row *row);
} flows[] = {
	{ "boot", recover_boot },
	{ "checkpoint", recover_checkpoint },
	{ "restore", recover_restore },
	{ "stateful-stop", recover_stop },
};

static void recover_row(struct engine *e, const struct journal_row *row)
{
	struct instance *in = find(e, row->instance);

	for (size_t i = 0; in && i < ARRAY_SIZE(flows); i++)
		if (str_eq(flows[i].flow, row->flow))
			flows[i].recover(in, row);
}

static int recover_journal(struct engine *e, struct err *err)
{
	autofree struct journal_row *rows = NULL;
	size_t n = 0;
	int r = journal_list(e->db, &rows, &n, err);

	for (size_t i = 0; r == 0 && i < n; i++) {
		recover_row(e, &rows[i]);
		r = journal_end(e->db, rows[i].id, err);
	}
	return r;
}

/* Going back to a checkpoint was interrupted: what was before comes back, and starts from its saved state. */
static void recover_swap(struct instance *in)
{
	struct err err = ERR_INIT;

	if (!swap_is_open(in))
		return;
	container_teardown(in);
	if (swap_undo(in, &err) < 0)
		instance_note(in, "a restore was interrupted by the end of stasisd, and cannot be undone: %s",
			      err.text);
	else
		instance_note(in, "a restore was interrupted by the end of stasisd; it was undone");
}

/* An import that had not come through leaves nothing; one whose container has run had. */
static bool undo_import(struct instance *in)
{
	if (!import_is_open(in))
		return false;
	if (has_folder(in, SAVED_USED)) {
		(void)import_commit(in, NULL);
		return false;
	}
	import_undo(in);
	return true;
}

/* What runs is found by its bundle; what has ended meanwhile left its exit code there. */
static void recover_instance(struct instance *in)
{
	autofree char *bundle = instance_bundle_path(in, "");
	struct err err = ERR_INIT;
	int r;

	if (undo_import(in))
		return;
	recover_swap(in);
	swap_sweep(in);
	saved_sweep(in);
	saved_refresh(in);
	r = container_adopt(in, &err);
	if (r < 0)
		instance_note(in, "cannot be taken over: %s", err.text);
	if (r > 0) {
		if (in->previous.exists)
			in->prove_at_us = clock_mono_us() + in->engine->settings.proof_us;
		return;
	}
	if (path_exists(bundle) && !in->state.exists)
		(void)container_ended(in, /* may_delete= */ true, NULL);
	else if (path_exists(bundle) || cgroup_exists(&in->cg, CGROUP_ALL))
		container_teardown(in);
}

int recover(struct engine *e, struct err *err)
{
	int r = recover_journal(e, err);

	if (r < 0)
		return r;
	list_each_safe (node, &e->instances) {
		struct instance *in = list_of(node, struct instance, link);

		recover_instance(in);
		if (in->is_deleted)
			instance_release(in);
	}
	remove_strays(e);
	checkpoint_sweep(e);
	watch_poke(e); /* it sees to what has expired */
	return 0;
}
