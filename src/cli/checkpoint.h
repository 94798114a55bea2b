/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* checkpoint.h - what snapshot, checkpoint, restore and copy have in common */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/cli.h"

struct job;
struct json;

/* "paused 0.21 s, 256 MiB memory, 12 MiB files": of a checkpoint as the API gives it; a new string. */
char *checkpoint_words(const struct json *checkpoint);

/* The table of an instance's checkpoints, or of all (NULL). */
int checkpoint_print_list(struct cli *cli, const char *instance, struct err *err);

/* All about one, with the time line. */
int checkpoint_print_info(struct cli *cli, const char *instance, const char *which, struct err *err);

/* Deletes those named by the operands behind the first, which is their instance. */
int checkpoint_delete_all(struct cli *cli, const struct args *args, struct err *err);

/* "7d", "12h", "2026-12-24", "2026-12-24T18:00:00Z" or "never" as RFC 3339 (a new string) or NULL. CLI_EUSAGE. */
int checkpoint_when(const char *text, char **ret, struct err *err);

/* CLI_EUSAGE unless NULL or a length of time. */
int checkpoint_check_pause(const char *text, struct err *err);

/* For --print-stats: Podman's members where there are such, microseconds all of them. New documents. */
struct json *checkpoint_stats(const struct json *checkpoint);
struct json *checkpoint_restore_stats(const char *instance, int64_t duration_us);
