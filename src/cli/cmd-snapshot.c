/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/checkpoint.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/instance.h"
#include "cli/jobs.h"
#include "cli/text.h"

/* Each of these works on one instance: the first operand. */
static int run_for_instance(struct cli *cli, const struct args *args,
			    int (*fn)(struct job *job, void *arg, struct err *err), struct err *err)
{
	AUTO(strv_free) char **names = strv_new(args->operands[0], NULL);

	return jobs_run(cli, names, fn, (void *)args, err);
}

/* ---- create ------------------------------------------------------------------------------------------------------ */

static int create_one(struct job *job, void *arg, struct err *err)
{
	const struct args *args = arg;
	AUTO(json_free) struct json *root = NULL, *body = json_new_object();
	autofree char *path = client_path("instances", job_name(job), "snapshots", NULL);
	autofree char *expires = NULL, *words = NULL;
	const struct json *taken;
	int r;

	if (args_has(args, "expires"))
		(void)checkpoint_when(args_get(args, "expires"), &expires, NULL); /* checked already */
	json_set_str(body, "name", args->n_operands > 1 ? args->operands[1] : "");
	json_set_bool(body, "stateful", !args_has(args, "stateless"));
	if (expires)
		json_set_str(body, "expires_at", expires);
	if (args_has(args, "max-pause"))
		json_set_str(body, "max_pause", args_get(args, "max-pause"));
	if (args_has(args, "description"))
		json_set_str(body, "description", args_get(args, "description"));
	r = job_operation(job, "POST", path, body, &root, err);
	if (r < 0)
		return r;
	taken = json_at(root, "/metadata/metadata/checkpoint");
	words = checkpoint_words(taken);
	job_detail(job, "snapshot", json_get_str(taken, "name"));
	job_say(job, "%s: checkpoint '%s' taken (%s). 'stasis snapshot restore %s %s' goes back to it.", job_name(job),
		json_get_str(taken, "name"), words, job_name(job), json_get_str(taken, "name"));
	return 0;
}

static int run_create(struct cli *cli, const struct args *args, struct err *err)
{
	autofree char *expires = NULL;
	int r = checkpoint_check_pause(args_get(args, "max-pause"), err);

	if (r == 0 && args_has(args, "expires"))
		r = checkpoint_when(args_get(args, "expires"), &expires, err);
	return r < 0 ? r : run_for_instance(cli, args, create_one, err);
}

static const struct option_row create_options[] = {
	{ "description", 'd', "TEXT", "what it is for" },
	{ "expires", 0, "WHEN", "delete it then: 12h, 7d, 2026-12-24" },
	{ "max-pause", 0, "TIME", "give up when the instance would stand still for longer: 500ms, 2s" },
	{ "stateless", 0, NULL, "the files only, without memory" },
	{ NULL },
};

static const struct command cmd_create_snapshot = {
	.name = "create",
	.operands = "NAME [SNAPSHOT]",
	.summary = "take one: memory and files of one instant, while the instance runs on",
	.help = "The instance stands still only for as long as its memory and files are read; how long that was is "
		"told.\n"
		"A paused instance stays paused. Of a stopped one the files are taken, and its saved state if it has "
		"one.",
	.options = create_options,
	.min = 1,
	.max = 2,
	.complete = COMPLETE_INSTANCE,
	.run = run_create,
};

/* ---- list, info -------------------------------------------------------------------------------------------------- */

static int run_list(struct cli *cli, const struct args *args, struct err *err)
{
	return checkpoint_print_list(cli, args->operands[0], err);
}

static const struct command cmd_list_snapshots = {
	.name = "list",
	.operands = "NAME",
	.summary = "show an instance's snapshots",
	.min = 1,
	.max = 1,
	.complete = COMPLETE_INSTANCE,
	.run = run_list,
};

static int run_info(struct cli *cli, const struct args *args, struct err *err)
{
	return checkpoint_print_info(cli, args->operands[0], args->operands[1], err);
}

static const struct command cmd_info_snapshot = {
	.name = "info",
	.operands = "NAME SNAPSHOT",
	.summary = "tell everything about one, with its time line",
	.min = 2,
	.max = 2,
	.complete = COMPLETE_NAME_SNAP,
	.run = run_info,
};

/* ---- restore ----------------------------------------------------------------------------------------------------- */

/* Whether memory comes back, too. */
static int find_memory(struct job *job, const struct args *args, bool *ret, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	autofree char *path = client_path("instances", job_name(job), "snapshots", args->operands[1], NULL);
	const struct json *snapshot = NULL;
	int r = client_get(job_client(job), path, &root, &snapshot, err);

	if (r == 0)
		*ret = !args_has(args, "stateless") && json_get_bool(snapshot, "stateful", false);
	return r;
}

static int restore_one(struct job *job, void *arg, struct err *err)
{
	const struct args *args = arg;
	AUTO(json_free) struct json *root = NULL, *body = json_new_object();
	autofree char *path = client_path("instances", job_name(job), NULL), *took = NULL;
	const struct json *after = NULL;
	bool has_memory = false;
	uint64_t began = clock_mono_us();
	int r;

	r = find_memory(job, args, &has_memory, err);
	if (r < 0)
		return r;
	json_set_str(body, "restore", args->operands[1]);
	json_set_bool(body, "stateful", has_memory);
	r = job_operation(job, "PUT", path, body, NULL, err);
	if (r == -EIO)
		job_hint(job, "it is as it was before; 'stasis info --show-log %s' shows how it came to that",
			 job_name(job));
	if (r < 0)
		return r;
	took = text_seconds(clock_mono_us() - began);
	r = instance_one(job_client(job), job_name(job), &root, &after, err);
	if (r < 0)
		return r;
	if (has_memory)
		job_say(job, "%s: as it was at '%s', and %s (%s).", job_name(job), args->operands[1],
			instance_word(after), took);
	else
		job_say(job, "%s: its files are those of '%s'; %s (%s).", job_name(job), args->operands[1],
			instance_is(after, "Running") ? "booted again" : instance_word(after), took);
	return 0;
}

static int run_restore(struct cli *cli, const struct args *args, struct err *err)
{
	return run_for_instance(cli, args, restore_one, err);
}

static const struct option_row restore_options[] = {
	{ "stateless", 0, NULL, "the files only: it is stopped or, if it runs, booted again" },
	{ NULL },
};

static const struct command cmd_restore_snapshot = {
	.name = "restore",
	.operands = "NAME SNAPSHOT",
	.summary = "go back to one: memory and files become what they were",
	.help = "What the instance is now is lost, unless a snapshot of it is taken first. If going back fails, the\n"
		"instance is as it was before, running if it ran.",
	.options = restore_options,
	.min = 2,
	.max = 2,
	.complete = COMPLETE_NAME_SNAP,
	.run = run_restore,
};

/* ---- rename, delete, expires ------------------------------------------------------------------------------------- */

static int rename_one(struct job *job, void *arg, struct err *err)
{
	const struct args *args = arg;
	AUTO(json_free) struct json *body = json_new_object();
	autofree char *path = client_path("instances", job_name(job), "snapshots", args->operands[1], NULL);
	int r;

	json_set_str(body, "name", args->operands[2]);
	r = job_operation(job, "POST", path, body, NULL, err);
	if (r < 0)
		return r;
	job_say(job, "%s: checkpoint '%s' is now called '%s'.", job_name(job), args->operands[1], args->operands[2]);
	return 0;
}

static int run_rename(struct cli *cli, const struct args *args, struct err *err)
{
	return run_for_instance(cli, args, rename_one, err);
}

static const struct command cmd_rename_snapshot = {
	.name = "rename",
	.operands = "NAME SNAPSHOT NEW-NAME",
	.summary = "give one another name",
	.min = 3,
	.max = 3,
	.complete = COMPLETE_NAME_SNAP,
	.run = run_rename,
};

static const struct command cmd_delete_snapshot = {
	.name = "delete",
	.operands = "NAME SNAPSHOT…",
	.summary = "delete some; the instance is not touched",
	.min = 2,
	.max = -1,
	.complete = COMPLETE_NAME_SNAP,
	.run = checkpoint_delete_all,
};

static int expire_one(struct job *job, void *arg, struct err *err)
{
	const struct args *args = arg;
	AUTO(json_free) struct json *body = json_new_object();
	autofree char *path = client_path("instances", job_name(job), "snapshots", args->operands[1], NULL);
	autofree char *when = NULL, *shown = NULL;
	int r;

	(void)checkpoint_when(args->operands[2], &when, NULL); /* checked already */
	json_set_str(body, "expires_at", when);
	r = job_operation(job, "PUT", path, body, NULL, err);
	if (r < 0)
		return r;
	shown = text_time(when);
	if (when)
		job_say(job, "%s: checkpoint '%s' is kept until %s.", job_name(job), args->operands[1], shown);
	else
		job_say(job, "%s: checkpoint '%s' is kept until somebody deletes it.", job_name(job),
			args->operands[1]);
	return 0;
}

static int run_expires(struct cli *cli, const struct args *args, struct err *err)
{
	autofree char *when = NULL;
	int r = checkpoint_when(args->operands[2], &when, err);

	return r < 0 ? r : run_for_instance(cli, args, expire_one, err);
}

static const struct command cmd_expires = {
	.name = "expires",
	.operands = "NAME SNAPSHOT WHEN|never",
	.summary = "say when one is to be deleted: 12h, 7d, 2026-12-24, never",
	.min = 3,
	.max = 3,
	.complete = COMPLETE_NAME_SNAP,
	.run = run_expires,
};

static const struct command *const subs[] = { &cmd_create_snapshot, &cmd_list_snapshots,
					      &cmd_info_snapshot,   &cmd_restore_snapshot,
					      &cmd_rename_snapshot, &cmd_delete_snapshot,
					      &cmd_expires,	    NULL };

const struct command cmd_snapshot = {
	.name = "snapshot",
	.operands = "COMMAND …",
	.summary = "keep what an instance is now, and go back to it",
	.group = GROUP_LIFE,
	.subs = subs,
	.max = -1,
	.free_after = 1,
	.complete = COMPLETE_COMMAND,
};
