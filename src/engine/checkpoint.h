/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * checkpoint.h - an instance at one instant, as one thing: memory, root file system, volumes
 *
 * Whatever it is made for (live checkpoint, snapshot, export, clone), it is a folder STATE_DIR/checkpoints/UUID/:
 * checkpoint/ (CRIU's images; absent in a stateless one), spec.dump, upper/ (the captured root file system),
 * volumes/NAME/, upper.sums and NAME.sums (one line an entry), and stasis.json, written last. A snapshot is a
 * checkpoint with a name of its own under its instance; others are called by the name they are given or by the start of
 * their uuid.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "base/uuid.h"
#include "engine/engine.h"
#include "engine/instance.h"

struct operation;
struct json;

/* Letters, digits, ".", "_" and "-", at most 63, not beginning with "." or "-". */
int checkpoint_check_name(const char *name, struct err *err);

struct checkpoint_options {
	const char *name; /* unique within the instance; NULL: "snap0", "snap1", … */
	const char *description;
	bool is_stateless; /* files only; needs no CRIU, and no freezing of a stopped one */
	bool ignore_rootfs, ignore_volumes;
	uint64_t max_pause_us; /* give up, thaw and say so when the window is longer; 0: no limit */
	uint64_t expires_us;   /* real time; 0: never */
	int tcp_established;   /* 1 keep, 0 close, -1: what the instance's configuration says */
	int file_locks;	       /* likewise */
};

/*
 * checkpoint_create() - of a claimed instance that runs on (or stays paused, or stopped)
 *
 * A stopped instance is captured without memory; with a saved state its memory is part of the checkpoint. On failure
 * nothing is left and the instance is as it was.
 */
int checkpoint_create(struct instance *in, const struct checkpoint_options *o, struct operation *op,
		      char ret_uuid[UUID_SIZE], struct err *err);

/* What the phases took, for people and for --print-stats. Microseconds. */
struct checkpoint_phases {
	uint64_t prepare, freeze, dump, capture, paused /* freeze to thaw */, copy, digest, sync, total;
};
struct checkpoint_info {
	char uuid[UUID_SIZE];
	char *name, *instance, *instance_uuid, *image, *description;
	bool has_memory, was_paused;
	bool is_captured_by_reflink;
	uint64_t created_us, expires_us;
	uint64_t memory_bytes, rootfs_bytes, volume_bytes;
	char **volumes;
	int64_t processes;
	struct checkpoint_phases phases;
	struct json *manifest; /* all of it */
};
void checkpoint_info_free(struct checkpoint_info *c);
AUTO_DEFINE(struct checkpoint_info *, checkpoint_info_free)
void checkpoint_list_free(struct checkpoint_info **list);
AUTO_DEFINE(struct checkpoint_info **, checkpoint_list_free)

/* @instance: a name, or NULL for all; sorted by time; NULL-terminated. */
int checkpoint_list(struct engine *e, const char *instance, struct checkpoint_info ***ret, struct err *err);
/* @which: its name or uuid (or a unique start of the uuid of at least 6 digits). -ENOENT. */
int checkpoint_find(struct engine *e, const char *instance, const char *which, struct checkpoint_info **ret,
		    struct err *err);
int checkpoint_delete(struct engine *e, const char *instance, const char *which, struct err *err);
int checkpoint_rename(struct engine *e, const char *instance, const char *which, const char *new_name, struct err *err);
/* 0: never. */
int checkpoint_set_expiry(struct engine *e, const char *instance, const char *which, uint64_t expires_us,
			  struct err *err);
/* Deletes what has expired, and gives the time (real) when the next one does; UINT64_MAX: never. */
uint64_t checkpoint_expire(struct engine *e);

/*
 * checkpoint_restore() - the claimed instance becomes what it was at that instant
 *
 * With memory it runs (or is paused) afterwards; @is_stateless brings the files back only, and it is stopped or, if it
 * ran, booted again. Never a mixture: if it fails, the instance is as it was before, running included.
 */
int checkpoint_restore(struct instance *in, const char *which, bool is_stateless, struct operation *op,
		       struct err *err);

/* The values of enum bundle_compression. */
enum checkpoint_compression { CHECKPOINT_ZSTD, CHECKPOINT_GZIP, CHECKPOINT_NONE };

struct export_options {
	int compression; /* enum checkpoint_compression */
	bool ignore_rootfs, ignore_volumes;
};
/* Writes an archive to @fd, which is the caller's (a file beside the target, to be renamed; or a pipe). */
int checkpoint_export(struct engine *e, const char *instance, const char *which, const struct export_options *o, int fd,
		      struct operation *op, struct err *err);

struct import_options {
	const char *name; /* of the new instance; NULL: the archive's */
	bool ignore_rootfs, ignore_volumes;
	bool is_stopped;   /* do not continue it: it keeps the memory as its saved state */
	bool is_stateless; /* the files only: the memory is left out, it is stopped */
	const char *image; /* that it was made from, for archives that do not tell; NULL: what the archive says */
};
/*
 * checkpoint_import() - an archive becomes a new instance, which continues
 *
 * All or nothing. On success *ret is claimed. @fd is read from its start. A second import of the same archive is a
 * clone: own name, uuid and disk.
 */
int checkpoint_import(struct engine *e, int fd, const struct import_options *o, struct operation *op,
		      struct instance **ret, struct err *err);

/* A new instance from a checkpoint of an existing one, as if exported and imported. */
int checkpoint_clone(struct engine *e, const char *instance, const char *which, const struct import_options *o,
		     struct operation *op, struct instance **ret, struct err *err);

struct image_push_options {
	const char *reference; /* docker://HOST/NAME:TAG, oci:/FOLDER:TAG, oci-archive:/FILE, containers-storage:NAME */
	bool is_insecure;      /* plain HTTP or an unknown certificate will do */
	struct export_options archive; /* Podman takes gzip only */
};
/*
 * checkpoint_push() - a checkpoint as an OCI image, whose only layer is the archive
 *
 * All or nothing: nothing is seen at the reference before it is whole. What is there of a file or tag is replaced.
 */
int checkpoint_push(struct engine *e, const char *instance, const char *which, const struct image_push_options *o,
		    struct operation *op, struct err *err);
/* The way back: as checkpoint_import(). -EINVAL says that the image is not a checkpoint. */
int checkpoint_pull(struct engine *e, const char *reference, bool is_insecure, const struct import_options *o,
		    struct operation *op, struct instance **ret, struct err *err);
