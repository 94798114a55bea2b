/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.c - an instance at one instant, while it runs on
 *
 *   pre-flight, early copies, room on disk → journal → hook → CRIU starts → (its hook asks us) [ guard, freeze → CRIU
 *   dumps to memory → (its hook asks us) capture of the files → thaw ] → copy, digest, sync, manifest, rename →
 *   journal done
 *
 * What lies between open_window() and close_window() is all that the container has to wait for, and nothing in it could
 * happen before or after. The files are captured inside of CRIU's hook, while the tasks are seized, because CRIU
 * removes its link-remap files before it returns.
 */
#include "engine/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "engine/check.h"
#include "engine/checkpoint-folder.h"
#include "engine/container.h"
#include "engine/files.h"
#include "engine/host.h"
#include "engine/manifest.h"
#include "engine/memory.h"
#include "engine/operation.h"
#include "engine/saved.h"
#include "engine/state.h"
#include "engine/window.h"
#include "runtime/affinity.h"
#include "runtime/freezer.h"
#include "store/journal.h"

#define KILL_US		  (10 * US_PER_S)
#define DUMP_BYTES_PER_US 500 /* a careful guess of CRIU's speed into memory, for --max-pause */
#define DUMP_FIXED_US	  (100 * US_PER_MS)
#define SPEC_MAX	  (16 << 20)
#define STATS		  "stats-dump"
#define STATS_MAX	  (1 << 20)

struct making {
	struct instance *in;
	struct operation *op;
	const struct checkpoint_options *o;
	char uuid[UUID_SIZE];
	char *name, *folder, *images;
	bool has_memory, is_up;
	struct memory memory;
	struct container_stdio stdio;
	struct json *affinity;
	struct files *files;
	struct checkpoint_phases phases;
	struct window window;
	uint64_t began_us, frozen_at_us;
	uint64_t memory_bytes;
	int64_t processes;
	bool was_paused, is_captured;
};

static void making_done(struct making *m)
{
	window_close(&m->window);
	memory_done(&m->memory);
	container_stdio_done(&m->stdio);
	json_free(m->affinity);
	files_free(m->files);
	free(m->name);
	free(m->folder);
	free(m->images);
}
AUTO_DEFINE_IN(struct making, making_done)

static int choose_name(struct making *m, struct err *err)
{
	AUTO(checkpoint_info_free) struct checkpoint_info *other = NULL;
	struct engine *e = m->in->engine;
	int r;

	if (m->o->name && *m->o->name) {
		r = checkpoint_check_name(m->o->name, err);
		if (r < 0)
			return r;
		if (checkpoint_find(e, m->in->row.name, m->o->name, &other, NULL) == 0)
			return err_set(err, -EEXIST, "'%s' has a checkpoint '%s' already", m->in->row.name, m->o->name);
		m->name = xstrdup(m->o->name);
		return 0;
	}
	for (int i = 0;; i++) {
		AUTO(checkpoint_info_free) struct checkpoint_info *taken = NULL;
		autofree char *name = xasprintf("snap%d", i);

		if (checkpoint_find(e, m->in->row.name, name, &taken, NULL) == 0)
			continue;
		m->name = TAKE_PTR(name);
		return 0;
	}
}

static int check_pause(const struct making *m, uint64_t bytes, struct err *err)
{
	uint64_t expected = DUMP_FIXED_US + bytes / DUMP_BYTES_PER_US;

	if (!m->o->max_pause_us || expected <= m->o->max_pause_us)
		return 0;
	return err_set(err, -ETIMEDOUT,
		       "its memory (%llu MiB) would take about %llu ms to dump, more than the longest pause of %llu ms",
		       (unsigned long long)(bytes >> 20), (unsigned long long)(expected / US_PER_MS),
		       (unsigned long long)(m->o->max_pause_us / US_PER_MS));
}

/* Everything about the processes that can be known to fail is found out while they run. */
static int prepare_memory(struct making *m, struct err *err)
{
	autofree char *bundle = instance_bundle_path(m->in, "");
	AUTO(preflight_done) struct preflight report = { 0 };
	int r = check_before_dump(m->in, &report, err);

	if (r < 0)
		return r;
	m->processes = report.processes;
	r = check_pause(m, report.memory_bytes, err);
	if (r == 0)
		r = container_read_stdio(bundle, &m->stdio, err);
	if (r == 0)
		r = affinity_read(&m->in->cg, &m->affinity, err);
	if (r == 0)
		r = memory_prepare(&m->memory, m->in, m->images, report.memory_bytes, err);
	if (m->o->tcp_established >= 0)
		m->memory.tcp_established = m->o->tcp_established;
	if (m->o->file_locks >= 0)
		m->memory.file_locks = m->o->file_locks;
	return r;
}

static int prepare(struct making *m, struct err *err)
{
	int r;

	operation_progress(m->op, "checkpoint_progress", "Preparing");
	r = choose_name(m, err);
	if (r < 0)
		return r;
	uuid_new(m->uuid);
	m->folder = checkpoint_new_path(m->in->engine, m->uuid);
	m->images = path_join(m->folder, "checkpoint");
	r = path_mkdirs(m->has_memory ? m->images : m->folder, 0700, err);
	if (r == 0 && m->has_memory && m->is_up)
		r = prepare_memory(m, err);
	if (r == 0)
		r = files_prepare(m->in, m->folder, !m->o->ignore_rootfs, !m->o->ignore_volumes, m->op, &m->files, err);
	m->phases.prepare = clock_mono_us() - m->began_us;
	return r;
}

/* The container stands still. */
static int capture(struct making *m, struct err *err)
{
	uint64_t began = clock_mono_us();
	int r;

	if (m->o->max_pause_us && began - m->frozen_at_us > m->o->max_pause_us)
		return err_set(
			err, -ETIMEDOUT,
			"given up: it has stood still for %llu ms already, more than the longest pause of %llu ms",
			(unsigned long long)((began - m->frozen_at_us) / US_PER_MS),
			(unsigned long long)(m->o->max_pause_us / US_PER_MS));
	FAULT("checkpoint.dumped", err);
	r = files_take(m->files, err);
	m->phases.capture = clock_mono_us() - began;
	m->is_captured = r == 0;
	return r;
}

/* The frozen window opens: after everything that can be done before, and with CRIU waiting. */
static int open_window(struct making *m, struct err *err)
{
	autofree char *never = path_join(m->folder, ".never"); /* nothing here makes the container obsolete */
	int r = window_open(&m->window, m->in, never, err);

	if (r < 0)
		return r;
	FAULT("checkpoint.frozen", err);
	m->was_paused = window_found_paused(&m->window);
	m->frozen_at_us = m->window.frozen_at_us;
	m->phases.freeze = m->window.freeze_us;
	operation_progress(m->op, "checkpoint_progress", "Reading memory");
	return 0;
}

/* And closes: thaws what was frozen here, and leaves a paused container paused. */
static void close_window(struct making *m)
{
	if (!m->frozen_at_us)
		return;
	if (m->was_paused)
		(void)freezer_set(&m->in->cg, true, KILL_US,
				  NULL); /* CRIU thaws for its work, and may have been ended in it */
	window_close(&m->window);
	m->phases.paused = clock_mono_us() - m->frozen_at_us;
}

/* In between, CRIU has written the images and holds the tasks. */
static int on_dumped(struct making *m, struct err *err)
{
	autofree char *freeze = cgroup_file(&m->in->cg, CGROUP_PAYLOAD, "cgroup.freeze");
	int r;

	m->phases.dump = clock_mono_us() - m->frozen_at_us;
	/* CRIU thaws the cgroup for its work: freeze it again, so that nothing would run even if CRIU were killed now
	 */
	r = file_poke(freeze, "1", err);
	return r < 0 ? r : capture(m, err);
}

static int on_hook(const char *action, struct hook *hook, void *ctx, struct err *err)
{
	(void)hook;
	return str_eq(action, "pre-dump") ? open_window(ctx, err) : on_dumped(ctx, err);
}

static int dump(struct making *m, struct err *err)
{
	autofree char *never = path_join(m->folder, ".never");
	AUTO(hook_close) struct hook *hook = NULL;
	struct err dump_err = ERR_INIT;
	int r, answer, was_asked;

	r = hook_open(m->in, on_hook, m, &hook, err);
	if (r < 0)
		return r;
	r = memory_dump(&m->memory, m->in, hook, never, /* leave_running= */ true, &dump_err);
	was_asked = hook_end(hook, &answer, err);
	close_window(m);
	if (was_asked && answer < 0)
		return answer;
	if (r < 0 && err)
		*err = dump_err;
	if (r == 0 && !m->is_captured)
		r = err_set(err, -EIO, "CRIU ended without asking for the files");
	return r;
}

/* Files alone. */
static int capture_frozen(struct making *m, struct err *err)
{
	int r = open_window(m, err);

	if (r == 0)
		r = capture(m, err);
	close_window(m);
	return r;
}

/* The memory of a stopped instance is its saved state. */
static int take_saved_memory(struct making *m, struct json *files, struct json *manifest, struct err *err)
{
	autofree char *images = instance_path(m->in, SAVED_STATE "/checkpoint"),
		      *spec = instance_path(m->in, SAVED_STATE "/spec.dump");
	AUTO(saved_done) struct saved saved = { 0 };
	autofree char *text = NULL;
	int r;

	r = saved_read(m->in, SAVED_STATE, &saved, err);
	if (r == 0)
		r = saved_verify(m->in, &saved, /* is_pages= */ false, err);
	if (r == 0)
		r = saved_verify(m->in, &saved, /* is_pages= */ true, err);
	if (r == 0)
		r = manifest_take_images(m->folder, images, NULL, NULL, files, m->op, &m->memory_bytes, err);
	if (r == 0)
		r = file_read(spec, SPEC_MAX, &text, NULL, err);
	if (r == 0)
		r = manifest_take_text(m->folder, "spec.dump", text, files, err);
	if (r < 0)
		return r;
	m->processes = saved.info.processes;
	m->was_paused = saved.was_paused;
	json_set_bool(manifest, "has_tty", saved.has_tty);
	json_set_bool(manifest, "has_stdin", saved.has_stdin);
	json_set_bool(manifest, "tcp_established", saved.tcp_established);
	json_set_bool(manifest, "file_locks", saved.file_locks);
	json_set(manifest, "affinity", json_copy(json_get(saved.manifest, "affinity")));
	return 0;
}

/* CRIU's own figures, which other tools want to see. */
static int take_stats(const struct making *m, struct json *files, struct err *err)
{
	autofree char *from = path_join(m->memory.work, STATS), *to = path_join(m->folder, STATS), *data = NULL;
	size_t len;
	int r;

	if (!path_exists(from))
		return 0;
	r = file_read(from, STATS_MAX, &data, &len, err);
	if (r == 0)
		r = file_write_whole(to, data, len, 0600, err);
	return r == 0 ? manifest_take_file(m->folder, STATS, files, err) : r;
}

static int take_live_memory(struct making *m, struct json *files, struct json *manifest, struct err *err)
{
	autofree char *spec = instance_bundle_path(m->in, "config.json"), *text = NULL;
	int r;

	r = manifest_take_images(m->folder, m->memory.is_in_memory ? m->memory.images : NULL, m->stdio.descriptors,
				 NULL, files, m->op, &m->memory_bytes, err);
	if (r == 0)
		r = file_read(spec, SPEC_MAX, &text, NULL, err);
	if (r == 0)
		r = manifest_take_text(m->folder, "spec.dump", text, files, err);
	if (r == 0)
		r = take_stats(m, files, err);
	if (r < 0)
		return r;
	json_set_bool(manifest, "has_tty", m->stdio.has_tty);
	json_set_bool(manifest, "has_stdin", m->stdio.has_stdin);
	json_set_bool(manifest, "tcp_established", m->memory.tcp_established);
	json_set_bool(manifest, "file_locks", m->memory.file_locks);
	json_set(manifest, "affinity", json_copy(m->affinity));
	return 0;
}

static struct json *phases(const struct checkpoint_phases *p)
{
	struct json *o = json_new_object();

	json_set_int(o, "prepare_us", (int64_t)p->prepare);
	json_set_int(o, "freeze_us", (int64_t)p->freeze);
	json_set_int(o, "dump_us", (int64_t)p->dump);
	json_set_int(o, "capture_us", (int64_t)p->capture);
	json_set_int(o, "paused_us", (int64_t)p->paused);
	json_set_int(o, "copy_us", (int64_t)p->copy);
	json_set_int(o, "digest_us", (int64_t)p->digest);
	json_set_int(o, "sync_us", (int64_t)p->sync);
	json_set_int(o, "total_us", (int64_t)p->total);
	return o;
}

static void describe(const struct making *m, struct json *o)
{
	const struct instance *in = m->in;
	struct json *instance = json_new_object();
	const char *criu, *crun;
	char when[CLOCK_RFC3339_SIZE];

	host_versions(in->engine, &criu, &crun);
	json_set_str(o, "kind", "checkpoint");
	json_set_str(o, "uuid", m->uuid);
	json_set_str(o, "name", m->name);
	json_set_str(o, "description", m->o->description);
	json_set_str(o, "created_at", clock_rfc3339(clock_real_us(), when));
	if (m->o->expires_us)
		json_set_str(o, "expires_at", clock_rfc3339(m->o->expires_us, when));
	json_set_str(instance, "uuid", in->row.uuid);
	json_set_str(instance, "name", in->row.name);
	json_set_str(instance, "image", in->row.image);
	json_set_bool(instance, "ephemeral", in->row.is_ephemeral);
	json_set(instance, "config", json_new_strv(in->row.config));
	json_set(o, "instance", instance);
	json_set(o, "versions", manifest_versions(criu, crun));
	json_set_bool(o, "has_memory", m->has_memory);
	json_set_bool(o, "was_running", m->is_up);
	json_set_bool(o, "was_paused", m->was_paused);
	json_set_int(o, "processes", m->processes);
	json_set_int(o, "bytes", (int64_t)m->memory_bytes);
	json_set(o, "phases", phases(&m->phases));
}

/* From here on the container runs: take all the time that safety needs. */
static int commit(struct making *m, struct json *files, struct json *manifest, struct err *err)
{
	uint64_t began = clock_mono_us();
	int r = 0;

	if (m->has_memory)
		r = m->is_up ? take_live_memory(m, files, manifest, err) : take_saved_memory(m, files, manifest, err);
	m->phases.copy = clock_mono_us() - began;
	began = clock_mono_us();
	if (r == 0)
		r = files_describe(m->files, files, manifest, m->op, err);
	m->phases.digest = clock_mono_us() - began;
	began = clock_mono_us();
	operation_progress(m->op, "checkpoint_progress", "Syncing to disk");
	if (r == 0)
		r = file_sync_fs(m->folder, err);
	m->phases.sync = clock_mono_us() - began;
	m->phases.total = clock_mono_us() - m->began_us;
	describe(m, manifest);
	FAULT("checkpoint.copied", err);
	return r;
}

static int conclude(struct making *m, struct err *err)
{
	AUTO(json_free) struct json *manifest = json_new_object(), *files = json_new_array();
	int r = commit(m, files, manifest, err);

	if (r == 0)
		r = manifest_write(m->folder, manifest, TAKE_PTR(files), err);
	if (r == 0)
		r = operation_commit(m->op, err);
	if (r == 0)
		r = file_sync_fs(m->folder, err);
	return r == 0 ? checkpoint_commit(m->in->engine, m->uuid, err) : r;
}

static int make(struct making *m, struct err *err)
{
	int64_t journal;
	int r = prepare(m, err);

	if (r < 0)
		return r;
	if (m->is_up) {
		r = journal_begin(m->in->engine->db, "checkpoint", m->in->row.uuid,
				  freezer_is_frozen(&m->in->cg) ? "paused" : "", &journal, err);
		if (r < 0)
			return r;
		r = m->has_memory ? dump(m, err) : capture_frozen(m, err);
		(void)journal_end(m->in->engine->db, journal, NULL);
	} else {
		m->frozen_at_us = clock_mono_us();
		r = capture(m, err);
	}
	return r < 0 ? r : conclude(m, err);
}

int checkpoint_create(struct instance *in, const struct checkpoint_options *o, struct operation *op,
		      char ret_uuid[UUID_SIZE], struct err *err)
{
	AUTO(making_done) struct making m = { .in = in, .op = op, .o = o, .window = WINDOW_CLOSED };
	int r;

	m.began_us = clock_mono_us();
	m.is_up = instance_is_up(in);
	m.has_memory = !o->is_stateless && (m.is_up || in->state.exists);
	r = make(&m, err);
	if (r < 0) {
		if (m.folder)
			(void)manifest_remove_folder(m.folder, NULL);
		(void)err_wrap(err, r, "cannot checkpoint '%s'", in->row.name);
		instance_note(in, "%s", err ? err->text : "a checkpoint failed");
		return r;
	}
	instance_note(in, "checkpoint %s (%s): paused %llu ms: dump %llu, files %llu", m.name, m.uuid,
		      (unsigned long long)(m.phases.paused / US_PER_MS),
		      (unsigned long long)(m.phases.dump / US_PER_MS),
		      (unsigned long long)(m.phases.capture / US_PER_MS));
	(void)memcpy(ret_uuid, m.uuid, UUID_SIZE);
	return 0;
}
