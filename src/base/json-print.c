/* SPDX-License-Identifier: Apache-2.0 */
/* json-print.c - tree to text, the same with every version of json-c; numbers as they were written */
#include <string.h>

#include "base/json-tree.h"
#include "base/json.h"
#include "base/str.h"

static void print_value(struct strbuf *out, const struct json *j, enum json_print style, int depth);

static void print_string(struct strbuf *out, const char *s)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";

	strbuf_addc(out, '"');
	for (; *s; s++) {
		const char *at = strchr(from, *s);

		if (at)
			strbuf_addf(out, "\\%c", to[at - from]);
		else if ((unsigned char)*s < 0x20)
			strbuf_addf(out, "\\u%04x", (unsigned)*s);
		else
			strbuf_addc(out, *s);
	}
	strbuf_addc(out, '"');
}

static void new_line(struct strbuf *out, enum json_print style, int depth)
{
	if (style == JSON_COMPACT)
		return;
	strbuf_addc(out, '\n');
	for (int i = 0; i < depth; i++)
		strbuf_adds(out, "  ");
}

static void print_object(struct strbuf *out, const struct json *j, enum json_print style, int depth)
{
	const char *separator = "{";

	for (struct json_iter it = json_iter(j); json_next(&it); separator = ",") {
		strbuf_adds(out, separator);
		new_line(out, style, depth + 1);
		print_string(out, it.key);
		strbuf_adds(out, style == JSON_PRETTY ? ": " : ":");
		print_value(out, it.value, style, depth + 1);
	}
	new_line(out, style, depth);
	strbuf_addc(out, '}');
}

static void print_array(struct strbuf *out, const struct json *j, enum json_print style, int depth)
{
	const char *separator = "[";

	for (size_t i = 0; i < json_len(j); i++, separator = ",") {
		strbuf_adds(out, separator);
		new_line(out, style, depth + 1);
		print_value(out, json_item(j, i), style, depth + 1);
	}
	new_line(out, style, depth);
	strbuf_addc(out, ']');
}

static void print_value(struct strbuf *out, const struct json *j, enum json_print style, int depth)
{
	char number[JSON_NUMBER_SIZE];

	switch (json_type(j)) {
	case JSON_NULL:
		strbuf_adds(out, "null");
		break;
	case JSON_BOOL:
		strbuf_adds(out, json_bool(j, false) ? "true" : "false");
		break;
	case JSON_INT:
	case JSON_DOUBLE:
		strbuf_adds(out, json_number_text(j, number));
		break;
	case JSON_STRING:
		print_string(out, json_str(j));
		break;
	case JSON_ARRAY:
		if (json_len(j) == 0)
			strbuf_adds(out, "[]");
		else
			print_array(out, j, style, depth);
		break;
	case JSON_OBJECT:
		if (json_len(j) == 0)
			strbuf_adds(out, "{}");
		else
			print_object(out, j, style, depth);
		break;
	}
}

char *json_print(const struct json *j, enum json_print style)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;

	print_value(&out, j, style, 0);
	return strbuf_take(&out);
}
