/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/facts.h"
#include "cli/jobs.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text.h"

/* "web, db"; a new string. */
static char *instances_of(const struct json *op)
{
	AUTO(strv_free) char **names = NULL;
	const struct json *urls = json_at(op, "/resources/instances");

	for (size_t i = 0; i < json_len(urls); i++) {
		const char *url = json_str(json_item(urls, i));

		strv_add(&names, url ? path_base(url) : "?");
	}
	return names ? strv_join(names, ", ") : xstrdup("");
}

static void add_operation(struct table *table, const struct json *op, bool is_raw)
{
	autofree char *instances = instances_of(op);
	autofree char *since = text_ago(json_get_str(op, "created_at"));

	table_add(table, json_get_str(op, "id"));
	table_add(table, json_get_str(op, "description"));
	table_add(table, instances);
	table_add(table, json_get_str(op, "status"));
	table_add(table, is_raw ? json_get_str(op, "created_at") : since);
	table_add(table, progress_text(json_get(op, "metadata")));
}

static int run_list(struct cli *cli, const struct args *args, struct err *err)
{
	static const struct table_column columns[] = { { "ID", false },	    { "WHAT", false },	{ "INSTANCES", false },
						       { "STATUS", false }, { "BEGUN", false }, { "PROGRESS", false },
						       { NULL, false } };
	AUTO(table_free) struct table *table = table_new(columns);
	AUTO(json_free) struct json *root = NULL;
	const struct json *by_status = NULL;
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r == 0)
		r = client_get(client, "/1.0/operations?recursion=1", &root, &by_status, err);
	if (r < 0)
		return r;
	if (cli->format == TABLE_JSON) {
		output_json(by_status);
		return CLI_OK;
	}
	for (struct json_iter it = json_iter(by_status); json_next(&it);)
		for (size_t i = 0; i < json_len(it.value); i++)
			add_operation(table, json_item(it.value, i), cli->format == TABLE_CSV);
	if (table_rows(table) == 0 && cli->format == TABLE_PLAIN && cli->has_terminal_out)
		(void)printf("Nothing is going on.\n");
	else
		table_print(table, cli->format);
	return CLI_OK;
}

static const struct command cmd_list_operations = {
	.name = "list",
	.summary = "show what the daemon is doing, and what it has just done",
	.run = run_list,
};

static int run_show(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(facts_free) struct facts *f = facts_new();
	AUTO(json_free) struct json *root = NULL;
	autofree char *path = client_path("operations", args->operands[0], NULL);
	autofree char *instances = NULL, *begun = NULL;
	const struct json *op = NULL;
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r == 0)
		r = client_get(client, path, &root, &op, err);
	if (r < 0)
		return r;
	if (cli->format == TABLE_JSON) {
		output_json(op);
		return CLI_OK;
	}
	instances = instances_of(op);
	begun = text_ago(json_get_str(op, "created_at"));
	facts_add(f, "ID", json_get_str(op, "id"));
	facts_add(f, "What", json_get_str(op, "description"));
	facts_add(f, "Instances", instances);
	facts_add(f, "Status", json_get_str(op, "status"));
	facts_add(f, "Error", json_get_str(op, "err"));
	facts_add(f, "Begun", begun);
	facts_add(f, "Progress", progress_text(json_get(op, "metadata")));
	facts_add(f, "Can be cancelled", json_get_bool(op, "may_cancel", false) ? "yes" : "no");
	facts_print(f);
	return CLI_OK;
}

static const struct command cmd_show_operation = {
	.name = "show",
	.operands = "ID",
	.summary = "tell everything about one",
	.min = 1,
	.max = 1,
	.complete = COMPLETE_OPERATION,
	.run = run_show,
};

static int run_cancel(struct cli *cli, const struct args *args, struct err *err)
{
	autofree char *path = client_path("operations", args->operands[0], NULL);
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r == 0)
		r = client_call(client, "DELETE", path, NULL, NULL, err);
	if (r < 0)
		return r;
	cli_say(cli, "%s: will end as soon as it can be taken back.\n", args->operands[0]);
	return CLI_OK;
}

static const struct command cmd_cancel_operation = {
	.name = "cancel",
	.operands = "ID",
	.summary = "take one back, as long as that is possible",
	.min = 1,
	.max = 1,
	.complete = COMPLETE_OPERATION,
	.run = run_cancel,
};

static int wait_one(struct job *job, void *arg, struct err *err)
{
	AUTO(json_free) struct json *answer = json_new_object();
	autofree char *path = client_path("operations", job_name(job), NULL);

	json_set_str(answer, "operation", path);
	return job_wait(job, answer, NULL, err);
}

static int run_wait(struct cli *cli, const struct args *args, struct err *err)
{
	return jobs_run(cli, args->operands, wait_one, NULL, err);
}

static const struct command cmd_wait_operation = {
	.name = "wait",
	.operands = "ID…",
	.summary = "wait until it has ended; fails if it fails",
	.min = 1,
	.max = -1,
	.complete = COMPLETE_OPERATION,
	.run = run_wait,
};

static const struct command *const subs[] = { &cmd_list_operations, &cmd_show_operation, &cmd_cancel_operation,
					      &cmd_wait_operation, NULL };

const struct command cmd_operation = {
	.name = "operation",
	.operands = "COMMAND …",
	.summary = "the daemon's long jobs",
	.group = GROUP_OTHER,
	.subs = subs,
	.max = -1,
	.free_after = 1,
	.complete = COMPLETE_COMMAND,
};
