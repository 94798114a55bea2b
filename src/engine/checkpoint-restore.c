/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint-restore.c - go back to a checkpoint, or make another instance of it
 *
 * Going back: verify → copy the files beside → stop what runs, with its state (so that it can come back) → swap the
 * files → continue from the checkpoint's memory → forget the old. Whatever fails, the old files come back, and the old
 * memory with them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/checkpoint-folder.h"
#include "engine/checkpoint.h"
#include "engine/create.h"
#include "engine/extras.h"
#include "engine/host.h"
#include "engine/lifecycle.h"
#include "engine/manifest.h"
#include "engine/operation.h"
#include "engine/saved.h"
#include "engine/state.h"
#include "engine/stateful.h"
#include "engine/swap.h"
#include "engine/volume.h"
#include "image/capture.h"

struct going_back {
	struct instance *in;
	struct operation *op;
	struct checkpoint_info *c;
	char *folder;
	bool with_memory, with_rootfs;
	bool was_up, was_saved; /* what ran before, and whether its memory is kept for a way back */
};

static void going_back_done(struct going_back *g)
{
	checkpoint_info_free(g->c);
	free(g->folder);
}
AUTO_DEFINE_IN(struct going_back, going_back_done)

/* A captured tree is what it was when it was captured: its listing has the digest that the manifest names. */
static int verify_tree(const char *folder, const char *tree, const struct json *stats, struct err *err)
{
	autofree char *path = path_join(folder, tree), *listing = path_join(folder, ".verify");
	char digest[DIGEST_HEX_SIZE];
	int r = capture_digest(path, listing, /* content= */ true, digest, err);

	(void)unlink(listing);
	if (r == 0 && !str_eq(digest, json_get_str(stats, "sums")))
		return err_set(err, -EUCLEAN, "%s is not as it was captured", tree);
	return r;
}

static int verify_trees(const char *folder, const struct json *manifest, struct err *err)
{
	int r = 0;

	if (json_get(manifest, "rootfs"))
		r = verify_tree(folder, "upper", json_get(manifest, "rootfs"), err);
	if (r == 0 && json_get(manifest, "shm"))
		r = verify_tree(folder, "shm", json_get(manifest, "shm"), err);
	for (struct json_iter it = json_iter(json_get(manifest, "volumes")); r == 0 && json_next(&it);) {
		autofree char *tree = path_join("volumes", it.key);

		r = verify_tree(folder, tree, it.value, err);
	}
	return r;
}

static int verify(const char *folder, const struct json *manifest, struct operation *op, struct err *err)
{
	int r;

	operation_progress(op, "restore_progress", "Verifying");
	r = manifest_verify(folder, manifest, MANIFEST_ALL_BUT_PAGES, err);
	if (r == 0)
		r = manifest_verify(folder, manifest, MANIFEST_PAGES, err);
	if (r == 0)
		r = verify_trees(folder, manifest, err);
	return r < 0 ? err_wrap(err, r, "the checkpoint is damaged") : 0;
}

static int copy_beside(const char *from, char *target, struct err *err)
{
	autofree char *new = xasprintf("%s.new", target);
	struct capture_stats stats;
	int r = path_remove_all(new, err);

	free(target);
	return r == 0 ? capture_copy(from, new, &stats, err) : r;
}

/* Volumes that somebody else is writing to cannot go back in time. */
static int check_volumes(const struct going_back *g, struct err *err)
{
	for (size_t i = 0; g->c->volumes && g->c->volumes[i]; i++) {
		AUTO(volume_info_free) struct volume_info *v = NULL;
		int r = volume_find(g->in->engine, g->c->volumes[i], /* live= */ false, &v, err);

		if (r < 0)
			return err_wrap(err, r, "volume '%s' of the checkpoint", g->c->volumes[i]);
		for (size_t u = 0; v->users && v->users[u]; u++) {
			autofree char *user = xstrndup(v->users[u], strcspn(v->users[u], ":"));
			AUTO(instance_info_free) struct instance_info *info = NULL;

			if (!str_eq(user, g->in->row.name) &&
			    instance_info(g->in->engine, user, /* live= */ false, &info, NULL) == 0 && info->pid)
				return err_set(err, -EBUSY, "volume '%s' is in use by '%s', which runs",
					       g->c->volumes[i], user);
		}
	}
	return 0;
}

static int copy_files(struct going_back *g, struct err *err)
{
	autofree char *upper = path_join(g->folder, "upper"), *shm = path_join(g->folder, "shm");
	int r = 0;

	operation_progress(g->op, "restore_progress", "Copying files");
	if (g->with_rootfs)
		r = copy_beside(upper, instance_path(g->in, "upper"), err);
	if (r == 0 && json_get(g->c->manifest, "shm"))
		r = copy_beside(shm, instance_path(g->in, EXTRAS_SHM), err);
	for (size_t i = 0; r == 0 && g->c->volumes && g->c->volumes[i]; i++) {
		autofree char *from = xasprintf("%s/volumes/%s", g->folder, g->c->volumes[i]);

		r = copy_beside(from, volume_path(g->in->engine, g->c->volumes[i]), err);
	}
	return r;
}

/* What runs is stopped with its state: if the way back leads nowhere, it goes on from there. */
static int put_aside(struct going_back *g, struct err *err)
{
	int r;

	g->was_up = instance_is_up(g->in);
	if (!g->was_up)
		return 0;
	operation_progress(g->op, "restore_progress", "Stopping");
	r = stateful_stop(g->in, NULL, err);
	g->was_saved = r == 0;
	if (r == -EINVAL && !g->with_memory) /* it cannot be saved; its files can still go back, and it boots again */
		return lifecycle_stop_for_now(g->in, err);
	return r < 0 ? err_wrap(err, r, "what runs now cannot be kept for the case that this fails") : 0;
}

static int come_up(struct going_back *g, struct err *err)
{
	int r;

	if (g->with_memory) {
		r = checkpoint_make_state(g->in, g->folder, g->c->manifest, err);
		return r == 0 && json_get_bool(g->c->manifest, "was_running", true) ? stateful_start(g->in, g->op, err)
										    : r;
	}
	saved_refresh(g->in);
	return g->was_up ? lifecycle_start(g->in, /* is_stateless= */ false, NULL, err) : 0;
}

/* The old files, and the old memory with them. */
static int come_back(struct going_back *g)
{
	struct err err = ERR_INIT;
	int r = swap_undo(g->in, &err);

	saved_refresh(g->in);
	if (r == 0 && g->was_up)
		r = lifecycle_start(g->in, /* is_stateless= */ false, NULL, &err);
	if (r < 0)
		instance_note(g->in, "cannot go back to what was before: %s", err.text);
	return r;
}

static int go_back(struct going_back *g, struct err *err)
{
	int r = put_aside(g, err);

	if (r < 0)
		return r;
	r = swap_begin(g->in, g->with_rootfs, g->c->volumes, err);
	saved_refresh(g->in);
	if (r == 0)
		r = come_up(g, err);
	if (r < 0) {
		if (come_back(g) < 0)
			(void)err_wrap(err, r, "the instance is stopped, its files are as they were");
		return r;
	}
	r = swap_commit(g->in, err);
	saved_refresh(g->in);
	return r;
}

static int prepare(struct going_back *g, const char *which, bool is_stateless, struct err *err)
{
	int r = checkpoint_find(g->in->engine, g->in->row.name, which, &g->c, err);

	if (r < 0)
		return r;
	g->folder = checkpoint_path(g->in->engine, g->c->uuid, "");
	g->with_memory = g->c->has_memory && !is_stateless;
	g->with_rootfs = json_get(g->c->manifest, "rootfs") != NULL;
	if (!g->with_rootfs)
		return err_set(err, -EINVAL,
			       "checkpoint '%s' holds no root file system: its memory belongs to files that are gone",
			       which);
	r = verify(g->folder, g->c->manifest, g->op, err);
	if (r == 0 && g->with_memory)
		r = host_can_checkpoint(g->in->engine, err);
	if (r == 0)
		r = check_volumes(g, err);
	return r == 0 ? copy_files(g, err) : r;
}

static void remove_copies(const struct going_back *g)
{
	autofree char *upper = instance_path(g->in, "upper.new"), *shm = instance_path(g->in, EXTRAS_SHM ".new");

	(void)path_remove_all(upper, NULL);
	(void)path_remove_all(shm, NULL);
	for (size_t i = 0; g->c && g->c->volumes && g->c->volumes[i]; i++) {
		autofree char *folder = volume_path(g->in->engine, g->c->volumes[i]),
			      *new = xasprintf("%s.new", folder);

		(void)path_remove_all(new, NULL);
	}
}

int checkpoint_restore(struct instance *in, const char *which, bool is_stateless, struct operation *op, struct err *err)
{
	AUTO(going_back_done) struct going_back g = { .in = in, .op = op };
	int r = prepare(&g, which, is_stateless, err);

	if (r == 0)
		r = go_back(&g, err);
	if (r < 0) {
		remove_copies(&g);
		(void)err_wrap(err, r, "cannot restore '%s' to '%s'", in->row.name, which);
		instance_note(in, "%s", err ? err->text : "a restore failed");
		return r;
	}
	instance_note(in, "restored to checkpoint %s", which);
	return 0;
}

struct cloning {
	const struct checkpoint_info *c;
	const char *folder;
	bool with_memory;
};

static int fill_clone(struct instance *in, void *ctx, struct err *err)
{
	const struct cloning *cl = ctx;
	autofree char *from = path_join(cl->folder, "upper"), *to = instance_path(in, "upper");
	struct capture_stats stats;
	int r = 0;

	if (path_exists(from))
		r = capture_copy(from, to, &stats, err);
	if (r == 0 && cl->with_memory)
		r = checkpoint_make_state(in, cl->folder, cl->c->manifest, err);
	return r;
}

/* Configuration as it was then; what is volatile is the new one's own affair. */
static char **config_of(const struct json *manifest)
{
	AUTO(strv_free) char **all = json_to_strv(json_at(manifest, "/instance/config"));
	char **config = NULL;

	for (size_t i = 0; all && all[i]; i++)
		if (!str_after(all[i], "volatile."))
			strv_add(&config, all[i]);
	return config;
}

int checkpoint_clone(struct engine *e, const char *instance, const char *which, const struct import_options *o,
		     struct operation *op, struct instance **ret, struct err *err)
{
	AUTO(checkpoint_info_free) struct checkpoint_info *c = NULL;
	AUTO(instance_row_done) struct instance_row row = { 0 };
	AUTO(instance_release) struct instance *in = NULL;
	autofree char *folder = NULL;
	struct cloning cloning;
	int r = checkpoint_find(e, instance, which, &c, err);

	if (r < 0)
		return r;
	folder = checkpoint_path(e, c->uuid, "");
	if (!json_get(c->manifest, "rootfs"))
		return err_set(err, -EINVAL, "checkpoint '%s' holds no root file system", which);
	if (c->volumes && !o->ignore_volumes)
		return err_set(
			err, -EINVAL,
			"checkpoint '%s' holds volumes, which a clone cannot share: --ignore-volumes leaves them out",
			which);
	r = verify(folder, c->manifest, op, err);
	if (r == 0)
		r = create_choose_name(e, o->name, &row.name, err);
	if (r < 0)
		return r;
	row.image = xstrdup(c->image);
	row.description = xstrdup("");
	row.config = config_of(c->manifest);
	cloning = (struct cloning){ .c = c, .folder = folder, .with_memory = c->has_memory && !o->is_stateless };
	r = create_from_row(e, &row, fill_clone, &cloning, &in, err);
	if (r < 0)
		return r;
	saved_refresh(in);
	if (cloning.with_memory && !o->is_stopped) {
		r = lifecycle_start(in, /* is_stateless= */ false, op, err);
		if (r < 0) {
			(void)lifecycle_delete(in, /* is_forced= */ true, NULL, NULL); /* all or nothing */
			return r;
		}
	}
	*ret = TAKE_PTR(in);
	return 0;
}
