/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * mapped.h - files that a container writes to through memory
 *
 * A store into a shared mapping moves no time stamp, so a copy made earlier cannot be trusted to be current.
 */
#include "base/err.h"
#include "runtime/cgroup.h"

/* Paths, as the container sees them, of files mapped shared and writable by its processes; a heap vector, NULL when
 * there are none. */
int mapped_files(const struct cgroup *cg, char ***ret, struct err *err);
