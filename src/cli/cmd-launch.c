/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd.h"
#include "cli/create.h"

static const struct option_row options[] = { CREATE_OPTIONS, { NULL } };

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	return create_run(cli, args, /* is_started= */ true, err);
}

const struct command cmd_launch = {
	.name = "launch",
	.operands = "[IMAGE] NAME [-- COMMAND…]",
	.summary = "create an instance and start it",
	.help = "One word is the instance's name, and it is made from the small busybox image that stasis brings\n"
		"along. Two words are image and name. An image is an alias or fingerprint of 'stasis image list', or\n"
		"a reference to a registry, which is fetched first: docker://debian:12. Without a name (with --image)\n"
		"one is made up and told. Behind '--' follows the command that runs instead of the image's own.\n"
		"\n"
		"  stasis launch web\n"
		"  stasis launch web -- sh -c 'while sleep 1; do date; done'\n"
		"  stasis launch docker://redis:7 cache -c boot.autostart=true",
	.group = GROUP_LIFE,
	.options = options,
	.max = 2,
	.has_rest = true,
	.complete = COMPLETE_IMAGE,
	.run = run,
};
