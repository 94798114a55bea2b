/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/action.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/instance.h"
#include "cli/jobs.h"

static const struct option_row options[] = {
	{ "force", 'f', NULL, "also when it runs or has a saved state" },
	{ NULL },
};

/* A saved state is work that nobody can get back: it takes as much intent as killing a running one. */
static int check_saved(struct job *job, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	autofree char *size = NULL;
	const struct json *instance = NULL;
	int r;

	r = instance_one(job_client(job), job_name(job), &root, &instance, err);
	if (r < 0)
		return r;
	if (!json_get_bool(instance, "stateful", false))
		return 0;
	size = instance_saved_size(instance);
	return err_set(err, -EBUSY, "it has a saved state (%s): 'stasis start %s' continues it, --force throws it away",
		       size, job_name(job));
}

static int delete_one(struct job *job, void *arg, struct err *err)
{
	const bool *is_forced = arg;
	autofree char *plain = client_path("instances", job_name(job), NULL);
	autofree char *path = xasprintf("%s%s", plain, *is_forced ? "?force=true" : "");
	int r;

	if (!*is_forced) {
		r = check_saved(job, err);
		if (r < 0)
			return r;
	}
	r = job_operation(job, "DELETE", path, NULL, NULL, err);
	if (r < 0)
		return r;
	job_say(job, "%s: deleted.", job_name(job));
	return 0;
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	bool is_forced = args_has(args, "force");

	return jobs_run(cli, args->operands, delete_one, &is_forced, err);
}

const struct command cmd_delete = {
	.name = "delete",
	.operands = "NAME…",
	.summary = "delete instances with their files, logs and saved state",
	.help = "There is no way back. A running instance, and one with a saved state, is deleted only with --force.",
	.group = GROUP_LIFE,
	.options = options,
	.min = 1,
	.max = -1,
	.complete = COMPLETE_INSTANCE,
	.run = run,
};
