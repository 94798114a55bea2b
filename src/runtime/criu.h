/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* criu.h - what CRIU's log means, in one sentence for people */
#include <stddef.h>

#include "base/err.h"

/*
 * criu_explain() - name the process, the resource and the remedy
 *
 * Reads a dump.log or restore.log and writes a sentence like "process 'node' (pid 7) uses io_uring, which CRIU cannot
 * dump; run it with checkpoint.profile=checkpointable" to @buf. Where no rule matches, the first error line of the log.
 * Lines that only look like errors are passed over. Returns 1, or 0 when the log holds no error (or does not exist).
 */
int criu_explain(const char *log_path, char *buf, size_t size);
