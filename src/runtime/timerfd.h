/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * timerfd.h - periodic timers that CRIU brings back dead
 *
 * A periodic timerfd that has expired and was not read shows a remaining time of 0 (the kernel arms it again at the
 * read). CRIU restores that 0 by timerfd_settime(), where it means "disarmed". Such timers are armed again before the
 * first instruction.
 */
#include "base/err.h"
#include "runtime/cgroup.h"

/* For all processes of the payload, which stand still. */
int timerfd_revive(const struct cgroup *cg, struct err *err);
