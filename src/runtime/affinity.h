/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * affinity.h - which processors the threads may use: CRIU forgets it, so we keep it
 */
#include "base/err.h"
#include "runtime/cgroup.h"

struct json;

/*
 * affinity_read() - the threads of the payload whose processors differ from our own
 *
 * An array of {"tid": as the container counts, "cpus": the mask as /proc spells it}; the caller's. Usually empty.
 */
int affinity_read(const struct cgroup *cg, struct json **ret, struct err *err);

/* Gives each thread its processors back. What this host does not have is left out; a thread left without any keeps all.
 */
int affinity_apply(const struct cgroup *cg, const struct json *list, struct err *err);
