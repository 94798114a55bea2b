/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd.h"
#include "cli/create.h"

static const struct option_row options[] = { CREATE_OPTIONS, { NULL } };

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	return create_run(cli, args, /* is_started= */ false, err);
}

const struct command cmd_create = {
	.name = "create",
	.operands = "[IMAGE] NAME [-- COMMAND…]",
	.summary = "create an instance without starting it",
	.help = "Takes the same words as 'stasis launch', which also starts it.",
	.group = GROUP_LIFE,
	.options = options,
	.max = 2,
	.has_rest = true,
	.complete = COMPLETE_IMAGE,
	.run = run,
};
