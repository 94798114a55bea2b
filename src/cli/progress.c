/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"

enum { BAR = 20, BAR_MIN_SPACE = 8 };

const char *progress_text(const struct json *metadata)
{
	for (struct json_iter it = json_iter(metadata); json_next(&it);)
		if (str_ends(it.key, "_progress") && json_str(it.value))
			return json_str(it.value);
	return NULL;
}

int progress_percent(const char *text)
{
	size_t n = strlen(text);
	int percent = 0, digits = 0, scale = 1;

	if (n < 2 || text[n - 1] != '%')
		return -1;
	for (n--; n > 0 && isdigit((unsigned char)text[n - 1]) && digits < 3; n--, digits++, scale *= 10)
		percent += (text[n - 1] - '0') * scale;
	return digits > 0 && percent <= 100 ? percent : -1;
}

/* Whole seconds since the operation began; 0 when unknown. */
static unsigned long long age(const struct json *operation)
{
	const char *created = json_get_str(operation, "created_at");
	uint64_t then, now = clock_real_us();

	if (!created || clock_parse_rfc3339(created, &then) < 0 || now < then)
		return 0;
	return (now - then) / US_PER_S;
}

static void add_bar(struct strbuf *sb, int percent)
{
	strbuf_adds(sb, " [");
	for (int i = 0; i < BAR; i++)
		strbuf_addc(sb, i < percent * BAR / 100 ? '=' : ' ');
	strbuf_addc(sb, ']');
}

void progress_show(struct progress *p, const char *label, const struct json *operation)
{
	const char *text = progress_text(json_get(operation, "metadata"));

	text = text ? text : json_get_str(operation, "description");
	progress_line(p, label, text ? text : "working", age(operation));
}

void progress_line(struct progress *p, const char *label, const char *text, unsigned long long seconds)
{
	AUTO(strbuf_done) struct strbuf line = STRBUF_INIT;
	autofree char *shown = text_safe(text);
	int width = term_width(STDERR_FILENO), percent;

	strbuf_addf(&line, "%s: %s", label, shown);
	percent = progress_percent(shown);
	if (percent >= 0 && table_width(line.s, line.len) + BAR + BAR_MIN_SPACE < (size_t)width)
		add_bar(&line, percent);
	if (percent < 0 && seconds >= 2)
		strbuf_addf(&line, " (%llu s)", seconds);

	/* A line that wraps could not be taken away again. */
	while (width > 1 && line.len > 0 && table_width(line.s, line.len) >= (size_t)width)
		strbuf_truncate(&line, line.len - 1);
	(void)fprintf(stderr, "\r\033[K%s", line.s);
	p->is_shown = true;
}

void progress_clear(struct progress *p)
{
	if (p->is_shown)
		(void)fputs("\r\033[K", stderr);
	p->is_shown = false;
}
