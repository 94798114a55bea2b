/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * cli.h - what a command is, and what it is given
 *
 * A command is data: one `struct command` in its own file, listed in commands.c. Parsing, help, "did you mean" and
 * shell completion all read the same row, so that none of them can know an option the others do not.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "cli/args.h"
#include "cli/table.h"

#define CLI_DEFAULT_SOCKET "/run/stasis/stasis.socket"

/* Exit codes, the same everywhere but in exec (stasis(1), EXIT STATUS). */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_UNREACHABLE = 3,
	CLI_EXEC_FAILED = 125,
	CLI_INTERRUPTED = 130
};

/* What run() returns beside an exit code (>= 0) and an errno (< 0): the words in @err are about usage. */
#define CLI_EUSAGE (-ENOEXEC)

struct client;

struct cli {
	const char *socket;
	enum table_style format;
	bool is_quiet;	       /* --quiet: results of actions are not told */
	bool has_terminal_out; /* standard output, standard error: somebody looks at it */
	bool has_terminal_err;
	struct client *client; /* made by cli_client() when first needed */
};

enum command_group { GROUP_LIFE, GROUP_INSIDE, GROUP_KNOW, GROUP_OTHER, GROUP_HIDDEN };

struct command {
	const char *name;     /* one word: "stop", "import" */
	const char *operands; /* "NAME…"; for the usage line */
	const char *summary;  /* one line without a full stop */
	const char *help;     /* paragraphs for `stasis help NAME`, or NULL */
	enum command_group group;
	const struct option_row *options;  /* ends with a row without a name; NULL: none of its own */
	const struct command *const *subs; /* NULL-terminated; a command with subs has no run() */
	const struct command *otherwise;   /* of a group: what runs when the words name none of the subs; or NULL */
	int min, max;			   /* operands; max -1: any number */
	int free_after;			   /* >0: behind this operand everything belongs to another program (exec) */
	bool has_rest;			   /* "-- WORD…" is allowed */
	enum complete complete;		   /* what its operands are */
	int failed_code;		   /* exit code when stasis itself fails; 0: as enum cli_exit says */
	int (*run)(struct cli *cli, const struct args *args, struct err *err);
};

/* The root row, whose subs are all commands. */
extern const struct command cli_root;

const struct command *command_find(const struct command *group, const char *name);

/* Whether the words, whose first operand names none of the subs, are those of group->otherwise. */
bool command_is_otherwise(const struct command *group, char *const *argv);

/* Sets @err to "unknown … 'x' (did you mean 'y'?)" and returns CLI_EUSAGE. */
int command_unknown(const struct command *group, const char *path, const char *name, struct err *err);

/* The connection; made on first use. */
int cli_client(struct cli *cli, struct client **ret, struct err *err);

/* A sentence for people on standard output; nothing with --quiet or where programs read (--format json, csv). */
void cli_say(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "stasis: …" on standard error; control characters are made harmless. */
void cli_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* help.c: the manual of one row; `path` is "stasis image import". */
void help_print(const struct command *c, const char *path, bool is_error);
int help_usage_line(const struct command *c, const char *path, char *buf, size_t size);
