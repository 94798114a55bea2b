/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/saved.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "engine/manifest.h"
#include "engine/operation.h"
#include "engine/state.h"

#define SPEC_MAX (16 << 20)

static char *saved_path(const struct instance *in, const char *folder, const char *name)
{
	autofree char *rel = *name ? path_join(folder, name) : xstrdup(folder);

	return instance_path(in, rel);
}

int saved_begin(struct instance *in, struct err *err)
{
	autofree char *dir = saved_path(in, SAVED_NEW, "");
	autofree char *images = saved_path(in, SAVED_NEW, "checkpoint");
	int r;

	r = path_remove_all(dir, err);
	if (r == 0)
		r = path_mkdirs(images, 0700, err);
	return r < 0 ? err_wrap(err, r, "cannot prepare the saved state") : 0;
}

static struct json *phases(const struct saved_state_info *info, const struct saved_facts *facts)
{
	struct json *o = json_new_object();

	json_set_int(o, "freeze_us", (int64_t)facts->freeze_us);
	json_set_int(o, "dump_us", (int64_t)info->dump_us);
	json_set_int(o, "copy_us", (int64_t)info->copy_us);
	return o;
}

static struct json *describe(const struct instance *in, const struct saved_facts *facts,
			     const struct saved_state_info *info)
{
	struct json *m = json_new_object(), *instance = json_new_object();
	char when[CLOCK_RFC3339_SIZE];

	json_set_str(m, "kind", "saved-state");
	json_set_str(m, "uuid", info->uuid);
	json_set_str(m, "created_at", clock_rfc3339(info->created_us, when));
	json_set_str(instance, "uuid", in->row.uuid);
	json_set_str(instance, "name", in->row.name);
	json_set_str(instance, "image", in->row.image);
	json_set(instance, "config", json_new_strv(in->row.config));
	json_set(m, "instance", instance);
	json_set(m, "versions", manifest_versions(facts->criu_version, facts->crun_version));
	json_set_bool(m, "was_paused", facts->was_paused);
	json_set_bool(m, "has_tty", facts->has_tty);
	json_set_bool(m, "has_stdin", facts->has_stdin);
	json_set_bool(m, "tcp_established", facts->tcp_established);
	json_set_bool(m, "file_locks", facts->file_locks);
	json_set_int(m, "processes", info->processes);
	json_set_int(m, "bytes", (int64_t)info->bytes);
	json_set(m, "affinity", json_copy(facts->affinity));
	json_set(m, "phases", phases(info, facts));
	return m;
}

static int take_spec(const struct instance *in, const char *folder, struct json *files, struct err *err)
{
	autofree char *path = instance_bundle_path(in, "config.json");
	autofree char *text = NULL;
	int r = file_read(path, SPEC_MAX, &text, NULL, err);

	return r < 0 ? r : manifest_take_text(folder, "spec.dump", text, files, err);
}

int saved_sync(const struct instance *in, struct err *err)
{
	autofree char *path = instance_path(in, "");

	/* not only our files: what the container wrote before belongs to the same instant */
	return file_sync_fs(path, err);
}

int saved_fill(struct instance *in, const struct saved_facts *facts, const char *memory_dir, const char *stdio,
	       struct operation *op, struct saved_state_info *ret_info, struct err *err)
{
	struct saved_state_info info = {
		.exists = true, .created_us = clock_real_us(), .dump_us = facts->dump_us, .processes = facts->processes
	};
	autofree char *folder = saved_path(in, SAVED_NEW, "");
	struct json *files = json_new_array(); /* goes into the manifest */
	AUTO(json_free) struct json *m = NULL;
	uint64_t began = clock_mono_us();
	int r;

	uuid_new(info.uuid);
	/* crun notes where stdio goes when it restores, wrongly if the program has redirected it: ours is what conmon
	 * gave */
	r = manifest_take_images(folder, memory_dir, stdio, facts->taken, files, op, &info.bytes, err);
	if (r == 0)
		r = take_spec(in, folder, files, err);
	info.copy_us = clock_mono_us() - began;
	m = describe(in, facts, &info);
	if (r < 0)
		json_free(files);
	else
		r = manifest_write(folder, m, files, err);
	if (r < 0)
		return err_wrap(err, r, "cannot save the state");
	FAULT("stop.copied", err);
	operation_progress(op, "checkpoint_progress", "Syncing to disk");
	began = clock_mono_us();
	r = saved_sync(in, err);
	if (r < 0)
		return r;
	info.sync_us = clock_mono_us() - began;
	info.frozen_us = clock_mono_us() - facts->frozen_at_us;
	*ret_info = info;
	return 0;
}

static int rename_folder(const struct instance *in, const char *from, const char *to, struct err *err)
{
	autofree char *a = saved_path(in, from, ""), *b = saved_path(in, to, ""), *parent = instance_path(in, "");

	if (rename(a, b) < 0)
		return err_sys(err, "cannot rename '%s' to '%s'", a, path_base(b));
	return file_sync_dir(parent, err);
}

int saved_commit(struct instance *in, struct err *err)
{
	return rename_folder(in, SAVED_NEW, SAVED_STATE, err);
}

int saved_use(struct instance *in, struct err *err)
{
	return rename_folder(in, SAVED_STATE, SAVED_USED, err);
}

int saved_unuse(struct instance *in, struct err *err)
{
	return rename_folder(in, SAVED_USED, SAVED_STATE, err);
}

static int remove_folder(struct instance *in, const char *folder, struct err *err)
{
	autofree char *path = saved_path(in, folder, "");

	return manifest_remove_folder(path, err);
}

int saved_remove_previous(struct instance *in, struct err *err)
{
	const struct saved_state_info none = { 0 };
	int r = remove_folder(in, SAVED_USED, err);

	if (r == 0)
		instance_set_states(in, NULL, &none);
	return r;
}

void saved_sweep(struct instance *in)
{
	static const char *const folders[] = { SAVED_STATE, SAVED_USED };

	(void)remove_folder(in, SAVED_NEW, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		autofree char *manifest = saved_path(in, folders[i], MANIFEST_NAME);

		if (!path_exists(manifest))
			(void)remove_folder(in, folders[i], NULL);
	}
}

static void read_info(const struct json *m, struct saved_state_info *info)
{
	const char *created = json_get_str(m, "created_at"), *uuid = json_get_str(m, "uuid");

	*info = (struct saved_state_info){ .exists = true };
	(void)snprintf(info->uuid, sizeof(info->uuid), "%s", uuid ? uuid : "");
	if (created)
		(void)clock_parse_rfc3339(created, &info->created_us);
	info->bytes = (uint64_t)json_get_int(m, "bytes", 0);
	info->processes = json_get_int(m, "processes", 0);
	info->dump_us = (uint64_t)json_int(json_at(m, "/phases/dump_us"), 0);
	info->copy_us = (uint64_t)json_int(json_at(m, "/phases/copy_us"), 0);
}

int saved_read(const struct instance *in, const char *folder, struct saved *ret, struct err *err)
{
	autofree char *path = saved_path(in, folder, "");
	AUTO(json_free) struct json *m = NULL;
	int r = manifest_read(path, &m, err);

	if (r == 0 && !str_eq(json_str(json_at(m, "/instance/uuid")), in->row.uuid))
		r = err_set(err, -EUCLEAN, "it belongs to another instance");
	if (r < 0)
		return err_wrap(err, r, "the saved state cannot be used");
	read_info(m, &ret->info);
	ret->was_paused = json_get_bool(m, "was_paused", false);
	ret->has_tty = json_get_bool(m, "has_tty", false);
	ret->has_stdin = json_get_bool(m, "has_stdin", false);
	ret->tcp_established = json_get_bool(m, "tcp_established", true);
	ret->file_locks = json_get_bool(m, "file_locks", true);
	ret->manifest = TAKE_PTR(m);
	return 0;
}

void saved_done(struct saved *s)
{
	json_free(s->manifest);
	s->manifest = NULL;
}

int saved_verify(const struct instance *in, const struct saved *s, bool is_pages, struct err *err)
{
	autofree char *path = saved_path(in, SAVED_STATE, "");
	int r = manifest_verify(path, s->manifest, is_pages ? MANIFEST_PAGES : MANIFEST_ALL_BUT_PAGES, err);

	return r < 0 ? err_wrap(err, r, "the saved state is damaged") : 0;
}

void saved_refresh(struct instance *in)
{
	AUTO(saved_done) struct saved state = { 0 };
	AUTO(saved_done) struct saved used = { 0 };
	autofree char *manifest = saved_path(in, SAVED_STATE, MANIFEST_NAME);

	if (saved_read(in, SAVED_STATE, &state, NULL) < 0)
		state.info = (struct saved_state_info){ .exists = path_exists(manifest) }; /* damaged, but not gone */
	if (saved_read(in, SAVED_USED, &used, NULL) < 0)
		used.info = (struct saved_state_info){ 0 };
	instance_set_states(in, &state.info, &used.info);
}
