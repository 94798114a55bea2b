/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/cli.h"

const struct option_row args_global[] = {
	{ "format", 0, "table|compact|csv|json", "how results are printed", COMPLETE_WORDS },
	{ "quiet", 'q', NULL, "do not tell what was done" },
	{ "socket", 0, "PATH", "the daemon's socket (else $STASIS_SOCKET, else " CLI_DEFAULT_SOCKET ")",
	  COMPLETE_FILE },
	{ "help", 'h', NULL, "this help" },
	{ NULL },
};

static size_t count_rows(const struct option_row *rows)
{
	size_t n = 0;

	while (rows && rows[n].name)
		n++;
	return n;
}

/* Row @i of the command's own options followed by the global ones. */
static const struct option_row *row_at(const struct command *c, size_t i)
{
	size_t n_own = count_rows(c->options);

	return i < n_own ? &c->options[i] : &args_global[i - n_own];
}

static size_t row_index(const struct args *a, const char *option)
{
	for (size_t i = 0; i < a->n_values; i++)
		if (str_eq(row_at(a->command, i)->name, option))
			return i;
	assert(!"an option that no row describes");
	return 0;
}

/* Optimal string alignment distance, cut short: words of commands and options are short. */
static size_t distance(const char *a, const char *b)
{
	enum { MAX = 32 };
	size_t d[MAX + 1][MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > MAX || m > MAX)
		return MAX;
	for (size_t i = 0; i <= n; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		for (size_t j = 1; j <= m; j++) {
			size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			best = d[i - 1][j] + 1 < best ? d[i - 1][j] + 1 : best;
			best = d[i][j - 1] + 1 < best ? d[i][j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[n][m];
}

const char *args_nearest(const char *word, char *const *candidates)
{
	size_t allowed = strlen(word) < 4 ? 1 : strlen(word) < 8 ? 2 : 3;
	size_t best = allowed + 1;
	const char *nearest = NULL;

	for (size_t i = 0; candidates && candidates[i]; i++) {
		size_t d = distance(word, candidates[i]);

		if (d < best) {
			best = d;
			nearest = candidates[i];
		}
	}
	if (nearest)
		return nearest;

	/* A beginning is a good hint too: "rest" for restart. */
	for (size_t i = 0; candidates && candidates[i]; i++)
		if (strlen(word) >= 2 && str_after(candidates[i], word))
			return candidates[i];
	return NULL;
}

static int unknown_option(const struct args *a, const char *name, struct err *err)
{
	AUTO(strv_free) char **names = NULL;
	const char *near;

	for (size_t i = 0; i < a->n_values; i++)
		strv_add(&names, row_at(a->command, i)->name);
	near = args_nearest(name, names);
	if (near)
		return err_set(err, CLI_EUSAGE, "unknown option '--%s' (did you mean '--%s'?)", name, near);
	return err_set(err, CLI_EUSAGE, "unknown option '--%s'", name);
}

/* Notes one option. @value is NULL when none was written together with it; the next word may serve then. */
static int take_option(struct args *a, size_t i, const char *spelled, const char *value, char *const **argv,
		       struct err *err)
{
	const struct option_row *row = row_at(a->command, i);

	if (!row->value && value)
		return err_set(err, CLI_EUSAGE, "option '%s' takes no value", spelled);
	if (row->value && !value) {
		value = **argv;
		if (!value)
			return err_set(err, CLI_EUSAGE, "option '%s' needs a value: %s", spelled, row->value);
		(*argv)++;
	}
	strv_add(&a->values[i], value ? value : "");
	return 0;
}

static int take_long(struct args *a, const char *word, char *const **argv, struct err *err)
{
	const char *equals = strchr(word, '=');
	autofree char *name = equals ? xstrndup(word, (size_t)(equals - word)) : xstrdup(word);

	for (size_t i = 0; i < a->n_values; i++) {
		autofree char *spelled = NULL;

		if (!str_eq(row_at(a->command, i)->name, name))
			continue;
		spelled = xasprintf("--%s", name);
		return take_option(a, i, spelled, equals ? equals + 1 : NULL, argv, err);
	}
	return unknown_option(a, name, err);
}

/* "-it", "-n5": letters until one that takes a value. */
static int take_letters(struct args *a, const char *word, char *const **argv, struct err *err)
{
	while (*word) {
		char spelled[] = { '-', *word, 0 };
		size_t i = 0;
		int r;

		while (i < a->n_values && row_at(a->command, i)->letter != *word)
			i++;
		if (i == a->n_values)
			return err_set(err, CLI_EUSAGE, "unknown option '%s'", spelled);
		word++;
		if (row_at(a->command, i)->value && *word)
			return take_option(a, i, spelled, *word == '=' ? word + 1 : word, argv, err);
		r = take_option(a, i, spelled, NULL, argv, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_count(const struct args *a, struct err *err)
{
	const struct command *c = a->command;

	if ((int)a->n_operands < c->min)
		return err_set(err, CLI_EUSAGE, "something is missing: %s %s", c->name, c->operands);
	if (c->max >= 0 && (int)a->n_operands > c->max)
		return err_set(err, CLI_EUSAGE, "'%s' is one word too many%s", a->operands[c->max],
			       c->max == 0 ? ": nothing is expected here" : "");
	if (a->has_rest && !c->has_rest)
		return err_set(err, CLI_EUSAGE, "'--' has no meaning for '%s'", c->name);
	return 0;
}

int args_parse(const struct command *c, char *const *argv, struct args *ret, struct err *err)
{
	int r = 0;

	*ret = (struct args){ .command = c, .n_values = count_rows(c->options) + count_rows(args_global) };
	ret->values = xcalloc(ret->n_values, sizeof(*ret->values));

	while (*argv && r == 0) {
		const char *word = *argv++;

		if (str_eq(word, "--")) {
			ret->has_rest = true;
			break;
		}
		if (word[0] == '-' && word[1] == '-') {
			r = take_long(ret, word + 2, &argv, err);
		} else if (word[0] == '-' && word[1]) {
			r = take_letters(ret, word + 1, &argv, err);
		} else {
			strv_add(&ret->operands, word);
			ret->n_operands++;
			if (c->free_after > 0 && (int)ret->n_operands == c->free_after)
				break;
		}
	}
	if (r < 0)
		return r;
	strv_add_all(&ret->rest, argv);
	if (args_has(ret, "help"))
		return 0; /* asked how it is used: not the moment to complain about it */
	return check_count(ret, err);
}

void args_done(struct args *a)
{
	for (size_t i = 0; i < a->n_values; i++)
		strv_free(a->values[i]);
	free(a->values);
	strv_free(a->operands);
	strv_free(a->rest);
	*a = (struct args){ 0 };
}

char *const *args_all(const struct args *a, const char *option)
{
	return a->values[row_index(a, option)];
}

bool args_has(const struct args *a, const char *option)
{
	return args_all(a, option) != NULL;
}

const char *args_get(const struct args *a, const char *option)
{
	char *const *all = args_all(a, option);
	size_t n = strv_len(all);

	return n > 0 ? all[n - 1] : NULL;
}

int args_get_int(const struct args *a, const char *option, int64_t min, int64_t max, int64_t *ret, struct err *err)
{
	const char *value = args_get(a, option);
	int r;

	if (!value)
		return 0;
	r = str_to_i64(value, min, max, ret, err);
	if (r < 0)
		return err_wrap(err, CLI_EUSAGE, "option '--%s'", option);
	return 0;
}
