/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * fault.h - named points where tests can make things go wrong
 *
 * FAULT("stop.committed", err) stands on a line of its own where a crash or a failure would be interesting. In a build
 * without -Dfaults=true it is nothing. With it, STASIS_FAULT="name=what[:count][,…]" in the environment decides: what
 * is kill (SIGKILL to ourselves), stop (raise SIGSTOP), fail (the statement returns -EIO from the enclosing function),
 * enospc (returns -ENOSPC), sleepN (N ms). The count says at which passage (1: the first; without one: at each).
 * STASIS_FAULT_FILE names a file read at each passage instead, for daemons that already run; when its text changes the
 * counting begins anew. FAULT_LIST in fault.c is the table of all names, sorted; a name that is not in it aborts.
 */
#include "base/err.h"

/* FAULT_HERE() is for points of no return: there a process can only die, not fail. */
#ifdef STASIS_FAULTS
int fault_hit(const char *name, struct err *err);
#define FAULT_HERE(name) (void)fault_hit(name, NULL)
#define FAULT(name, err)                                                                                               \
	do {                                                                                                           \
		int fault_ = fault_hit(name, err);                                                                     \
		if (fault_ < 0)                                                                                        \
			return fault_;                                                                                 \
	} while (0)
#else
#define FAULT_HERE(name)                                                                                               \
	do {                                                                                                           \
	} while (0)
#define FAULT(name, err)                                                                                               \
	do {                                                                                                           \
	} while (0)
#endif
const char *const *fault_names(void); /* NULL-terminated, sorted; for tests and `stasisd --list-faults` */
