/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the program `stasis`: from words to a row of the table, and from what it returns to an exit code
 *
 * It knows nothing of containers: everything is asked of the daemon over its REST API (doc/api.md).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/client.h"

/* Options that every command understands, wherever they stand. */
static int take_global(struct cli *cli, const struct args *args, struct err *err)
{
	int r;

	if (args_has(args, "socket"))
		cli->socket = args_get(args, "socket");
	if (args_has(args, "quiet"))
		cli->is_quiet = true;
	if (!args_has(args, "format"))
		return 0;
	r = table_style_parse(args_get(args, "format"), &cli->format, err);
	return r < 0 ? CLI_EUSAGE : 0;
}

/* A reader of our output that has left (head) is no failure; a full disk is. */
static bool has_reader(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO };

	return poll(&out, 1, 0) <= 0 || !(out.revents & POLLERR);
}

static int finish_output(int code)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	if (!has_reader())
		return code;
	cli_complain("cannot write the output: %s", errno ? strerror(errno) : "is the disk full?");
	return code == CLI_OK ? CLI_FAILED : code;
}

static int report(const struct command *c, const char *path, int result, const struct err *err)
{
	char usage[512];

	if (result >= 0)
		return finish_output(result);
	(void)fflush(stdout);
	cli_complain("%s", err->text);
	if (result == CLI_EUSAGE && help_usage_line(c, path, usage, sizeof(usage)) == 0)
		(void)fprintf(stderr, "%s\n", usage);
	if (c->failed_code)
		return c->failed_code;
	return result == CLI_EUSAGE ? CLI_USAGE : result == CLIENT_EUNREACHABLE ? CLI_UNREACHABLE : CLI_FAILED;
}

static int run_command(struct cli *cli, const struct command *c, const char *path, char *const *argv);

/* A row with subs: its options, then the word that names one of them. */
static int run_group(struct cli *cli, const struct command *group, const char *path, char *const *argv)
{
	AUTO(args_done) struct args args = { 0 };
	struct err err = ERR_INIT;
	autofree char *deeper = NULL;
	const struct command *sub;
	int r;

	if (command_is_otherwise(group, argv))
		return run_command(cli, group->otherwise, path, argv);
	r = args_parse(group, argv, &args, &err);
	if (r == 0)
		r = take_global(cli, &args, &err);
	if (r < 0)
		return report(group, path, r, &err);
	if (group == &cli_root && args_has(&args, "version")) {
		(void)printf("stasis %s\n", STASIS_VERSION);
		return finish_output(CLI_OK);
	}
	if (args_has(&args, "help") || args.n_operands == 0) {
		help_print(group, path, /* is_error= */ !args_has(&args, "help"));
		return args_has(&args, "help") ? finish_output(CLI_OK) : CLI_USAGE;
	}
	sub = command_find(group, args.operands[0]);
	if (!sub)
		return report(group, path, command_unknown(group, path, args.operands[0], &err), &err);
	deeper = xasprintf("%s %s", path, sub->name);
	return run_command(cli, sub, deeper, args.rest);
}

static int run_command(struct cli *cli, const struct command *c, const char *path, char *const *argv)
{
	static char *const nothing[] = { NULL };
	AUTO(args_done) struct args args = { 0 };
	struct err err = ERR_INIT;
	int r;

	argv = argv ? argv : nothing;
	if (c->subs)
		return run_group(cli, c, path, argv);
	r = args_parse(c, argv, &args, &err);
	if (r == 0)
		r = take_global(cli, &args, &err);
	if (r == 0 && args_has(&args, "help")) {
		help_print(c, path, /* is_error= */ false);
		return finish_output(CLI_OK);
	}
	if (r == 0)
		r = c->run(cli, &args, &err);
	return report(c, path, r, &err);
}

int main(int argc, char **argv)
{
	const char *socket = getenv("STASIS_SOCKET");
	struct cli cli = {
		.socket = socket && *socket ? socket : CLI_DEFAULT_SOCKET,
		.has_terminal_out = isatty(STDOUT_FILENO),
		.has_terminal_err = isatty(STDERR_FILENO),
	};
	int code;

	(void)signal(SIGPIPE, SIG_IGN); /* a reader that leaves shows as EPIPE where we write */
	client_global_init();
	code = run_command(&cli, &cli_root, "stasis", argc > 0 ? argv + 1 : argv);
	client_free(cli.client);
	return code;
}
