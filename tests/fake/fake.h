/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * fake.h - an engine without containers, for the tests of src/api/
 *
 * It implements what src/engine/ declares and the api calls: instances and images are rows in memory, exec runs the
 * command on the host, a console echoes. operation.c, config.c and settings.c are the real ones. That the api works on
 * the real engine is shown by tests/e2e.
 *
 * An instance is told how to behave by its configuration: user.fake.delay=500ms makes each step take so long (it can be
 * cancelled meanwhile), user.fake.fail=<text> makes it fail. user.fake.export=<bytes> is how large its archives are;
 * with user.fake.broken=true their last half is missing, and the operation fails.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "base/sync.h"
#include "engine/engine.h"

struct fake {
	struct engine *engine;
	struct mutex mutex; /* guards the lists and what is in them */
	struct list instances;
	struct list images;
	struct list checkpoints;
	char **volumes; /* their names */
	char *log_dir;
};

struct fake *fake_of(struct engine *e);

/* instance.c, image.c, checkpoint.c */
void fake_instances_done(struct fake *f);
void fake_checkpoints_done(struct fake *f);
void fake_checkpoints_delete_locked(struct fake *f, const char *instance);
void fake_images_init(struct fake *f);
void fake_images_done(struct fake *f);

/* One step of a claimed instance, as long and as well as its user.fake.* say. */
struct instance;
struct operation;
int fake_step(struct instance *in, struct operation *op, struct err *err);
struct fake *fake_of_instance(struct instance *in);
const char *fake_instance_config(struct fake *f, const char *name, const char *key, char *buf, size_t size);
/* It runs, it is stopped; with a saved state or without. */
void fake_instance_become(struct instance *in, bool is_running, bool has_state);

/* Where an instance's output.log is; a heap string. */
char *fake_log_path(struct fake *f, const char *instance, const char *file);
