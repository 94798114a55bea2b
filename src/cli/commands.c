/* SPDX-License-Identifier: Apache-2.0 */
/* commands.c - the table of all commands */
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/text.h"

/* In the order in which `stasis help` shows them inside their groups: by use, not by alphabet. */
static const struct command *const all[] = {
	&cmd_launch,  &cmd_create,     &cmd_start,   &cmd_stop,	    &cmd_restart,   &cmd_pause,
	&cmd_resume,  &cmd_delete,     &cmd_rename,  &cmd_copy,	    &cmd_snapshot,  &cmd_checkpoint,
	&cmd_restore, &cmd_exec,       &cmd_console, &cmd_logs,	    &cmd_list,	    &cmd_info,
	&cmd_check,   &cmd_config,     &cmd_image,   &cmd_volume,   &cmd_operation, &cmd_admin,
	&cmd_version, &cmd_completion, &cmd_help,    &cmd_complete, NULL,
};

static const struct option_row options[] = {
	{ "version", 'V', NULL, "the version of this program ('stasis version' asks the daemon too)" },
	{ NULL },
};

const struct command cli_root = {
	.name = "stasis",
	.operands = "COMMAND …",
	.summary = "containers that survive",
	.options = options,
	.subs = all,
	.max = -1,
	.free_after = 1,
	.complete = COMPLETE_COMMAND,
};

const struct command *command_find(const struct command *group, const char *name)
{
	for (size_t i = 0; group->subs && group->subs[i]; i++)
		if (str_eq(group->subs[i]->name, name))
			return group->subs[i];
	return NULL;
}

bool command_is_otherwise(const struct command *group, char *const *argv)
{
	AUTO(args_done) struct args args = { 0 };
	struct command any;

	if (!group->otherwise || !*argv || command_find(group, *argv))
		return false;
	any = *group->otherwise;
	any.min = 0;
	any.max = -1;
	if (args_parse(&any, argv, &args, NULL) < 0)
		return true; /* and it will say what is wrong */
	return args.n_operands > 0 && !command_find(group, args.operands[0]);
}

int command_unknown(const struct command *group, const char *path, const char *name, struct err *err)
{
	AUTO(strv_free) char **names = NULL;
	const char *near;

	for (size_t i = 0; group->subs[i]; i++)
		if (group->subs[i]->group != GROUP_HIDDEN)
			strv_add(&names, group->subs[i]->name);
	near = args_nearest(name, names);
	if (near)
		return err_set(err, CLI_EUSAGE, "there is no '%s %s' (did you mean '%s %s'?)", path, name, path, near);
	return err_set(err, CLI_EUSAGE, "there is no '%s %s'", path, name);
}

int cli_client(struct cli *cli, struct client **ret, struct err *err)
{
	int r = 0;

	if (!cli->client)
		r = client_new(cli->socket, &cli->client, err);
	if (r == 0)
		*ret = cli->client;
	return r;
}

void cli_say(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	if (cli->is_quiet || cli->format == TABLE_JSON || cli->format == TABLE_CSV)
		return;
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
}

void cli_complain(const char *fmt, ...)
{
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;
	autofree char *shown = NULL;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&sb, fmt, ap);
	va_end(ap);
	shown = text_safe_lines(sb.s);
	str_rtrim(shown);
	(void)fprintf(stderr, "stasis: %s\n", shown);
}
