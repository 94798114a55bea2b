/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/output.h"
#include "cli/term.h"
#include "cli/text.h"

static void print_obstacles(const struct json *obstacles, enum table_style style)
{
	static const struct table_column columns[] = {
		{ "PROCESS", false }, { "RESOURCE", false }, { "WHAT TO DO", false }, { NULL, false }
	};
	AUTO(table_free) struct table *table = table_new(columns);

	for (size_t i = 0; i < json_len(obstacles); i++) {
		const struct json *one = json_item(obstacles, i);
		int64_t pid = json_get_int(one, "pid", 0);

		if (pid > 0)
			table_addf(table, "%s (%lld)", output_word(one, "command"), (long long)pid);
		else
			table_add(table, "the instance");
		table_add(table, json_get_str(one, "resource"));
		table_addf(table, "%s%s", json_get_bool(one, "fatal", false) ? "" : "(only a warning) ",
			   output_word(one, "remedy"));
	}
	if (table_rows(table) > 0)
		table_print(table, style);
}

static void print_report(const struct cli *cli, const char *name, const struct json *report)
{
	const struct json *obstacles = json_get(report, "obstacles");
	autofree char *memory = text_bytes(json_get_int(report, "memory", -1));
	long long processes = json_get_int(report, "processes", 0), threads = json_get_int(report, "threads", 0);
	bool can = json_get_bool(report, "can_checkpoint", false);

	print_obstacles(obstacles, cli->format);
	if (cli->format == TABLE_CSV)
		return;
	if (json_len(obstacles) > 0)
		(void)putchar('\n');
	(void)printf("%s%s%s: %lld process%s, %lld thread%s, %s to save.%s\n",
		     term_style(STDOUT_FILENO, can ? TERM_GREEN : TERM_RED),
		     can ? "It can be saved" : "It cannot be saved as it is", term_style(STDOUT_FILENO, TERM_PLAIN),
		     processes, processes == 1 ? "" : "es", threads, text_plural(threads), memory,
		     can && json_len(obstacles) > 0 ? " The warnings name what would be lost." : "");
	if (can)
		cli_say(cli, "'stasis stop --stateful %s' does it.\n", name);
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	autofree char *path = client_path("instances", args->operands[0], "check", NULL);
	const struct json *report = NULL;
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r == 0)
		r = client_get(client, path, &root, &report, err);
	if (r < 0)
		return r;
	if (cli->format == TABLE_JSON)
		output_json(report);
	else
		print_report(cli, args->operands[0], report);
	return json_get_bool(report, "can_checkpoint", false) ? CLI_OK : CLI_FAILED;
}

const struct command cmd_check = {
	.name = "check",
	.operands = "NAME",
	.summary = "tell whether a running instance can be stopped with its state, and if not, why",
	.help = "Looks at every process without touching it. The exit code is 1 when it cannot be saved.",
	.group = GROUP_KNOW,
	.min = 1,
	.max = 1,
	.complete = COMPLETE_RUNNING,
	.run = run,
};
