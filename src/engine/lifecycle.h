/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* lifecycle.h - what can be done to a claimed instance */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/instance.h"

/* Starts: resumes a paused one, restores a saved state if there is one, boots otherwise. @is_stateless boots fresh and
 * discards a saved state once that boot has succeeded. A running one is -EEXIST. */
int lifecycle_start(struct instance *in, bool is_stateless, struct operation *op, struct err *err);

/* Stops: the image's or stop.signal's signal, then SIGKILL after @timeout_us (0: the instance's stop.timeout);
 * @is_forced kills at once. */
int lifecycle_stop(struct instance *in, uint64_t timeout_us, bool is_forced, struct operation *op, struct err *err);

/* The same in the middle of something: it is to start again, and an ephemeral instance stays. */
int lifecycle_stop_for_now(struct instance *in, struct err *err);

/* Writes the running state to disk and stops (doc/design.md, Stateful stop). On failure the container runs on. */
int lifecycle_stop_stateful(struct instance *in, struct operation *op, struct err *err);

/* Stop and start again; with @is_stateful through a saved state. */
int lifecycle_restart(struct instance *in, uint64_t timeout_us, bool is_forced, bool is_stateful, struct operation *op,
		      struct err *err);

int lifecycle_pause(struct instance *in, struct err *err);
int lifecycle_resume(struct instance *in, struct err *err);

/* Removes the instance with its root file system, saved state and logs. A running one is -EBUSY unless @is_forced. */
int lifecycle_delete(struct instance *in, bool is_forced, struct operation *op, struct err *err);

/* The pre-flight: what would make a checkpoint fail or lose something. */
struct obstacle {
	pid_t pid;	/* in the container's pid namespace; 0 for the instance as a whole */
	char *command;	/* the process's name */
	char *resource; /* "file descriptor 5: anon_inode:[io_uring]" */
	char *remedy;	/* what to do */
	bool is_fatal;	/* false: a warning, the checkpoint works but loses this */
};
struct check_report {
	struct obstacle *obstacles;
	size_t n_obstacles;
	int64_t processes, threads;
	uint64_t memory_bytes; /* a dump needs about this much */
};
/* Does not need a claim; the instance must be running. */
int lifecycle_check(struct engine *e, const char *name, struct check_report **ret, struct err *err);
void check_report_free(struct check_report *r);
AUTO_DEFINE(struct check_report *, check_report_free)
