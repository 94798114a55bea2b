/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * cgroup.h - the cgroup2 folders of an instance
 *
 * Below /sys/fs/cgroup: PARENT/UUID/payload holds the container (crun makes it), monitor holds conmon and what it
 * starts, dump holds crun and criu while they dump. Each can be ended as a whole with cgroup.kill. That a process is
 * ours is known by the cgroup it sits in: the uuid makes the path unique, so a reused pid is never mistaken.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum cgroup_part { CGROUP_PAYLOAD, CGROUP_MONITOR, CGROUP_DUMP, CGROUP_ALL };

struct cgroup {
	char *parent; /* settings.cgroup_parent */
	char *uuid;
};

/* "/sys/fs/cgroup/PARENT/UUID/payload", a heap string; cgroup_spec_path without the root, as OCI's cgroupsPath. */
char *cgroup_path(const struct cgroup *cg, enum cgroup_part part);
char *cgroup_spec_path(const struct cgroup *cg);
/* One of its files, "…/payload/cgroup.freeze". */
char *cgroup_file(const struct cgroup *cg, enum cgroup_part part, const char *file);

/* Makes the folder and what is above it. */
int cgroup_make(const struct cgroup *cg, enum cgroup_part part, struct err *err);
/* Kills what is left in it (with all below), waits at most 10 s, removes the folders. Missing is fine. */
int cgroup_remove(const struct cgroup *cg, enum cgroup_part part, struct err *err);
/* SIGKILL to all in it at once, frozen or not, and waits until it is empty: at most @timeout_us, then -ETIMEDOUT. */
int cgroup_kill(const struct cgroup *cg, enum cgroup_part part, uint64_t timeout_us, struct err *err);
int cgroup_attach(const struct cgroup *cg, enum cgroup_part part, pid_t pid, struct err *err);

/* Whether cgroup2 has the controllers for memory and pids; on a host with hybrid cgroups v1 holds them and limits are
 * not to be had. */
bool cgroup_has_controllers(void);

bool cgroup_exists(const struct cgroup *cg, enum cgroup_part part);
bool cgroup_is_populated(const struct cgroup *cg, enum cgroup_part part);
/* 1 when empty, 0 at the deadline. */
int cgroup_wait_empty(const struct cgroup *cg, enum cgroup_part part, uint64_t timeout_us);
bool cgroup_has_process(const struct cgroup *cg, enum cgroup_part part, pid_t pid);

/* All processes in it and below, a heap array. */
int cgroup_processes(const struct cgroup *cg, enum cgroup_part part, pid_t **ret, size_t *ret_n, struct err *err);

struct cgroup_stats {
	int64_t processes;
	uint64_t memory_bytes; /* of the controller if there is one, else the sum of resident set sizes */
	uint64_t cpu_ns;
};
void cgroup_stats(const struct cgroup *cg, struct cgroup_stats *ret);
