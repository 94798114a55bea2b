/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/mem.h"
#include "cli/action.h"
#include "cli/cmd.h"
#include "cli/instance.h"

static const struct option_row options[] = {
	{ "all", 'a', NULL, "every instance that runs" },
	{ "stateful", 's', NULL, "save the running state; 'stasis start' continues it" },
	{ "timeout", 0, "SECONDS", "how long the processes may take to end, then they are killed" },
	{ "force", 'f', NULL, "kill the processes at once" },
	{ NULL },
};

static char *tell(const struct action *a, const struct json *before, const struct json *after, const char *took)
{
	if (a->is_stateful) {
		autofree char *size = instance_saved_size(after);

		return xasprintf("stopped, its state is saved (%s in %s). 'stasis start %s' continues it.", size, took,
				 instance_name(after));
	}
	if (!after)
		return xasprintf("stopped and deleted, because it was ephemeral (%s).", took);
	return xasprintf("%s (%s).", a->is_forced ? "killed" : "stopped", took);
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	struct action a = {
		.action = "stop",
		.timeout = -1,
		.is_forced = args_has(args, "force"),
		.has_stateful = true,
		.is_stateful = args_has(args, "stateful"),
		.of_all = "Running|Frozen",
		.tell = tell,
	};
	int r;

	r = args_get_int(args, "timeout", 0, 86400, &a.timeout, err);
	if (r < 0)
		return r;
	if (a.is_stateful && a.is_forced)
		return err_set(err, CLI_EUSAGE,
			       "--stateful and --force contradict each other: killed processes have no state");
	if (a.is_stateful && a.timeout >= 0)
		return err_set(err, CLI_EUSAGE, "--timeout has no meaning with --stateful: no process is asked to end");
	return action_run(cli, args, &a, err);
}

const struct command cmd_stop = {
	.name = "stop",
	.operands = "NAME… | --all",
	.summary = "stop instances, with --stateful so that they can go on later",
	.help = "Without --stateful the first process gets the instance's stop signal (stop.signal) and, after the\n"
		"time-out (stop.timeout), everything is killed. With --stateful nothing is asked to end: memory and\n"
		"files are saved as of one instant, synced to disk, and only then the processes go. When that fails\n"
		"the instance runs on. 'stasis check NAME' tells beforehand whether it would.",
	.group = GROUP_LIFE,
	.options = options,
	.max = -1,
	.complete = COMPLETE_RUNNING,
	.run = run,
};
