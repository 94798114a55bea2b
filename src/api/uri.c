/* SPDX-License-Identifier: Apache-2.0 */
/* uri.c - path segments and query; segments are split before they are decoded, so that "%2F" is no separator */
#include "api/uri.h"

#include <string.h>

#include "base/str.h"
#include "base/strv.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes @len bytes at @s. A form's '+' is a blank, a path's is itself. */
static int decode(const char *s, size_t len, bool is_form, char **ret, struct err *err)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;

	for (size_t i = 0; i < len; i++) {
		int hi, lo;

		if (s[i] == '+' && is_form) {
			strbuf_addc(&out, ' ');
			continue;
		}
		if (s[i] != '%') {
			strbuf_addc(&out, s[i]);
			continue;
		}
		hi = len - i > 2 ? hex_digit(s[i + 1]) : -1;
		lo = len - i > 2 ? hex_digit(s[i + 2]) : -1;
		if (hi < 0 || lo < 0)
			return err_set(err, -EINVAL, "the URL has a broken %% escape");
		strbuf_addc(&out, (char)(hi * 16 + lo));
		i += 2;
	}
	if (!str_is_utf8(out.s, out.len))
		return err_set(err, -EINVAL, "the URL is not UTF-8");
	*ret = strbuf_take(&out);
	return 0;
}

static int parse_path(const char *s, size_t len, char ***ret, struct err *err)
{
	AUTO(strv_free) char **segments = NULL;
	const char *end = s + len;

	if (len == 0 || *s != '/')
		return err_set(err, -EINVAL, "the URL must begin with a slash");
	s++;
	while (s < end) {
		const char *slash = memchr(s, '/', (size_t)(end - s));
		const char *stop = slash ? slash : end;
		char *one = NULL;
		int r;

		if (strv_len(segments) == URI_MAX_SEGMENTS)
			return err_set(err, -EINVAL, "the URL has more than %d parts", URI_MAX_SEGMENTS);
		r = decode(s, (size_t)(stop - s), /* is_form= */ false, &one, err);
		if (r < 0)
			return r;
		strv_take(&segments, one);
		s = stop + 1;
	}
	*ret = TAKE_PTR(segments);
	return 0;
}

static int parse_query(const char *s, char ***ret, struct err *err)
{
	AUTO(strv_free) char **query = NULL;

	while (*s) {
		size_t len = strcspn(s, "&");
		char *one = NULL;
		int r;

		if (strv_len(query) == URI_MAX_QUERIES)
			return err_set(err, -EINVAL, "the URL has more than %d parameters", URI_MAX_QUERIES);
		r = decode(s, len, /* is_form= */ true, &one, err);
		if (r < 0)
			return r;
		strv_take(&query, one);
		s += len;
		if (*s)
			s++;
	}
	*ret = TAKE_PTR(query);
	return 0;
}

int uri_parse(const char *text, struct uri *ret, struct err *err)
{
	AUTO(uri_done) struct uri u = { NULL, NULL };
	size_t path_len = strcspn(text, "?");
	int r;

	r = parse_path(text, path_len, &u.segments, err);
	if (r < 0)
		return r;
	r = parse_query(text[path_len] ? text + path_len + 1 : "", &u.query, err);
	if (r < 0)
		return r;
	*ret = u;
	u = (struct uri){ NULL, NULL };
	return 0;
}

void uri_done(struct uri *u)
{
	strv_free(u->segments);
	strv_free(u->query);
	*u = (struct uri){ NULL, NULL };
}

const char *uri_query(const struct uri *u, const char *key)
{
	size_t len = strlen(key);

	for (char **q = u->query; q && *q; q++) {
		if (strncmp(*q, key, len) != 0)
			continue;
		if ((*q)[len] == '=')
			return *q + len + 1;
		if ((*q)[len] == '\0')
			return "";
	}
	return NULL;
}

char *uri_encode(const char *s)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;

	for (; *s; s++) {
		if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
		    strchr("-._~:", *s))
			strbuf_addc(&out, *s);
		else
			strbuf_addf(&out, "%%%02X", (unsigned char)*s);
	}
	return strbuf_take(&out);
}
