/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/mem.h"
#include "cli/action.h"
#include "cli/cmd.h"
#include "cli/instance.h"

static const struct option_row options[] = {
	{ "all", 'a', NULL, "every instance that is stopped or paused" },
	{ "stateless", 0, NULL, "boot afresh; a saved state is thrown away once that boot has worked" },
	{ NULL },
};

static char *tell(const struct action *a, const struct json *before, const struct json *after, const char *took)
{
	if (instance_is(before, "Frozen"))
		return xasprintf("resumed (%s).", took);
	if (!json_get_bool(before, "stateful", false))
		return xasprintf("running (%s).", took);
	if (a->has_stateful && !a->is_stateful)
		return xasprintf("running, booted afresh (%s). Its saved state is gone.", took);
	if (instance_is(after, "Frozen"))
		return xasprintf("back where it was, and paused as it was (%s). 'stasis resume %s' lets it go on.",
				 took, instance_name(after));
	return xasprintf("running again where it was (%s).", took);
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	struct action a = {
		.action = "start",
		.timeout = -1,
		.has_stateful = true,
		.is_stateful = !args_has(args, "stateless"),
		.of_all = "Stopped|Frozen",
		.tell = tell,
	};

	return action_run(cli, args, &a, err);
}

const struct command cmd_start = {
	.name = "start",
	.operands = "NAME… | --all",
	.summary = "start instances; one with a saved state goes on where it was",
	.help = "An instance whose state was saved by 'stasis stop --stateful' goes on from there: its processes\n"
		"find their memory, files and connections as they left them. A paused one is resumed. The saved\n"
		"state is kept until the instance has proven that it runs; when the start fails, nothing is lost.",
	.group = GROUP_LIFE,
	.options = options,
	.max = -1,
	.complete = COMPLETE_STOPPED,
	.run = run,
};
