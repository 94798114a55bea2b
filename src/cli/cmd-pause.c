/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cli/action.h"
#include "cli/cmd.h"
#include "cli/instance.h"

static const struct option_row options[] = {
	{ "all", 'a', NULL, "every instance that runs" },
	{ NULL },
};

static char *tell(const struct action *a, const struct json *before, const struct json *after, const char *took)
{
	return xasprintf("paused. 'stasis resume %s' lets it go on.", instance_name(before));
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	struct action a = { .action = "freeze", .timeout = -1, .of_all = "Running", .tell = tell };

	return action_run(cli, args, &a, err);
}

const struct command cmd_pause = {
	.name = "pause",
	.operands = "NAME… | --all",
	.summary = "hold every process still; memory stays where it is",
	.group = GROUP_LIFE,
	.options = options,
	.max = -1,
	.complete = COMPLETE_RUNNING,
	.run = run,
};
