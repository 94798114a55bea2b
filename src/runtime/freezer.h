/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * freezer.h - hold an instance still, and let go exactly what was held
 *
 * The cgroup is always frozen by us before CRIU is called: CRIU's own freezing polls in steps of 100 ms. A task that
 * waits for its vfork child sits in state D even when the cgroup says "frozen", and CRIU cannot seize it: then we thaw,
 * wait a moment and try again.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "runtime/cgroup.h"

struct freezer {
	char *freeze_file; /* "…/payload/cgroup.freeze"; NULL: holds nothing */
	bool is_mine;	   /* false: it was frozen (paused) before */
};

#define FREEZER_NONE                                                                                                   \
	{                                                                                                              \
		.freeze_file = NULL                                                                                    \
	}

/* On success @f is a guard: freezer_release() thaws exactly what this call froze. A paused container stays paused.
 * -EBUSY names the task that cannot be held, within @timeout_us; the container then runs on. */
int freezer_hold(struct freezer *f, const struct cgroup *cg, uint64_t timeout_us, struct err *err);

/* Thaws now and reports; the guard is then empty. */
int freezer_thaw(struct freezer *f, struct err *err);
/* The container is gone (killed): there is nothing to thaw. */
void freezer_forget(struct freezer *f);
void freezer_release(struct freezer *f);
AUTO_DEFINE_IN(struct freezer, freezer_release)

/* For pause and resume: sets the state and waits until it is so. */
int freezer_set(const struct cgroup *cg, bool is_frozen, uint64_t timeout_us, struct err *err);
bool freezer_is_frozen(const struct cgroup *cg);
