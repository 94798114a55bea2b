/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * crun.h - command lines of the OCI runtime
 *
 * crun is never given --root: with it, crun 1.24 to 1.28 cannot restore masked folders (containers/crun pull request
 * 2239). Its state folder comes from XDG_RUNTIME_DIR in tools.env.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "runtime/cgroup.h"
#include "runtime/tools.h"

int crun_start(const struct tools *t, const char *uuid, struct err *err);
/* -ESRCH when there is nothing to signal. */
int crun_kill(const struct tools *t, const char *uuid, int signal, struct err *err);
/* `delete --force`: also what a failed restore left; missing is fine. */
int crun_delete(const struct tools *t, const char *uuid, struct err *err);

/* external_descriptors of a container that was just created: where its stdio goes, a heap string (JSON array of three).
 */
int crun_stdio_of_created(const char *run_dir, const char *uuid, char **ret, struct err *err);

struct crun_checkpoint {
	const char *image_dir; /* empty and ours */
	const char *work_dir;  /* dump.log and stats-dump appear here */
	char *const *env;      /* tools.env and what the hook needs */
	bool leave_running;
	bool tcp_established, file_locks;
	uint64_t timeout_us; /* then the dump cgroup is killed */
	uint64_t log_cap;    /* bytes of dump.log */
};

/*
 * crun_checkpoint() - dump a container whose cgroup is frozen
 *
 * Runs crun and criu in the instance's dump cgroup. CRIU calls our hook when the images are complete and before
 * anything is killed or resumed; the hook's answer decides (guard/hook.c). Returns when criu has ended. On failure the
 * container lives; the log says why (criu_explain()).
 */
int crun_checkpoint(const struct tools *t, const char *uuid, const struct crun_checkpoint *cp, const struct cgroup *cg,
		    struct err *err);

/* argv of `crun exec`, to be run by the caller. */
struct crun_exec {
	char *const *command, *const *env;
	const char *cwd;
	int64_t uid, gid; /* -1: the container's */
	bool has_tty;
};
char **crun_exec_argv(const struct tools *t, const char *uuid, const struct crun_exec *ex, const char *pidfile);
