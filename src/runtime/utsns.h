/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* utsns.h - the host name inside of a container */
#include <sys/types.h>

#include "base/err.h"

/* Sets the host name in the UTS namespace of @pid. A clone gets its own name before its first instruction. */
int utsns_set_hostname(pid_t pid, const char *name, struct err *err);
