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
 * cancelled meanwhile), user.fake.fail=<text> makes it fail.
 */
#include "base/list.h"
#include "base/sync.h"
#include "engine/engine.h"

struct fake {
	struct engine *engine;
	struct mutex mutex; /* guards the lists and what is in them */
	struct list instances;
	struct list images;
	char **volumes; /* their names */
	char *log_dir;
};

struct fake *fake_of(struct engine *e);

/* instance.c, image.c */
void fake_instances_done(struct fake *f);
void fake_images_init(struct fake *f);
void fake_images_done(struct fake *f);

/* Where an instance's output.log is; a heap string. */
char *fake_log_path(struct fake *f, const char *instance, const char *file);
