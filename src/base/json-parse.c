/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json-parse.c - text to tree, exactly RFC 8259
 *
 * The whole text is checked to be UTF-8 first; then one pass builds the tree. What RFC 8259 leaves open is refused
 * where two readers could understand two things: duplicate keys, lone surrogates, \u0000 (our strings end there). Depth
 * is bounded, so recursion is.
 */
#include <stdio.h>
#include <string.h>

#include "base/json-tree.h"
#include "base/json.h"
#include "base/str.h"

struct parser {
	const char *s;
	size_t len, pos;
	int depth;
	struct err *err;
};

static int parse_value(struct parser *p, struct json **ret);

/* The next byte; 0 at the end (the text itself has none). */
static char peek(const struct parser *p)
{
	return p->pos < p->len ? p->s[p->pos] : '\0';
}

static int wrong(const struct parser *p, const char *what)
{
	size_t line = 1, column = 1;

	for (size_t i = 0; i < p->pos; i++) {
		column = p->s[i] == '\n' ? 1 : column + 1;
		line += p->s[i] == '\n';
	}
	return err_set(p->err, -EINVAL, "not valid JSON: line %zu, column %zu: %s", line, column, what);
}

static void skip_blanks(struct parser *p)
{
	while (peek(p) == ' ' || peek(p) == '\t' || peek(p) == '\n' || peek(p) == '\r')
		p->pos++;
}

/* Skips blanks and takes @c if it is next. */
static bool take(struct parser *p, char c)
{
	skip_blanks(p);
	if (peek(p) != c)
		return false;
	p->pos++;
	return true;
}

static int parse_word(struct parser *p, const char *word)
{
	size_t n = strlen(word);

	if (p->len - p->pos < n || memcmp(p->s + p->pos, word, n) != 0)
		return wrong(p, "a value is expected here");
	p->pos += n;
	return 0;
}

static int hex4(struct parser *p, unsigned *ret)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++, p->pos++) {
		char c = peek(p);

		if (c >= '0' && c <= '9')
			v = v * 16 + (unsigned)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v * 16 + (unsigned)((c | 0x20) - 'a') + 10;
		else
			return wrong(p, "\\u wants four hexadecimal digits");
	}
	*ret = v;
	return 0;
}

static void add_character(struct strbuf *out, unsigned c)
{
	if (c < 0x80) {
		strbuf_addc(out, (char)c);
	} else if (c < 0x800) {
		strbuf_addc(out, (char)(0xc0 | c >> 6));
		strbuf_addc(out, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		strbuf_addc(out, (char)(0xe0 | c >> 12));
		strbuf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		strbuf_addc(out, (char)(0x80 | (c & 0x3f)));
	} else {
		strbuf_addc(out, (char)(0xf0 | c >> 18));
		strbuf_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		strbuf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		strbuf_addc(out, (char)(0x80 | (c & 0x3f)));
	}
}

/* Behind "\u". */
static int parse_unicode(struct parser *p, struct strbuf *out)
{
	unsigned c, low;
	int r;

	r = hex4(p, &c);
	if (r < 0)
		return r;
	if (c == 0)
		return wrong(p, "a string must not hold \\u0000");
	if (c >= 0xdc00 && c <= 0xdfff)
		return wrong(p, "half of a surrogate pair");
	if (c >= 0xd800 && c <= 0xdbff) {
		if (p->len - p->pos < 2 || p->s[p->pos] != '\\' || p->s[p->pos + 1] != 'u')
			return wrong(p, "half of a surrogate pair");
		p->pos += 2;
		r = hex4(p, &low);
		if (r < 0)
			return r;
		if (low < 0xdc00 || low > 0xdfff)
			return wrong(p, "half of a surrogate pair");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	add_character(out, c);
	return 0;
}

/* Behind a backslash. */
static int parse_escape(struct parser *p, struct strbuf *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char c = peek(p);
	const char *at = c ? strchr(from, c) : NULL;

	if (!at && c != 'u')
		return wrong(p, "unknown escape");
	p->pos++;
	if (c == 'u')
		return parse_unicode(p, out);
	strbuf_addc(out, to[at - from]);
	return 0;
}

/* Behind the opening quote. */
static int parse_string(struct parser *p, struct strbuf *out)
{
	for (;;) {
		size_t from = p->pos;
		char c;
		int r;

		while ((c = peek(p)) && c != '"' && c != '\\' && (unsigned char)c >= 0x20)
			p->pos++;
		strbuf_add(out, p->s + from, p->pos - from);
		if (p->pos == p->len)
			return wrong(p, "a string is not closed");
		if (c == '"') {
			p->pos++;
			return 0;
		}
		if (c != '\\')
			return wrong(p, "a control character in a string");
		p->pos++;
		r = parse_escape(p, out);
		if (r < 0)
			return r;
	}
}

static bool skip_digits(struct parser *p)
{
	size_t from = p->pos;

	while (peek(p) >= '0' && peek(p) <= '9')
		p->pos++;
	return p->pos > from;
}

static struct json *number_of(const char *text, bool is_whole)
{
	bool is_negative = *text == '-';
	uint64_t u = 0;
	int64_t i;

	/* "-0" is a whole number, but not an int64. */
	if (!is_whole || strcmp(text, "-0") == 0)
		return json_new_number_text(text);
	if (str_to_i64(text, INT64_MIN, INT64_MAX, &i, NULL) == 0)
		return json_new_int(i);
	for (const char *c = text; *c && !is_negative; c++)
		if (__builtin_mul_overflow(u, 10, &u) || __builtin_add_overflow(u, (uint64_t)(*c - '0'), &u))
			return json_new_number_text(text);
	return is_negative ? json_new_number_text(text) : json_new_uint(u);
}

static int parse_number(struct parser *p, struct json **ret)
{
	AUTO(strbuf_done) struct strbuf text = STRBUF_INIT;
	size_t from = p->pos;
	bool is_whole = true;

	if (peek(p) == '-')
		p->pos++;
	if (peek(p) == '0')
		p->pos++;
	else if (!skip_digits(p))
		return wrong(p, "a value is expected here");
	if (peek(p) == '.') {
		is_whole = false;
		p->pos++;
		if (!skip_digits(p))
			return wrong(p, "digits are expected behind the point");
	}
	if ((peek(p) | 0x20) == 'e') {
		is_whole = false;
		p->pos++;
		if (peek(p) == '+' || peek(p) == '-')
			p->pos++;
		if (!skip_digits(p))
			return wrong(p, "digits are expected in the exponent");
	}
	strbuf_add(&text, p->s + from, p->pos - from);
	*ret = number_of(text.s, is_whole);
	return 0;
}

static int parse_member(struct parser *p, struct json *object)
{
	AUTO(strbuf_done) struct strbuf key = STRBUF_INIT;
	struct json *value = NULL;
	int r;

	if (!take(p, '"'))
		return wrong(p, "a key in quotes is expected here");
	r = parse_string(p, &key);
	if (r < 0)
		return r;
	if (json_has(object, key.s))
		return wrong(p, "this key is there twice");
	if (!take(p, ':'))
		return wrong(p, "':' is expected here");
	r = parse_value(p, &value);
	if (r < 0)
		return r;
	json_set(object, key.s, value);
	return 0;
}

/* Behind '{'. */
static int parse_object(struct parser *p, struct json **ret)
{
	AUTO(json_free) struct json *object = json_new_object();
	int r;

	if (!take(p, '}')) {
		do {
			r = parse_member(p, object);
			if (r < 0)
				return r;
		} while (take(p, ','));
		if (!take(p, '}'))
			return wrong(p, "',' or '}' is expected here");
	}
	*ret = TAKE_PTR(object);
	return 0;
}

/* Behind '['. */
static int parse_array(struct parser *p, struct json **ret)
{
	AUTO(json_free) struct json *array = json_new_array();
	struct json *value = NULL;
	int r;

	if (!take(p, ']')) {
		do {
			r = parse_value(p, &value);
			if (r < 0)
				return r;
			json_add(array, value);
		} while (take(p, ','));
		if (!take(p, ']'))
			return wrong(p, "',' or ']' is expected here");
	}
	*ret = TAKE_PTR(array);
	return 0;
}

static int parse_nested(struct parser *p, struct json **ret)
{
	bool is_object = peek(p) == '{';
	int r;

	if (p->depth == JSON_MAX_DEPTH)
		return wrong(p, "nested too deeply");
	p->pos++;
	p->depth++;
	r = is_object ? parse_object(p, ret) : parse_array(p, ret);
	p->depth--;
	return r;
}

static int parse_constant(struct parser *p, const char *word, struct json *value, struct json **ret)
{
	AUTO(json_free) struct json *owned = value;
	int r = parse_word(p, word);

	if (r == 0)
		*ret = TAKE_PTR(owned);
	return r;
}

static int parse_value(struct parser *p, struct json **ret)
{
	AUTO(strbuf_done) struct strbuf text = STRBUF_INIT;
	int r;

	skip_blanks(p);
	switch (peek(p)) {
	case '{':
	case '[':
		return parse_nested(p, ret);
	case '"':
		p->pos++;
		r = parse_string(p, &text);
		if (r == 0)
			*ret = json_new_str(text.s);
		return r;
	case 't':
		return parse_constant(p, "true", json_new_bool(true), ret);
	case 'f':
		return parse_constant(p, "false", json_new_bool(false), ret);
	case 'n':
		return parse_constant(p, "null", NULL, ret);
	default:
		return parse_number(p, ret);
	}
}

int json_parse(const char *text, size_t len, struct json **ret, struct err *err)
{
	struct parser p = { .s = text, .len = len, .err = err };
	AUTO(json_free) struct json *value = NULL;
	int r;

	if (!str_is_utf8(text, len))
		return err_set(err, -EINVAL, "not valid JSON: it is not UTF-8 text");
	r = parse_value(&p, &value);
	if (r < 0)
		return r;
	skip_blanks(&p);
	if (p.pos < p.len)
		return wrong(&p, "something follows the value");
	*ret = TAKE_PTR(value);
	return 0;
}
