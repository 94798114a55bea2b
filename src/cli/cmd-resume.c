/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cli/action.h"
#include "cli/cmd.h"

static const struct option_row options[] = {
	{ "all", 'a', NULL, "every instance that is paused" },
	{ NULL },
};

static char *tell(const struct action *a, const struct json *before, const struct json *after, const char *took)
{
	return xstrdup("running again.");
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	struct action a = { .action = "unfreeze", .timeout = -1, .of_all = "Frozen", .tell = tell };

	return action_run(cli, args, &a, err);
}

const struct command cmd_resume = {
	.name = "resume",
	.operands = "NAME… | --all",
	.summary = "let paused instances go on",
	.group = GROUP_LIFE,
	.options = options,
	.max = -1,
	.complete = COMPLETE_RUNNING,
	.run = run,
};
