/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * engine.h - the daemon's state: opened once, closed once
 *
 * Everything in src/engine/ works on a `struct engine`. Functions that change an instance take it claimed (instance.h).
 * They block, report progress to an operation (which may be NULL) and run in that operation's thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "engine/settings.h"

struct engine;
struct json;

/*
 * engine_open() - take over the folders, mend what a crash left, adopt what runs
 *
 * One daemon for each state_dir and run_dir (-EBUSY names the other). Enters the private mount namespace (call it
 * before any thread is made). Copies @settings.
 */
int engine_open(const struct settings *settings, struct engine **ret, struct err *err);

/* Stops watching; containers run on. Waits for operations to end. */
void engine_close(struct engine *e);
AUTO_DEFINE(struct engine *, engine_close)

const struct settings *engine_settings(const struct engine *e);

/* What this host can do, proven: dumps and restores a process with a TCP connection (cached until criu or the kernel
 * change). */
struct host_info {
	bool can_checkpoint;
	char reason[480]; /* why not, and what to do; "" if it can */
	char criu_version[32], crun_version[32], conmon_version[32], kernel[96];
	char criu_path[256], crun_path[256];
	char cgroups[32];   /* "cgroup2" or "hybrid" (then the limits.* keys do not work) */
	char warnings[480]; /* e.g. CAP_SYS_RESOURCE missing; "" */
	uint64_t proof_us;  /* how long the proof took */
};
void engine_host_info(struct engine *e, struct host_info *ret);

/* Host shutdown: every running instance by its boot.host_shutdown_action, highest boot.stop.priority first, in parallel
 * inside one. */
struct operation;
int engine_shutdown(struct engine *e, struct operation *op, struct err *err);
/* Host boot: every instance with boot.autostart (or unset and running before), highest boot.autostart.priority first.
 * Idempotent. */
int engine_boot(struct engine *e, struct operation *op, struct err *err);

/*
 * engine_reset() - as a reboot would leave it
 *
 * Kills every container of this configuration, releases its namespaces, empties the run-time folder. What is in
 * state_dir stays. -EBUSY while a daemon works there. To be called before there are threads.
 */
int engine_reset(const struct settings *settings, struct err *err);
