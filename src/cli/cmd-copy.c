/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/instance.h"
#include "cli/jobs.h"
#include "cli/text.h"

static struct json *request_of(const struct args *args)
{
	struct json *body = json_new_object(), *source = json_new_object();

	json_set_str(source, "type", "copy");
	json_set_str(source, "source", args->operands[0]);
	json_set(body, "source", source);
	json_set_str(body, "name", args->operands[1]);
	json_set_bool(body, "stateless", args_has(args, "stateless"));
	json_set_bool(body, "ignore_volumes", args_has(args, "ignore-volumes"));
	json_set_bool(body, "start", !args_has(args, "stateless"));
	return body;
}

static int copy_one(struct job *job, void *arg, struct err *err)
{
	const struct args *args = arg;
	AUTO(json_free) struct json *root = NULL, *body = request_of(args);
	const struct json *instance = NULL;
	uint64_t began = clock_mono_us();
	autofree char *took = NULL;
	int r;

	r = job_operation(job, "POST", "/1.0/instances", body, NULL, err);
	if (r < 0)
		return r;
	took = text_seconds(clock_mono_us() - began);
	r = instance_one(job_client(job), job_name(job), &root, &instance, err);
	if (r < 0)
		return r;
	if (instance_is(instance, "Stopped"))
		job_say(job, "%s: a copy of %s, stopped (%s). 'stasis start %s' starts it.", job_name(job),
			args->operands[0], took, job_name(job));
	else
		job_say(job, "%s: a copy of %s, and %s where that was (%s).", job_name(job), args->operands[0],
			instance_word(instance), took);
	return 0;
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(strv_free) char **names = strv_new(args->operands[1], NULL);

	return jobs_run(cli, names, copy_one, (void *)args, err);
}

static const struct option_row options[] = {
	{ "ignore-volumes", 0, NULL, "use the volumes that are there; they are shared then" },
	{ "stateless", 0, NULL, "the files only; the copy is stopped" },
	{ NULL },
};

const struct command cmd_copy = {
	.name = "copy",
	.operands = "NAME[/SNAPSHOT] NEW-NAME",
	.summary = "make an instance from another one, or from a snapshot of it",
	.help = "The copy goes on where the other one was, with memory and files of its own; the other one runs on.",
	.group = GROUP_LIFE,
	.options = options,
	.min = 2,
	.max = 2,
	.complete = COMPLETE_SOURCE,
	.run = run,
};
