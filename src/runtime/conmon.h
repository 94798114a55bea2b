/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * conmon.h - one conmon for each container: it holds the container's stdio and exit code and outlives the daemon
 *
 * Files in the bundle folder: pid (container's init), conmon.pid, exit (exit code, written when the container has
 * ended), attach (socket), ctl (fifo for terminal sizes).
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "runtime/cgroup.h"
#include "runtime/tools.h"

struct conmon_spec {
	const char *uuid, *name;
	const char *bundle; /* holds config.json */
	const char *log;    /* k8s-file */
	bool has_tty, has_stdin;
	const char *restore_from;   /* image folder: restore instead of create */
	char *const *restore_flags; /* for crun restore */
	char *const *env;	    /* tools.env and what the hook needs */
	uint64_t timeout_us;
	uint64_t log_cap; /* bytes of BUNDLE/restore.log beyond which the restore is ended */
};

/*
 * conmon_start() - start conmon in the instance's monitor cgroup and wait until the container is created or restored
 *
 * On failure everything that was started is killed (both cgroups) and the error is what crun said.
 */
int conmon_start(const struct tools *t, const struct conmon_spec *spec, const struct cgroup *cg, pid_t *ret_init,
		 struct err *err);

/* The pid in BUNDLE/conmon.pid if that process sits in the monitor cgroup; else -ESRCH. */
int conmon_find(const char *bundle, const struct cgroup *cg, pid_t *ret, struct err *err);
/* The pid in BUNDLE/pid if that process sits in the payload cgroup; else -ESRCH. */
int conmon_find_init(const char *bundle, const struct cgroup *cg, pid_t *ret, struct err *err);

/* Whether conmon has nothing under way: it has gone, or its runtime has ended and it watches the container. */
bool conmon_is_settled(const char *bundle, const struct cgroup *cg);

/* The exit code that conmon left; -ENOENT if there is none. */
int conmon_exit_code(const char *bundle, int *ret, struct err *err);

/* Where the container's stdio goes, as crun's descriptors.json wants it: read from the crun process that conmon runs. A
 * JSON array of three strings, a heap string. */
int conmon_stdio_of_runtime(const char *bundle, const struct cgroup *cg, char **ret, struct err *err);

/* Removes what conmon leaves in the bundle and what would stop the next one from starting. */
void conmon_clean(const char *bundle);
