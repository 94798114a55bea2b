/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stateful-start.c - continue from the saved state
 *
 *   verify → journal → rootfs, network → CRIU restores (the large files are verified meanwhile) → (its hook asks us)
 * all verified? commit: state becomes state.used → the first instruction
 *
 * Until the commit nothing of the container has run, and any failure leaves the state as it was. After it the state
 * counts as used: memory is never resumed twice against a disk that has moved on.
 */
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/json.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/container.h"
#include "engine/hook.h"
#include "engine/host.h"
#include "engine/import.h"
#include "engine/logs.h"
#include "engine/operation.h"
#include "engine/saved.h"
#include "engine/state.h"
#include "engine/stateful.h"
#include "engine/watch.h"
#include "runtime/affinity.h"
#include "runtime/confined.h"
#include "runtime/conmon.h"
#include "runtime/freezer.h"
#include "runtime/timerfd.h"
#include "runtime/utsns.h"
#include "store/journal.h"

struct start {
	struct instance *in;
	struct operation *op;
	struct saved saved;
	pthread_t verifier;
	bool is_verifying;
	int verified;
	struct err verify_err;
	bool is_committed, is_refused;
};

static void start_done(struct start *s)
{
	if (s->is_verifying)
		(void)pthread_join(s->verifier, NULL);
	saved_done(&s->saved);
}
AUTO_DEFINE_IN(struct start, start_done)

/* Memory pages are most of the bytes: they are verified while CRIU reads them, and before anything runs. A restore from
 * bad ones is ended at once. */
static void *verify_pages(void *arg)
{
	struct start *s = arg;

	s->verified = saved_verify(s->in, &s->saved, /* is_pages= */ true, &s->verify_err);
	if (s->verified < 0) {
		(void)cgroup_kill(&s->in->cg, CGROUP_PAYLOAD, 0, NULL);
		(void)cgroup_kill(&s->in->cg, CGROUP_MONITOR, 0, NULL);
	}
	return NULL;
}

static int verified(struct start *s, struct err *err)
{
	if (s->is_verifying)
		(void)pthread_join(s->verifier, NULL);
	s->is_verifying = false;
	if (s->verified < 0 && err)
		*err = s->verify_err;
	return s->verified;
}

/* A clone comes up under its own name. */
static int name_it(struct start *s, struct err *err)
{
	autofree pid_t *pids = NULL;
	size_t n = 0;
	int r = cgroup_processes(&s->in->cg, CGROUP_PAYLOAD, &pids, &n, err);

	if (r == 0 && n == 0)
		r = err_set(err, -ESRCH, "the restored container has no process");
	return r < 0 ? r : utsns_set_hostname(pids[0], s->in->row.name, err);
}

/* What an archive brought is held against our own rules now that the kernel can tell what it is. */
static int check_stranger(struct start *s, struct err *err)
{
	autofree char *path = instance_bundle_path(s->in, "config.json");
	AUTO(json_free) struct json *spec = NULL;
	AUTO(strv_free) char **binds = NULL;
	const struct json *mounts;
	int r = json_parse_file(path, 16 << 20, &spec, err);

	mounts = json_get(spec, "mounts");
	for (size_t i = 0; r == 0 && i < json_len(mounts); i++)
		if (str_eq(json_get_str(json_item(mounts, i), "type"), "bind"))
			strv_add(&binds, json_get_str(json_item(mounts, i), "destination"));
	if (r == 0)
		r = confined_check(&s->in->cg, binds, err);
	if (r == 0)
		return 0;
	/* CRIU is waiting for nothing now, and would be for a while */
	(void)cgroup_kill(&s->in->cg, CGROUP_PAYLOAD, 0, NULL);
	(void)cgroup_kill(&s->in->cg, CGROUP_MONITOR, 0, NULL);
	return err_wrap(err, r, "what the archive holds is not what an instance may be");
}

/* Every task stands before its first instruction. */
static int on_restored(const char *action, struct hook *hook, void *ctx, struct err *err)
{
	struct start *s = ctx;
	autofree char *bundle = instance_bundle_path(s->in, "");
	AUTO(container_stdio_done)
	struct container_stdio stdio = { .has_tty = s->saved.has_tty, .has_stdin = s->saved.has_stdin };
	autofree char *freeze = cgroup_file(&s->in->cg, CGROUP_PAYLOAD, "cgroup.freeze");
	int r;

	(void)action;
	r = verified(s, err);
	if (r == 0)
		r = conmon_stdio_of_runtime(bundle, &s->in->cg, &stdio.descriptors, err);
	if (r == 0)
		r = container_note_stdio(s->in, &stdio, err);
	if (r == 0)
		r = affinity_apply(&s->in->cg, json_get(s->saved.manifest, "affinity"), err);
	if (r == 0)
		r = timerfd_revive(&s->in->cg, err);
	if (r == 0 && json_get_bool(s->saved.manifest, "imported", false))
		r = check_stranger(s, err);
	if (r == 0 && json_get(s->saved.manifest, "from_checkpoint"))
		r = name_it(s, err);
	if (r == 0 && s->saved.was_paused)
		r = file_poke(freeze, "1", err);
	if (r == 0)
		r = operation_commit(s->op, err);
	if (r < 0)
		return r;
	FAULT("restore.resume", err);
	if (!hook_is_waiting(hook))
		return err_set(err, -EIO, "CRIU was ended by somebody else");
	r = saved_use(s->in, err);
	if (r < 0)
		return r;
	s->is_committed = true;
	FAULT_HERE("restore.committed");
	return 0;
}

static int restore(struct start *s, struct err *err)
{
	autofree char *done = instance_path(s->in, SAVED_USED "/stasis.json");
	AUTO(hook_close) struct hook *hook = NULL;
	AUTO(strv_free) char **env = NULL;
	struct err restore_err = ERR_INIT;
	int r, answer;

	r = thread_start(&s->verifier, "verify", verify_pages, s, err);
	if (r < 0)
		return r;
	s->is_verifying = true; /* before there is a hook, whose thread joins the verifier */
	r = hook_open(s->in, on_restored, s, &hook, err);
	if (r < 0)
		return r;
	operation_progress(s->op, "restore_progress", "Restoring");
	env = hook_env(hook, done);
	r = container_restore(s->in, &s->saved, env, &restore_err);
	if (hook_end(hook, &answer, err) && answer < 0) {
		s->is_refused = true; /* the cause; CRIU's error is its consequence */
		return answer;
	}
	if (r < 0 && verified(s, err) < 0)
		return s->verified;
	if (r < 0 && err)
		*err = restore_err;
	return r;
}

/* The spec that the container was made from, not one of today's configuration: CRIU compares. */
static int put_spec_back(const struct instance *in, struct err *err)
{
	autofree char *from = instance_path(in, SAVED_STATE "/spec.dump"),
		      *to = instance_bundle_path(in, "config.json");
	autofree char *text = NULL;
	size_t len;
	int r = file_read(from, 16 << 20, &text, &len, err);

	return r < 0 ? r : file_write_whole(to, text, len, 0600, err);
}

/* Keeps CRIU's log; a failure is put into its words. */
static int conclude(struct start *s, int r, struct err *err)
{
	const char *what = "cannot continue from the saved state (it is kept; start again, or use --stateless)";

	autofree char *log = instance_bundle_path(s->in, "restore.log");
	char meaning[480];
	int has_error = logs_keep_criu(s->in, log, "restore", meaning, sizeof(meaning));

	if (r >= 0)
		return r;
	if (r == -EIO && has_error && !s->is_refused)
		(void)err_set(err, r, "%s", meaning);
	if (s->is_committed)
		what = "the container was continued and then failed";
	else if (import_is_open(s->in)) /* nothing is kept of it here */
		what = "it cannot be continued";
	return err_wrap(err, r, "%s", what);
}

static void prove_later(struct instance *in)
{
	mutex_lock(&in->engine->mutex);
	in->prove_at_us = clock_mono_us() + in->engine->settings.proof_us;
	mutex_unlock(&in->engine->mutex);
	watch_poke(in->engine);
}

static int run_restore(struct start *s, struct err *err)
{
	struct instance *in = s->in;
	int r;

	FAULT("restore.journal", err);
	instance_set_status(in, INSTANCE_STARTING);
	r = saved_remove_previous(in, err);
	if (r == 0)
		r = container_prepare(in, err);
	if (r == 0)
		r = put_spec_back(in, err);
	if (r < 0)
		return r;
	FAULT("restore.mounted", err);
	return conclude(s, restore(s, err), err);
}

int stateful_start(struct instance *in, struct operation *op, struct err *err)
{
	AUTO(start_done) struct start s = { .in = in, .op = op };
	int64_t journal;
	int r;

	operation_progress(op, "restore_progress", "Verifying");
	r = host_can_checkpoint(in->engine, err);
	if (r == 0)
		r = saved_read(in, SAVED_STATE, &s.saved, err);
	if (r == 0)
		r = saved_verify(in, &s.saved, /* is_pages= */ false, err);
	if (r < 0)
		return err_wrap(err, r,
				"cannot continue from the saved state (it is kept; --stateless starts without it)");
	FAULT("restore.verified", err);
	r = journal_begin(in->engine->db, "restore", in->row.uuid, "", &journal, err);
	if (r < 0)
		return r;
	r = run_restore(&s, err);
	saved_refresh(in);
	if (r < 0) {
		container_teardown(in);
		instance_set_stopped(in);
	} else {
		if (s.saved.was_paused)
			instance_set_status(in, INSTANCE_FROZEN);
		instance_note(in, "continued from the state of %s", s.saved.info.uuid);
		prove_later(in);
		r = instance_set_power(in, true, err);
		FAULT_HERE("restore.done");
	}
	(void)journal_end(in->engine->db, journal, NULL);
	return r;
}
