/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strv.c - NULL-terminated vectors of strings
 *
 * A vector knows no capacity: appending counts and reallocates. That is quadratic, and right for the tens of strings
 * that an argv or an environment has; realloc() mostly grows in place.
 */
#include "base/strv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

size_t strv_len(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

void strv_free(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		free(v[i]);
	free(v);
}

char **strv_copy(char *const *v)
{
	size_t n = strv_len(v);
	char **copy = xcalloc(n + 1, sizeof(char *));

	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(v[i]);
	return copy;
}

void strv_take(char ***v, char *s)
{
	size_t n = strv_len(*v);

	*v = xreallocarray(*v, n + 2, sizeof(char *));
	(*v)[n] = s;
	(*v)[n + 1] = NULL;
}

void strv_add(char ***v, const char *s)
{
	strv_take(v, xstrdup(s));
}

void strv_addf(char ***v, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		mem_exhausted();
	strv_take(v, s);
}

void strv_add_all(char ***v, char *const *more)
{
	size_t n = strv_len(*v), n_more = strv_len(more);
	bool is_same = more == *v;

	if (n_more == 0)
		return;
	*v = xreallocarray(*v, n + n_more + 1, sizeof(char *));
	for (size_t i = 0; i < n_more; i++)
		(*v)[n + i] = xstrdup(is_same ? (*v)[i] : more[i]);
	(*v)[n + n_more] = NULL;
}

char **strv_new(const char *first, ...)
{
	char **v = xcalloc(1, sizeof(char *));
	va_list ap;

	va_start(ap, first);
	for (const char *s = first; s; s = va_arg(ap, const char *))
		strv_add(&v, s);
	va_end(ap);
	return v;
}

bool strv_has(char *const *v, const char *s)
{
	for (size_t i = 0; v && v[i]; i++)
		if (strcmp(v[i], s) == 0)
			return true;
	return false;
}

char **strv_split(const char *s, char sep)
{
	char **v = NULL;
	const char *end;

	while ((end = strchr(s, sep)) && *end) {
		strv_take(&v, xstrndup(s, (size_t)(end - s)));
		s = end + 1;
	}
	strv_add(&v, s);
	return v;
}

char *strv_join(char *const *v, const char *sep)
{
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;

	for (size_t i = 0; v && v[i]; i++) {
		if (i > 0)
			strbuf_adds(&sb, sep);
		strbuf_adds(&sb, v[i]);
	}
	return strbuf_take(&sb);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(char **v)
{
	size_t n = strv_len(v);

	if (n > 1)
		qsort(v, n, sizeof(char *), by_bytes);
}

/* The value in "KEY=VALUE" if it is that key's, else NULL. */
static const char *value_of(const char *pair, const char *key)
{
	const char *rest = str_after(pair, key);

	return rest && *rest == '=' ? rest + 1 : NULL;
}

void strv_env_set(char ***v, const char *key, const char *value)
{
	for (size_t i = 0; *v && (*v)[i]; i++) {
		if (value_of((*v)[i], key)) {
			char *pair = xasprintf("%s=%s", key, value); /* before the free: @value may be the old one */

			free((*v)[i]);
			(*v)[i] = pair;
			return;
		}
	}
	strv_addf(v, "%s=%s", key, value);
}

const char *strv_env_get(char *const *v, const char *key)
{
	for (size_t i = 0; v && v[i]; i++) {
		const char *value = value_of(v[i], key);

		if (value)
			return value;
	}
	return NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* The inside of '...' or "..." behind the opening quote; *s ends behind the closing one. */
static int take_quoted(const char **s, char quote, struct strbuf *word, struct err *err)
{
	for (; **s != quote; (*s)++) {
		if (!**s)
			return err_set(err, -EINVAL, "a quote (%c) is not closed", quote);
		if (quote == '"' && **s == '\\') {
			if ((*s)[1] == '\n') { /* a line that goes on */
				(*s)++;
				continue;
			}
			if ((*s)[1] && strchr("\"\\$`", (*s)[1]))
				(*s)++;
		}
		strbuf_addc(word, **s);
	}
	(*s)++;
	return 0;
}

static int take_word(const char **s, struct strbuf *word, struct err *err)
{
	while (**s && !is_blank(**s)) {
		char c = *(*s)++;
		int r;

		if (c == '\'' || c == '"') {
			r = take_quoted(s, c, word, err);
			if (r < 0)
				return r;
		} else if (c != '\\') {
			strbuf_addc(word, c);
		} else if (!**s) {
			return err_set(err, -EINVAL, "a backslash at the end quotes nothing");
		} else if (**s == '\n') {
			(*s)++;
		} else {
			strbuf_addc(word, *(*s)++);
		}
	}
	return 0;
}

int strv_parse_words(const char *s, char ***ret, struct err *err)
{
	AUTO(strv_free) char **v = strv_new(NULL, NULL);

	for (;;) {
		AUTO(strbuf_done) struct strbuf word = STRBUF_INIT;
		int r;

		while (is_blank(*s))
			s++;
		if (!*s)
			break;
		r = take_word(&s, &word, err);
		if (r < 0)
			return r;
		strv_take(&v, strbuf_take(&word));
	}
	*ret = TAKE_PTR(v);
	return 0;
}

static bool is_plain_word(const char *s)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789%+,-./:=@_";

	return *s && s[strspn(s, plain)] == '\0';
}

char *strv_quote(char *const *v)
{
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;

	for (size_t i = 0; v && v[i]; i++) {
		if (i > 0)
			strbuf_addc(&sb, ' ');
		if (is_plain_word(v[i])) {
			strbuf_adds(&sb, v[i]);
			continue;
		}
		strbuf_addc(&sb, '\'');
		for (const char *c = v[i]; *c; c++) {
			if (*c == '\'')
				strbuf_adds(&sb, "'\\''");
			else
				strbuf_addc(&sb, *c);
		}
		strbuf_addc(&sb, '\'');
	}
	return strbuf_take(&sb);
}
