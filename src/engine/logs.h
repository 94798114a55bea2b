/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* logs.h - CRIU's logs in an instance's log folder */
#include <stddef.h>

#include "engine/instance.h"

/*
 * logs_keep_criu() - keep the log of this run as checkpoint_<kind>_<time>.log and say what it means
 *
 * @log: CRIU's file, @kind: "dump" or "restore". The newest LOGS_KEPT stay. Writes the meaning to @buf
 * (criu_explain()); 1 if the log held an error.
 */
#define LOGS_KEPT 20
int logs_keep_criu(const struct instance *in, const char *log, const char *kind, char *buf, size_t size);
