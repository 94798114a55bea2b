/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/facts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/table.h"
#include "cli/text.h"

struct facts {
	char **lines; /* name, value, name, value, … */
};

struct facts *facts_new(void)
{
	return xcalloc(1, sizeof(struct facts));
}

void facts_free(struct facts *f)
{
	if (!f)
		return;
	strv_free(f->lines);
	free(f);
}

void facts_add(struct facts *f, const char *name, const char *value)
{
	autofree char *trimmed = NULL;

	if (!value || !*value)
		return;
	strv_add(&f->lines, name);
	trimmed = xstrdup(value);
	str_rtrim(trimmed);
	strv_take(&f->lines, text_safe(trimmed));
}

void facts_addf(struct facts *f, const char *name, const char *fmt, ...)
{
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&sb, fmt, ap);
	va_end(ap);
	facts_add(f, name, sb.s);
}

void facts_print(const struct facts *f)
{
	size_t n = strv_len(f->lines), widest = 0;

	for (size_t i = 0; i < n; i += 2) {
		size_t width = table_width(f->lines[i], strlen(f->lines[i]));

		widest = width > widest ? width : widest;
	}
	for (size_t i = 0; i < n; i += 2) {
		bool is_same = i > 0 && str_eq(f->lines[i], f->lines[i - 2]);
		size_t width = is_same ? 0 : table_width(f->lines[i], strlen(f->lines[i]));

		(void)printf("%s%s%*s  %s\n", is_same ? "" : f->lines[i], is_same ? " " : ":", (int)(widest - width),
			     "", f->lines[i + 1]);
	}
}
