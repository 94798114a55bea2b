/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/instance.h"
#include "cli/session.h"
#include "cli/term.h"

enum { SETTLE_TRIES = 10 };

static const struct option_row options[] = {
	{ "show-log", 0, NULL, "print what it has shown so far, and attach to nothing" },
	{ NULL },
};

static int print_bytes(void *arg, const char *data, size_t n)
{
	return fwrite(data, 1, n, stdout) == n ? 0 : -EPIPE;
}

static int show_log(struct client *c, const char *path, struct err *err)
{
	int r = client_read(c, path, print_bytes, NULL, err);

	return r == -EPIPE ? CLI_OK : r;
}

/* The console closes a moment before the daemon has seen that the instance has ended. */
static int look_once_settled(struct client *c, const char *name, struct json **ret_root, const struct json **ret)
{
	int r;

	for (int i = 0;; i++) {
		r = instance_one(c, name, ret_root, ret, NULL);
		if (r < 0 || i == SETTLE_TRIES || !instance_is(*ret, "Running"))
			return r;
		json_free(TAKE_PTR(*ret_root));
		clock_sleep_us(50 * US_PER_MS);
	}
}

static void say_why_closed(struct client *c, const char *name)
{
	AUTO(json_free) struct json *root = NULL;
	const struct json *instance = NULL, *code = NULL;

	if (look_once_settled(c, name, &root, &instance) < 0) {
		(void)fprintf(stderr, "%s is gone.\n", name);
		return;
	}
	code = json_at(instance, "/stasis/exit_code");
	if (json_get_bool(instance, "stateful", false))
		(void)fprintf(stderr, "%s was stopped with its state saved.\n", name);
	else if (instance_is(instance, "Stopped") && json_type(code) == JSON_INT)
		(void)fprintf(stderr, "%s has stopped (exit code %d).\n", name, (int)json_int(code, 0));
	else
		(void)fprintf(stderr, "the console of %s was closed; it is %s.\n", name, instance_word(instance));
}

static int attach(struct cli *cli, struct client *c, const char *name, const char *path, struct err *err)
{
	AUTO(json_free) struct json *answer = NULL, *root = NULL, *body = json_new_object();
	struct session_spec spec = { .has_detach = isatty(STDIN_FILENO) };
	const struct json *instance = NULL;
	int width = 80, height = 24, r;

	r = instance_one(c, name, &root, &instance, err);
	if (r < 0)
		return r;
	spec.has_tty = str_eq(json_get_str(json_get(instance, "expanded_config"), "console.tty"), "true");
	spec.has_plain_output = !spec.has_tty;
	(void)term_size(STDOUT_FILENO, &width, &height);
	json_set_str(body, "type", "console");
	json_set_int(body, "width", width);
	json_set_int(body, "height", height);
	r = client_call(c, "POST", path, body, &answer, err);
	if (r < 0)
		return r;
	if (cli->has_terminal_err && spec.has_detach && !cli->is_quiet)
		(void)fprintf(
			stderr, "Attached to %s; Ctrl-A q leaves it%s.\n", name,
			spec.has_tty ? "" : ", and so does Ctrl-C (it has no terminal: console.tty=true gives it one)");
	r = session_run(c, answer, &spec, err);
	if (r < 0)
		return r;
	if (r == SESSION_DETACHED)
		(void)fprintf(stderr, "\nDetached; %s runs on.\n", name);
	else if (cli->has_terminal_err && !cli->is_quiet)
		say_why_closed(c, name);
	return CLI_OK;
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	autofree char *path = client_path("instances", args->operands[0], "console", NULL);
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r < 0)
		return r;
	if (args_has(args, "show-log"))
		return show_log(client, path, err);
	return attach(cli, client, args->operands[0], path, err);
}

const struct command cmd_console = {
	.name = "console",
	.operands = "NAME",
	.summary = "attach to the terminal of an instance's first process",
	.help = "Ctrl-A q detaches, Ctrl-A Ctrl-A sends one Ctrl-A. Give an instance a terminal with 'stasis launch\n"
		"--tty' or 'stasis config set NAME console.tty=true'; without one only its output is seen.",
	.group = GROUP_INSIDE,
	.options = options,
	.min = 1,
	.max = 1,
	.complete = COMPLETE_RUNNING,
	.run = run,
};
