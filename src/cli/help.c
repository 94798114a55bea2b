/* SPDX-License-Identifier: Apache-2.0 */
/* help.c - what `stasis help` shows, made from the rows */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cmd.h"
#include "cli/term.h"

static const struct {
	enum command_group group;
	const char *title;
} groups[] = {
	{ GROUP_LIFE, "Life of an instance" },
	{ GROUP_INSIDE, "Inside an instance" },
	{ GROUP_KNOW, "What there is, and how it is set" },
	{ GROUP_OTHER, "Images, the daemon, and this program" },
};

int help_usage_line(const struct command *c, const char *path, char *buf, size_t size)
{
	int n = snprintf(buf, size, "usage: %s%s%s%s  ('%s --help' says more)", path, c->options ? " [OPTION…]" : "",
			 c->operands ? " " : "", c->operands ? c->operands : "", path);

	return n > 0 && (size_t)n < size ? 0 : -ENOSPC;
}

/* "  -f, --force" or "      --timeout SECONDS", padded to a column. */
static void add_option(struct strbuf *out, const struct option_row *row)
{
	AUTO(strbuf_done) struct strbuf left = STRBUF_INIT;

	if (row->letter)
		strbuf_addf(&left, "  -%c, --%s", row->letter, row->name);
	else
		strbuf_addf(&left, "      --%s", row->name);
	if (row->value)
		strbuf_addf(&left, " %s", row->complete == COMPLETE_WORDS ? "WORD" : row->value);
	strbuf_addf(out, "%s", left.s);
	for (size_t width = table_width(left.s, left.len); width < 28; width++)
		strbuf_addc(out, ' ');
	strbuf_addf(out, " %s", row->help);
	if (row->complete == COMPLETE_WORDS) {
		autofree char *words = xstrdup(row->value);

		for (char *p = words; *p; p++)
			*p = *p == '|' ? '/' : *p;
		strbuf_addf(out, ": %s", words);
	}
	strbuf_addc(out, '\n');
}

static void add_options(struct strbuf *out, const char *title, const struct option_row *rows)
{
	if (!rows || !rows->name)
		return;
	strbuf_addf(out, "\n%s\n", title);
	for (; rows->name; rows++)
		add_option(out, rows);
}

static void add_sub(struct strbuf *out, const struct command *sub)
{
	strbuf_addf(out, "  %-11s %s\n", sub->name, sub->summary);
}

static void add_subs(struct strbuf *out, const struct command *c, int fd)
{
	if (c != &cli_root) {
		strbuf_adds(out, "\n");
		for (size_t i = 0; c->subs[i]; i++)
			add_sub(out, c->subs[i]);
		return;
	}
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		strbuf_addf(out, "\n%s%s%s\n", term_style(fd, TERM_BOLD), groups[g].title, term_style(fd, TERM_PLAIN));
		for (size_t i = 0; c->subs[i]; i++)
			if (c->subs[i]->group == groups[g].group)
				add_sub(out, c->subs[i]);
	}
}

void help_print(const struct command *c, const char *path, bool is_error)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	int fd = is_error ? STDERR_FILENO : STDOUT_FILENO;

	strbuf_addf(&out, "%s - %s\n", path, c->summary);
	strbuf_addf(&out, "usage: %s%s%s%s\n", path, c->options ? " [OPTION…]" : "", c->operands ? " " : "",
		    c->operands ? c->operands : "");
	if (c->help)
		strbuf_addf(&out, "\n%s\n", c->help);
	if (c->subs)
		add_subs(&out, c, fd);
	add_options(&out, "Options:", c->otherwise ? c->otherwise->options : c->options);
	add_options(&out, "Options of every command:", args_global);
	if (c->subs)
		strbuf_addf(&out, "\n'%s COMMAND --help' says more; the whole manual is stasis(1).\n", path);
	(void)fputs(out.s, is_error ? stderr : stdout);
}
