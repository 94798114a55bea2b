/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * saved.h - the saved state of an instance: the one checkpoint that a stateful stop leaves
 *
 * STATE_DIR/instances/UUID/state.new    being written; rubbish at start-up
 *                          state        complete and synced: it exists exactly when the stop was committed
 *                          state.used   it was continued from, and has not proven itself yet; never used again
 *
 * Inside, as in Podman's archives: checkpoint/ (CRIU's images and descriptors.json), spec.dump (the OCI spec), and
 * stasis.json, our manifest with the size and SHA-256 of every file. Renaming a folder is the commit, both ways; no row
 * says the same.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "engine/instance.h"

struct operation;
struct json;

#define SAVED_NEW   "state.new"
#define SAVED_STATE "state"
#define SAVED_USED  "state.used"

/* What the flow knows and the manifest keeps. */
struct saved_facts {
	bool was_paused, has_tty, has_stdin, tcp_established, file_locks;
	int64_t processes;
	uint64_t frozen_at_us;	     /* monotonic; the frozen time is filled in from it */
	uint64_t freeze_us, dump_us; /* how long the phases took */
	const char *criu_version, *crun_version;
	const struct json *taken;    /* images that are in state.new already (follow.h); NULL: none */
	const struct json *affinity; /* of affinity_read() */
};

/* Makes an empty state.new with mode 0700. */
int saved_begin(struct instance *in, struct err *err);

/*
 * saved_fill() - everything but the commit
 *
 * Takes the images from @memory_dir (or, if NULL, finds them in state.new/checkpoint already), copies and digests them,
 * adds
 * @stdio as descriptors.json and the bundle's config.json as spec.dump, writes the manifest, and syncs the file system,
 * which holds the container's own files too. *ret_info is what instance_info() will say.
 */
int saved_fill(struct instance *in, const struct saved_facts *facts, const char *memory_dir, const char *stdio,
	       struct operation *op, struct saved_state_info *ret_info, struct err *err);

/* state.new becomes state: from here on the container's work is in the state, and nowhere else. */
int saved_commit(struct instance *in, struct err *err);

/* Writes through to the disk what the instance's folders hold. */
int saved_sync(const struct instance *in, struct err *err);

/* A state that was read: its manifest is sound and names only files inside. */
struct saved {
	struct json *manifest;
	struct saved_state_info info;
	bool was_paused, has_tty, has_stdin, tcp_established, file_locks;
};
int saved_read(const struct instance *in, const char *folder, struct saved *ret, struct err *err);
void saved_done(struct saved *s);
AUTO_DEFINE_IN(struct saved, saved_done)

/* Verifies files against the manifest: the names and sizes of all, the digests of those whose name begins with "pages-"
 * (@is_pages) or of all others. -EUCLEAN names the first file that is missing, added, or not what was written. */
int saved_verify(const struct instance *in, const struct saved *s, bool is_pages, struct err *err);

/* state becomes state.used (the commit point of a start), and back where nothing has run. */
int saved_use(struct instance *in, struct err *err);
int saved_unuse(struct instance *in, struct err *err);
int saved_remove_previous(struct instance *in, struct err *err);
/* state.new, and folders without a manifest. */
void saved_sweep(struct instance *in);
/* Reads what there is into in->state and in->previous; called at start-up and after every change. */
void saved_refresh(struct instance *in);
