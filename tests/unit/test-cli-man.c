/* SPDX-License-Identifier: Apache-2.0 */
/* test-cli-man.c - the manual page names every command and every option of the table */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "test.h"

static char *read_page(void)
{
	struct err err = ERR_INIT;
	char *page = NULL;

	if (file_read(STASIS_MAN, 1 << 20, &page, NULL, &err) < 0)
		printf("     %s\n", err.text);
	return page;
}

/* What the page says of "image pull", a new string: from its ".It Cm" line to the next one behind some text. */
static char *section_of(const char *page, const char *path)
{
	autofree char *title = xasprintf("\n.It Cm %s", path);
	const char *begin = strstr(page, title), *end;
	bool has_text = false;

	while (begin && begin[strlen(title)] != ' ' && begin[strlen(title)] != '\n')
		begin = strstr(begin + 1, title);
	if (!begin)
		return NULL;
	for (end = strchr(begin + 1, '\n'); end; end = strchr(end + 1, '\n')) {
		bool is_title = str_after(end, "\n.It Cm ") != NULL;

		if ((is_title && has_text) || str_after(end, "\n.Sh ") || str_after(end, "\n.Ss "))
			break;
		has_text = has_text || !is_title;
	}
	return end ? xstrndup(begin, (size_t)(end - begin)) : xstrdup(begin);
}

static bool names_option(const char *text, const char *name)
{
	autofree char *needle = xasprintf("Fl -%s", name);

	for (const char *at = strstr(text, needle); at; at = strstr(at + 1, needle))
		if (strchr(" \n", at[strlen(needle)]))
			return true;
	for (const char *at = strstr(text, needle + 3); at; at = strstr(at + 1, needle + 3))
		if (str_after(at - 2, ", ") && strchr(" \n", at[strlen(needle + 3)]))
			return true;
	return false;
}

static void check_command(const char *page, const struct command *c, const char *path)
{
	autofree char *section = NULL;

	if (c->group == GROUP_HIDDEN)
		return;
	for (size_t i = 0; c->subs && c->subs[i]; i++) {
		autofree char *deeper = *path ? xasprintf("%s %s", path, c->subs[i]->name) : xstrdup(c->subs[i]->name);

		check_command(page, c->subs[i], deeper);
	}
	if (c->subs)
		return;
	section = section_of(page, path);
	CHECK(section != NULL);
	if (!section)
		printf("       no '%s' in the manual\n", path);
	for (const struct option_row *row = c->options; section && row && row->name; row++) {
		CHECK(names_option(section, row->name));
		if (!names_option(section, row->name))
			printf("       no '%s --%s' in the manual\n", path, row->name);
	}
}

TEST(every_command_and_option_is_in_the_manual)
{
	autofree char *page = read_page();

	REQUIRE(page != NULL);
	check_command(page, &cli_root, "");
	for (const struct option_row *row = args_global; row->name; row++)
		CHECK(names_option(page, row->name));
	for (const struct option_row *row = cli_root.options; row->name; row++)
		CHECK(names_option(page, row->name));
}
