/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* check.h - the pre-flight before a dump */
#include "base/err.h"
#include "engine/instance.h"
#include "runtime/preflight.h"

/*
 * check_before_dump() - whether host and processes can be dumped, found out while they run
 *
 * -EOPNOTSUPP or -EINVAL with the obstacle and its remedy. What would only be lost is noted in the instance's history.
 * *ret is the caller's to release.
 */
int check_before_dump(struct instance *in, struct preflight *ret, struct err *err);
