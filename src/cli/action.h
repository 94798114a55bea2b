/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* action.h - start, stop, pause and their like: one request for each of the named instances */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/cli.h"

struct json;

struct action {
	const char *action; /* "start", as PUT …/state takes it */
	int64_t timeout;    /* seconds; -1: the instance's own */
	bool is_forced;
	bool has_stateful; /* is_stateful is said at all */
	bool is_stateful;
	const char *of_all; /* --all means instances whose `status` is one of these words: "Stopped|Frozen" */
	bool of_saved;	    /* --all leaves out those without a saved state */

	/* The sentence for one that worked, a new string. @before and @after are instances as the API gives them. */
	char *(*tell)(const struct action *a, const struct json *before, const struct json *after, const char *took);
};

/* Runs it for the operands, or for all instances where --all is given. */
int action_run(struct cli *cli, const struct args *args, struct action *a, struct err *err);
