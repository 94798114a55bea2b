/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* checkpoint-folder.h - the folders of checkpoints on disk; for files of src/engine/ only */
#include "base/err.h"
#include "engine/checkpoint.h"

/* STATE_DIR/checkpoints/UUID, or …/UUID/NAME; heap strings. UUID.new is being written. */
char *checkpoint_path(const struct engine *e, const char *uuid, const char *name);
char *checkpoint_new_path(const struct engine *e, const char *uuid);

/* UUID.new becomes UUID: the checkpoint exists. */
int checkpoint_commit(struct engine *e, const char *uuid, struct err *err);

struct instance;
struct json;

/* The memory in the checkpoint @folder, whose manifest is @checkpoint, becomes in's saved state; verifying it is the
 * start's affair. */
int checkpoint_make_state(struct instance *in, const char *folder, const struct json *checkpoint, struct err *err);

/* At start-up: removes what was not finished. */
void checkpoint_sweep(struct engine *e);
/* With its instance. */
int checkpoint_delete_all(struct engine *e, const char *instance_uuid, struct err *err);

/* How Podman calls the image: lower case, with a registry and a tag. A new string. */
struct image_info;
char *checkpoint_image_reference(const struct image_info *image);
