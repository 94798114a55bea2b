/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * checkpoints.h - what snapshots.c, checkpoints.c and the flows between instances and checkpoints share
 *
 * A snapshot is a checkpoint in LXD's words: both collections show the same things.
 */
#include <stdbool.h>
#include <stdint.h>

#include "api/request.h"
#include "engine/checkpoint.h"

struct instance_info;

/* ---- encode-checkpoint.c ----------------------------------------------------------------------------------------- */

/* All that is known, our way; @instance: as it is called now. The manifest comes only where somebody asks for this very
 * one. */
struct json *encode_checkpoint(const struct checkpoint_info *c, const char *instance, bool with_manifest);
struct json *encode_snapshot(const struct checkpoint_info *c);
/* The snapshots of one instance out of @all. */
struct json *encode_snapshots(struct checkpoint_info *const *all, const char *instance_uuid);

/* ---- take.c ------------------------------------------------------------------------------------------------------ */

/* RFC 3339, and not past; NULL, null, "" and LXD's year 1 give 0. -EINVAL names @name. */
int decode_expiry(const struct json *j, const char *name, uint64_t *ret_us, struct err *err);

/* Starts the operation that makes one of rq->args[0]; @o is copied. A busy instance is -EBUSY, a taken name -EEXIST. */
int take_start(struct request *rq, const struct checkpoint_options *o, struct reply *ret, struct err *err);

/* ---- checkpoints.c ----------------------------------------------------------------------------------------------- */

/* Starts the operation that deletes rq->args[1] of rq->args[0], which is -EBUSY while it is restored, say. */
int checkpoint_delete_start(struct request *rq, struct reply *ret, struct err *err);

/* ---- revert.c, copy.c, import.c ---------------------------------------------------------------------------------- */

/* PUT of an instance with {"restore": @which}. @stateful: NULL, null or a bool. */
int revert_start(struct request *rq, const char *which, const struct json *stateful, struct reply *ret,
		 struct err *err);

/* POST of an instance with {"source": {"type": "copy", …}}. */
struct copy {
	const char *source; /* "web" or "web/snap0" */
	const char *name, *description;
	const struct json *config;
	bool is_stateless, is_ephemeral, is_started, ignore_volumes;
};
int copy_start(struct request *rq, const struct copy *c, struct reply *ret, struct err *err);

/* POST of an instance whose body is an archive. */
int import_start(struct request *rq, struct reply *ret, struct err *err);
/* POST of an instance with {"source": {"type": "checkpoint-image", …}}. */
int import_image_start(struct request *rq, struct reply *ret, struct err *err);
