/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/action.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/instance.h"
#include "cli/jobs.h"
#include "cli/text.h"

static struct json *request_of(const struct action *a)
{
	struct json *body = json_new_object();

	json_set_str(body, "action", a->action);
	json_set_int(body, "timeout", a->timeout);
	json_set_bool(body, "force", a->is_forced);
	if (a->has_stateful)
		json_set_bool(body, "stateful", a->is_stateful);
	return body;
}

/* One instance: look, ask, wait, look again, tell. */
static int run_one(struct job *job, void *arg, struct err *err)
{
	const struct action *a = arg;
	AUTO(json_free) struct json *before_root = NULL, *after_root = NULL, *body = request_of(a);
	autofree char *path = client_path("instances", job_name(job), "state", NULL);
	autofree char *took = NULL, *told = NULL;
	const struct json *before = NULL, *after = NULL;
	uint64_t began;
	int r;

	r = instance_one(job_client(job), job_name(job), &before_root, &before, err);
	if (r < 0)
		return r;
	began = clock_mono_us();
	r = job_operation(job, "PUT", path, body, NULL, err);
	if (r == -EIO && a->is_stateful)
		job_hint(job, "'stasis info --show-log %s' shows how it came to that", job_name(job));
	if (r < 0)
		return r;
	took = text_seconds(clock_mono_us() - began);

	/* An ephemeral instance is gone once it has stopped. */
	r = instance_one(job_client(job), job_name(job), &after_root, &after, err);
	if (r == -ENOENT)
		after = NULL;
	else if (r < 0)
		return r;
	told = a->tell(a, before, after, took);
	job_say(job, "%s: %s", job_name(job), told);
	return 0;
}

static bool is_one_of(const char *word, const char *words)
{
	AUTO(strv_free) char **list = strv_split(words, '|');

	return strv_has(list, word);
}

static int names_of_all(struct cli *cli, const struct action *a, char ***ret, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	const struct json *all = NULL;
	int r;

	r = instance_all(cli, 1, &root, &all, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < json_len(all); i++) {
		const struct json *instance = json_item(all, i);

		if (is_one_of(instance_status(instance), a->of_all) &&
		    (!a->of_saved || json_get_bool(instance, "stateful", false)))
			strv_add(ret, instance_name(instance));
	}
	return 0;
}

int action_run(struct cli *cli, const struct args *args, struct action *a, struct err *err)
{
	AUTO(strv_free) char **names = NULL;
	int r;

	if (!args_has(args, "all")) {
		if (args->n_operands == 0)
			return err_set(err, CLI_EUSAGE, "which instance? Name it, or say --all");
		return jobs_run(cli, args->operands, run_one, a, err);
	}
	if (args->n_operands > 0)
		return err_set(err, CLI_EUSAGE, "--all and the name '%s' contradict each other", args->operands[0]);
	r = names_of_all(cli, a, &names, err);
	if (r < 0)
		return r;
	if (!names) {
		cli_say(cli, "There is no instance to %s.\n", a->action);
		return CLI_OK;
	}
	return jobs_run(cli, names, run_one, a, err);
}
