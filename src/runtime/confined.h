/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * confined.h - what a restored container really is
 *
 * CRIU makes what its images say, and images from elsewhere may say anything: more capabilities, other namespaces, file
 * systems of the host. So it is looked at when it is there, in the kernel's own words, and before its first
 * instruction.
 */
#include <stddef.h>

#include "base/err.h"
#include "runtime/cgroup.h"

/*
 * confined_check() - every thread of the payload has at most the capabilities of spec.h and namespaces of its own, and
 * its mounts are those that an instance has
 *
 * @binds: where folders of the host are mounted on purpose; NULL-terminated, may be NULL. -EPERM says what is wrong.
 */
int confined_check(const struct cgroup *cg, char *const *binds, struct err *err);
