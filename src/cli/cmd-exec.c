/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "base/sync.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/pairs.h"
#include "cli/session.h"
#include "cli/term.h"

static const struct option_row options[] = {
	{ "tty", 't', NULL, "with a terminal (the default when we have one on both sides)" },
	{ "no-tty", 'T', NULL, "without a terminal" },
	{ "interactive", 'i', NULL,
	  "pass our input on (the default; so that 'exec -it' means what it does elsewhere)" },
	{ "no-stdin", 'n', NULL, "pass no input on (in a shell's 'while read' loop)" },
	{ "env", 'e', "KEY=VALUE", "set an environment variable; may be repeated" },
	{ "cwd", 'w', "DIR", "begin in this folder" },
	{ "user", 'u', "UID[:GID]", "as this user and group, by number" },
	{ NULL },
};

static int read_user(const char *user, struct json *body, struct err *err)
{
	const char *colon = strchr(user, ':');
	autofree char *uid = xstrndup(user, colon ? (size_t)(colon - user) : strlen(user));
	int64_t n;
	int r;

	r = str_to_i64(uid, 0, UINT32_MAX - 1, &n, err);
	if (r < 0)
		return err_wrap(err, CLI_EUSAGE, "option '--user'");
	json_set_int(body, "user", n);
	if (!colon)
		return 0;
	r = str_to_i64(colon + 1, 0, UINT32_MAX - 1, &n, err);
	if (r < 0)
		return err_wrap(err, CLI_EUSAGE, "option '--user'");
	json_set_int(body, "group", n);
	return 0;
}

/* NAME CMD ARGS… and NAME -- CMD ARGS… */
static struct json *command_of(const struct args *args)
{
	AUTO(strv_free) char **words = NULL;

	for (size_t i = 1; i < args->n_operands; i++)
		strv_add(&words, args->operands[i]);
	strv_add_all(&words, args->rest);
	return words ? json_new_strv(words) : NULL;
}

static int request_of(const struct args *args, bool has_tty, struct json *body, struct err *err)
{
	struct json *environment = json_new_object(), *command = command_of(args);
	int width = 80, height = 24, r;

	json_set(body, "environment", environment);
	if (!command)
		return err_set(err, CLI_EUSAGE, "which command? For example: stasis exec %s sh", args->operands[0]);
	json_set(body, "command", command);
	json_set_bool(body, "wait-for-websocket", true);
	json_set_bool(body, "interactive", has_tty);
	if (has_tty) {
		(void)term_size(STDOUT_FILENO, &width, &height);
		json_set_int(body, "width", width);
		json_set_int(body, "height", height);
		if (getenv("TERM"))
			json_set_str(environment, "TERM", getenv("TERM"));
	}
	r = pairs_to_json(args_all(args, "env"), environment, err);
	if (r < 0)
		return r;
	if (args_has(args, "cwd"))
		json_set_str(body, "cwd", args_get(args, "cwd"));
	if (args_has(args, "user"))
		return read_user(args_get(args, "user"), body, err);
	return 0;
}

/*
 * Waits for the operation beside the session, not behind it: it stays readable only for a while after its end, and
 * whoever reads our output (less) may take longer than that.
 */
struct waiter {
	const char *socket, *operation;
	int code; /* the command's, or a negative errno */
	struct err err;
};

static int wait_for_code(const struct waiter *w, struct err *err)
{
	AUTO(client_free) struct client *client = NULL;
	AUTO(json_free) struct json *root = NULL;
	const struct json *metadata = NULL;
	int64_t code;
	int r;

	r = client_new(w->socket, &client, err);
	if (r == 0)
		r = client_wait(client, w->operation, &root, &metadata, err);
	if (r < 0)
		return r;
	code = json_get_int(metadata, "return", -1);
	if (code < 0)
		return err_set(err, -EPROTO, "the daemon does not say how the command ended");
	return (int)(code & 0xff);
}

static void *waiter_thread(void *arg)
{
	struct waiter *w = arg;

	w->code = wait_for_code(w, &w->err);
	return NULL;
}

static int exec(struct client *c, const struct json *answer, const struct session_spec *spec, struct err *err)
{
	struct waiter waiter = { .socket = client_socket(c), .operation = json_get_str(answer, "operation") };
	pthread_t thread;
	int r;

	if (!waiter.operation)
		return err_set(err, -EPROTO, "the daemon names no operation");
	r = thread_start(&thread, "waiter", waiter_thread, &waiter, err);
	if (r < 0)
		return r;
	r = session_run(c, answer, spec, err);
	if (r == SESSION_LEFT) {
		cli_complain("left; the command does not heed Ctrl-C and runs on");
		_exit(CLI_EXEC_FAILED); /* without the waiter, which would wait for it */
	}
	(void)pthread_join(thread, NULL);
	if (r < 0)
		return r;
	*err = waiter.err;
	return waiter.code;
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(json_free) struct json *answer = NULL, *body = json_new_object();
	autofree char *path = client_path("instances", args->operands[0], "exec", NULL);
	struct session_spec spec = { .has_no_input = args_has(args, "no-stdin"), .has_signals = true };
	struct client *client = NULL;
	int r;

	if (args_has(args, "tty") && args_has(args, "no-tty"))
		return err_set(err, CLI_EUSAGE, "--tty and --no-tty contradict each other");
	spec.has_tty = args_has(args, "tty") || (!args_has(args, "no-tty") && !spec.has_no_input &&
						 isatty(STDIN_FILENO) && isatty(STDOUT_FILENO));
	r = request_of(args, spec.has_tty, body, err);
	if (r < 0)
		return r;
	r = cli_client(cli, &client, err);
	if (r == 0)
		r = client_call(client, "POST", path, body, &answer, err);
	if (r < 0)
		return r;
	return exec(client, answer, &spec, err);
}

const struct command cmd_exec = {
	.name = "exec",
	.operands = "NAME [--] COMMAND…",
	.summary = "run a command inside a running instance",
	.help = "Options of stasis stand before the command; what follows it belongs to the command. Our input, "
		"output\n"
		"and errors are the command's, and so is the exit code (126: not executable, 127: not found, 128+N:\n"
		"ended by signal N; 125: stasis itself failed). Such a command is no part of a saved state.\n"
		"\n"
		"  stasis exec web sh\n"
		"  tar c files | stasis exec web tar x -C /srv",
	.group = GROUP_INSIDE,
	.options = options,
	.min = 1,
	.max = -1,
	.free_after = 2,
	.has_rest = true,
	.complete = COMPLETE_RUNNING,
	.failed_code = CLI_EXEC_FAILED,
	.run = run,
};
