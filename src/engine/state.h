/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* state.h - inside of `struct engine` and `struct instance`; for files of src/engine/ only */
#include <pthread.h>

#include "base/list.h"
#include "base/sync.h"
#include "engine/engine.h"
#include "engine/instance.h"
#include "store/db.h"
#include "store/instances.h"

struct operations; /* operation.c */
struct watcher;	   /* watch.c */
struct host;	   /* host.c: what was probed */

struct engine {
	struct settings settings;
	struct db *db;
	int lock_fd; /* flock on STATE_DIR/lock and RUN_DIR/lock */
	int run_lock_fd;
	struct mutex mutex;    /* guards instances and every struct instance's mutable fields; never held over I/O */
	struct list instances; /* struct instance.link */
	struct operations *operations;
	struct watcher *watcher;
	struct host *host;
};
