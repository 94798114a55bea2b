/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * args.h - a command line taken apart by the rows of its command
 *
 * "--name value", "--name=value", "-n value", "-nvalue", "-abc" for flags; options and operands may be mixed; "--" ends
 * the options. The global options (args_global) are understood by every command.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

enum complete {
	COMPLETE_NOTHING,
	COMPLETE_INSTANCE,
	COMPLETE_RUNNING,
	COMPLETE_STOPPED,
	COMPLETE_IMAGE,
	COMPLETE_ALIAS,
	COMPLETE_OPERATION,
	COMPLETE_VOLUME,
	COMPLETE_PAIR,	    /* KEY=VALUE */
	COMPLETE_NAME_KEY,  /* first an instance, then keys */
	COMPLETE_NAME_PAIR, /* first an instance, then KEY=VALUE */
	COMPLETE_NAME_SNAP, /* first an instance, then its checkpoints; the third word is new where there are at most 3
			     */
	COMPLETE_SOURCE,    /* an instance, or instance/checkpoint */
	COMPLETE_FILE,
	COMPLETE_COMMAND,
	COMPLETE_WORDS /* those in option_row.value: "table|json|csv" */
};

struct option_row {
	const char *name;  /* "force" */
	char letter;	   /* 'f', or 0 */
	const char *value; /* "SECONDS"; NULL: a flag */
	const char *help;
	enum complete complete; /* what its value is */
};

extern const struct option_row args_global[];

struct command;

struct args {
	const struct command *command;
	char **operands;
	size_t n_operands;
	char **rest;	/* behind "--" or behind command->free_after operands; NULL: none */
	bool has_rest;	/* there was a "--" */
	char ***values; /* per row: those of the command, then the global ones */
	size_t n_values;
};

/* Takes @argv (without the command's own name) apart. CLI_EUSAGE with words; then @ret is still to be done. */
int args_parse(const struct command *c, char *const *argv, struct args *ret, struct err *err);
void args_done(struct args *a);
AUTO_DEFINE_IN(struct args, args_done)

/* The option must be in the command's rows or the global ones. The last value wins; args_all gives all of them. */
bool args_has(const struct args *a, const char *option);
const char *args_get(const struct args *a, const char *option);
char *const *args_all(const struct args *a, const char *option);

/* CLI_EUSAGE naming the option when its value is not a number in [min, max]; @ret untouched when it was not given. */
int args_get_int(const struct args *a, const char *option, int64_t min, int64_t max, int64_t *ret, struct err *err);

/* The candidate nearest to @word, or NULL when none is near; @candidates is NULL-terminated. */
const char *args_nearest(const char *word, char *const *candidates);
