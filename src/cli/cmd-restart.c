/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cli/action.h"
#include "cli/cmd.h"

static const struct option_row options[] = {
	{ "all", 'a', NULL, "every instance that runs" },
	{ "stateful", 's', NULL, "through a saved state: the processes go on where they were" },
	{ "timeout", 0, "SECONDS", "how long the processes may take to end, then they are killed" },
	{ "force", 'f', NULL, "kill the processes at once" },
	{ NULL },
};

static char *tell(const struct action *a, const struct json *before, const struct json *after, const char *took)
{
	if (a->is_stateful)
		return xasprintf("stopped and running again where it was (%s).", took);
	return xasprintf("restarted (%s).", took);
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	struct action a = {
		.action = "restart",
		.timeout = -1,
		.is_forced = args_has(args, "force"),
		.has_stateful = true,
		.is_stateful = args_has(args, "stateful"),
		.of_all = "Running",
		.tell = tell,
	};
	int r;

	r = args_get_int(args, "timeout", 0, 86400, &a.timeout, err);
	if (r < 0)
		return r;
	if (a.is_stateful && (a.is_forced || a.timeout >= 0))
		return err_set(err, CLI_EUSAGE,
			       "--stateful goes with neither --force nor --timeout: no process has to end");
	return action_run(cli, args, &a, err);
}

const struct command cmd_restart = {
	.name = "restart",
	.operands = "NAME… | --all",
	.summary = "stop instances and start them again",
	.group = GROUP_LIFE,
	.options = options,
	.max = -1,
	.complete = COMPLETE_RUNNING,
	.run = run,
};
