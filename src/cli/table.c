/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/term.h"
#include "cli/text.h"

enum { GAP = 2, NARROWEST = 24 }; /* between columns; a last column narrower than this is not wrapped */

struct table {
	const struct table_column *columns;
	size_t n_columns;
	char **cells; /* row by row */
	size_t n_cells, cap;
};

struct table *table_new(const struct table_column *columns)
{
	struct table *t = xcalloc(1, sizeof(*t));

	t->columns = columns;
	while (columns[t->n_columns].head)
		t->n_columns++;
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

void table_add(struct table *t, const char *text)
{
	if (t->n_cells == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->cells = xreallocarray(t->cells, t->cap, sizeof(*t->cells));
	}
	t->cells[t->n_cells++] = text_safe(text ? text : "");
}

void table_addf(struct table *t, const char *fmt, ...)
{
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&sb, fmt, ap);
	va_end(ap);
	table_add(t, sb.s);
}

size_t table_rows(const struct table *t)
{
	return t->n_columns ? t->n_cells / t->n_columns : 0;
}

/* The next code point of @s; *n bytes are left. Broken UTF-8 counts byte by byte. */
static unsigned next_code(const char **s, size_t *n)
{
	const unsigned char *p = (const unsigned char *)*s;
	size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 1;
	unsigned code;

	if (len > *n)
		len = 1;
	code = len == 1 ? p[0] : p[0] & (0x7f >> len);
	for (size_t i = 1; i < len; i++)
		code = code << 6 | (p[i] & 0x3f);
	*s += len;
	*n -= len;
	return code;
}

static size_t code_width(unsigned c)
{
	/* The blocks that occur in names and descriptions, not all of Unicode: zero and double width, sorted. */
	static const struct {
		unsigned first, last;
		size_t width;
	} ranges[] = {
		{ 0x0300, 0x036f, 0 },	 { 0x0591, 0x05bd, 0 },	  { 0x064b, 0x065f, 0 },   { 0x1100, 0x115f, 2 },
		{ 0x1ab0, 0x1aff, 0 },	 { 0x1dc0, 0x1dff, 0 },	  { 0x200b, 0x200f, 0 },   { 0x202a, 0x202e, 0 },
		{ 0x2060, 0x2064, 0 },	 { 0x20d0, 0x20ff, 0 },	  { 0x231a, 0x231b, 2 },   { 0x2e80, 0x303e, 2 },
		{ 0x3041, 0xa4cf, 2 },	 { 0xac00, 0xd7a3, 2 },	  { 0xf900, 0xfaff, 2 },   { 0xfe00, 0xfe0f, 0 },
		{ 0xfe20, 0xfe2f, 0 },	 { 0xfe30, 0xfe6f, 2 },	  { 0xff00, 0xff60, 2 },   { 0xffe0, 0xffe6, 2 },
		{ 0x1f300, 0x1f64f, 2 }, { 0x1f680, 0x1f6ff, 2 }, { 0x1f900, 0x1f9ff, 2 }, { 0x20000, 0x3fffd, 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ranges) && c >= ranges[i].first; i++)
		if (c <= ranges[i].last)
			return ranges[i].width;
	return 1;
}

size_t table_width(const char *s, size_t n)
{
	size_t width = 0;

	while (n > 0)
		width += code_width(next_code(&s, &n));
	return width;
}

static size_t text_width(const char *s)
{
	return table_width(s, strlen(s));
}

static void pad(struct strbuf *out, size_t n)
{
	while (n-- > 0)
		strbuf_addc(out, ' ');
}

/* Words of @text in lines of at most @width, each but the first indented. */
static void add_wrapped(struct strbuf *out, const char *text, size_t width, size_t indent)
{
	size_t used = 0;

	while (*text) {
		size_t n = strcspn(text, " ");
		size_t w = table_width(text, n);

		if (used > 0 && used + 1 + w > width) {
			strbuf_addc(out, '\n');
			pad(out, indent);
			used = 0;
		} else if (used > 0) {
			strbuf_addc(out, ' ');
			used++;
		}
		strbuf_add(out, text, n);
		used += w;
		text += n;
		text += strspn(text, " ");
	}
}

static void add_line(const struct table *t, char *const *cells, const size_t *widths, size_t terminal,
		     struct strbuf *out)
{
	size_t at = 0;

	for (size_t i = 0; i < t->n_columns; i++) {
		const char *text = cells ? cells[i] : t->columns[i].head;
		size_t width = text_width(text);
		bool is_last = i + 1 == t->n_columns;

		if (t->columns[i].is_right)
			pad(out, widths[i] - width);
		if (is_last && terminal >= at + NARROWEST && at + width > terminal)
			add_wrapped(out, text, terminal - at, at);
		else
			strbuf_adds(out, text);
		if (!t->columns[i].is_right && !is_last)
			pad(out, widths[i] - width);
		if (!is_last)
			pad(out, GAP);
		at += widths[i] + GAP;
	}
	while (out->len > 0 && out->s[out->len - 1] == ' ')
		strbuf_truncate(out, out->len - 1);
	strbuf_addc(out, '\n');
}

static void render_aligned(const struct table *t, bool has_heads, size_t terminal, struct strbuf *out)
{
	autofree size_t *widths = xcalloc(t->n_columns + 1, sizeof(*widths));

	for (size_t i = 0; i < t->n_columns && has_heads; i++)
		widths[i] = text_width(t->columns[i].head);
	for (size_t row = 0; row < table_rows(t); row++) {
		for (size_t i = 0; i < t->n_columns; i++) {
			size_t width = text_width(t->cells[row * t->n_columns + i]);

			widths[i] = width > widths[i] ? width : widths[i];
		}
	}
	if (has_heads)
		add_line(t, NULL, widths, terminal, out);
	for (size_t row = 0; row < table_rows(t); row++)
		add_line(t, &t->cells[row * t->n_columns], widths, terminal, out);
}

static void add_csv(struct strbuf *out, const char *text)
{
	if (!strpbrk(text, ",\"\r\n") && text[0] != ' ') {
		strbuf_adds(out, text);
		return;
	}
	strbuf_addc(out, '"');
	for (; *text; text++) {
		if (*text == '"')
			strbuf_addc(out, '"');
		strbuf_addc(out, *text);
	}
	strbuf_addc(out, '"');
}

static void render_csv(const struct table *t, struct strbuf *out)
{
	size_t whole = table_rows(t) * t->n_columns;

	for (size_t i = 0; i < whole; i++) {
		add_csv(out, t->cells[i]);
		strbuf_addc(out, (i + 1) % t->n_columns ? ',' : '\n');
	}
}

static void render_json(const struct table *t, struct strbuf *out)
{
	AUTO(json_free) struct json *rows = json_new_array();
	autofree char *text = NULL;

	for (size_t row = 0; row < table_rows(t); row++) {
		struct json *object = json_new_object();

		for (size_t i = 0; i < t->n_columns; i++) {
			autofree char *key = xstrdup(t->columns[i].head);

			for (char *p = key; *p; p++)
				*p = *p == ' ' ? '_' : (char)tolower((unsigned char)*p);
			json_set_str(object, key, t->cells[row * t->n_columns + i]);
		}
		json_add(rows, object);
	}
	text = json_print(rows, JSON_PRETTY);
	strbuf_adds(out, text);
	strbuf_addc(out, '\n');
}

void table_render(const struct table *t, enum table_style style, int width, struct strbuf *out)
{
	if (style == TABLE_JSON)
		render_json(t, out);
	else if (style == TABLE_CSV)
		render_csv(t, out);
	else
		render_aligned(t, style == TABLE_PLAIN, width > 0 ? (size_t)width : 0, out);
}

void table_print(const struct table *t, enum table_style style)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;

	table_render(t, style, term_width(STDOUT_FILENO), &out);
	(void)fwrite(out.s, 1, out.len, stdout);
}

int table_style_parse(const char *word, enum table_style *ret, struct err *err)
{
	static const char *const words[] = { "table", "compact", "csv", "json" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (str_eq(word, words[i])) {
			*ret = (enum table_style)i;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "no format '%s': table, compact, csv or json", word);
}
