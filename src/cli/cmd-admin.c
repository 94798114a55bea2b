/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/jobs.h"

/* metadata.results says for each instance "" or what went wrong. */
static int tell_results(struct job *job, const struct json *results, const char *done, struct err *err)
{
	AUTO(strv_free) char **failed = NULL;
	autofree char *names = NULL;

	for (struct json_iter it = json_iter(results); json_next(&it);) {
		const char *words = json_str(it.value);

		if (!words || !*words)
			continue;
		strv_add(&failed, it.key);
		cli_complain("%s: %s", it.key, words);
	}
	if (failed) {
		names = strv_join(failed, ", ");
		return err_set(err, -EIO, "%zu of %zu failed: %s", strv_len(failed), json_len(results), names);
	}
	if (!results)
		return 0;
	job_say(job, "%zu instance%s %s.", json_len(results), json_len(results) == 1 ? "" : "s", done);
	return 0;
}

static int shutdown_all(struct job *job, void *arg, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	int r;

	r = job_operation(job, "PUT", "/1.0/shutdown", NULL, &root, err);
	return r < 0 ? r : tell_results(job, json_at(root, "/metadata/metadata/results"), "taken down", err);
}

static int boot_all(struct job *job, void *arg, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	int r;

	r = job_operation(job, "PUT", "/1.0/boot", NULL, &root, err);
	return r < 0 ? r : tell_results(job, json_at(root, "/metadata/metadata/results"), "brought up", err);
}

static int run_shutdown(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(strv_free) char **names = strv_new("shutdown", NULL);

	return jobs_run(cli, names, shutdown_all, NULL, err);
}

static int run_boot(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(strv_free) char **names = strv_new("boot", NULL);

	return jobs_run(cli, names, boot_all, NULL, err);
}

static const struct command cmd_shutdown = {
	.name = "shutdown",
	.summary = "take every instance down as if the host went down (boot.host_shutdown_action)",
	.run = run_shutdown,
};

static const struct command cmd_boot = {
	.name = "boot",
	.summary = "bring up what comes with the host (boot.autostart)",
	.run = run_boot,
};

static const struct command *const subs[] = { &cmd_shutdown, &cmd_boot, NULL };

const struct command cmd_admin = {
	.name = "admin",
	.operands = "COMMAND …",
	.summary = "what the host's shutdown and boot do",
	.group = GROUP_OTHER,
	.subs = subs,
	.max = -1,
	.free_after = 1,
	.complete = COMPLETE_COMMAND,
};
