/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * preflight.h - what would make a checkpoint fail or lose something, found while the container runs
 *
 * Walks the processes of the payload cgroup: their descriptors, mappings, namespaces and state. What cannot be seen
 * from outside (Landlock domains, keyrings, sealed mappings) the checkpointable profile keeps from existing.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/err.h"
#include "runtime/cgroup.h"

struct preflight_finding {
	pid_t pid; /* in the container's pid namespace; 0: the container as a whole */
	char command[32];
	char *resource, *remedy;
	bool is_fatal;
};

struct preflight {
	struct preflight_finding *findings;
	size_t n_findings;
	int64_t processes, threads;
	uint64_t memory_bytes;
};

/* @init: the container's first process, as the host counts. Findings are sorted as found, at most 1000. */
int preflight_run(const struct cgroup *cg, pid_t init, struct preflight *ret, struct err *err);
void preflight_done(struct preflight *p);
AUTO_DEFINE_IN(struct preflight, preflight_done)

/* The first fatal one as a sentence. 1, or 0 when there is none. */
int preflight_explain(const struct preflight *p, char *buf, size_t size);
