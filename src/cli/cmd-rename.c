/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/jobs.h"

static int rename_one(struct job *job, void *arg, struct err *err)
{
	const char *new_name = arg;
	AUTO(json_free) struct json *body = json_new_object();
	autofree char *path = client_path("instances", job_name(job), NULL);
	int r;

	json_set_str(body, "name", new_name);
	json_set_bool(body, "migration", false);
	r = job_operation(job, "POST", path, body, NULL, err);
	if (r < 0)
		return r;
	job_say(job, "%s is now called %s.", job_name(job), new_name);
	return 0;
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(strv_free) char **names = strv_new(args->operands[0], NULL);

	return jobs_run(cli, names, rename_one, args->operands[1], err);
}

const struct command cmd_rename = {
	.name = "rename",
	.operands = "NAME NEW-NAME",
	.summary = "give an instance another name",
	.group = GROUP_LIFE,
	.min = 2,
	.max = 2,
	.complete = COMPLETE_INSTANCE,
	.run = run,
};
