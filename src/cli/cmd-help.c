/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cli/cmd.h"

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	const struct command *c = &cli_root;
	autofree char *path = xstrdup(cli_root.name);

	for (size_t i = 0; i < args->n_operands; i++) {
		const struct command *sub = command_find(c, args->operands[i]);
		char *deeper;

		if (!sub)
			return command_unknown(c, path, args->operands[i], err);
		deeper = xasprintf("%s %s", path, sub->name);
		free(path);
		path = deeper;
		c = sub;
	}
	help_print(c, path, /* is_error= */ false);
	return CLI_OK;
}

const struct command cmd_help = {
	.name = "help",
	.operands = "[COMMAND…]",
	.summary = "show how a command is used",
	.group = GROUP_OTHER,
	.max = -1,
	.complete = COMPLETE_COMMAND,
	.run = run,
};
