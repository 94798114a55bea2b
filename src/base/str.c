/* SPDX-License-Identifier: Apache-2.0 */
/* str.c - growing strings, and numbers and units read without surprises (no locale, no rounding by doubles) */
#include "base/str.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

char strbuf_empty[1];

void strbuf_init(struct strbuf *sb)
{
	*sb = (struct strbuf)STRBUF_INIT;
}

void strbuf_done(struct strbuf *sb)
{
	if (sb->cap)
		free(sb->s);
	strbuf_init(sb);
}

void strbuf_reset(struct strbuf *sb)
{
	sb->len = 0;
	if (sb->cap)
		sb->s[0] = '\0';
}

/* Room for @n more bytes and the NUL. */
static void grow(struct strbuf *sb, size_t n)
{
	size_t need, cap = sb->cap;

	if (__builtin_add_overflow(sb->len, n, &need) || need > SIZE_MAX / 2 - 1)
		mem_exhausted();
	need++;
	if (need <= cap)
		return;
	cap = cap ? cap * 2 : 64;
	if (cap < need)
		cap = need;
	sb->s = xrealloc(sb->cap ? sb->s : NULL, cap);
	sb->cap = cap;
}

void strbuf_add(struct strbuf *sb, const void *p, size_t n)
{
	if (n == 0)
		return;
	grow(sb, n);
	memcpy(sb->s + sb->len, p, n);
	sb->len += n;
	sb->s[sb->len] = '\0';
}

void strbuf_adds(struct strbuf *sb, const char *s)
{
	strbuf_add(sb, s, strlen(s));
}

void strbuf_addc(struct strbuf *sb, char c)
{
	strbuf_add(sb, &c, 1);
}

void strbuf_vaddf(struct strbuf *sb, const char *fmt, va_list ap)
{
	char small[256];
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	if (n < 0)
		mem_exhausted();
	if ((size_t)n < sizeof(small)) {
		strbuf_add(sb, small, (size_t)n);
	} else {
		grow(sb, (size_t)n);
		(void)vsnprintf(sb->s + sb->len, (size_t)n + 1, fmt, again);
		sb->len += (size_t)n;
	}
	va_end(again);
}

void strbuf_addf(struct strbuf *sb, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(sb, fmt, ap);
	va_end(ap);
}

void strbuf_truncate(struct strbuf *sb, size_t len)
{
	assert(len <= sb->len);
	sb->len = len;
	if (sb->cap)
		sb->s[len] = '\0';
}

char *strbuf_take(struct strbuf *sb)
{
	char *s = sb->cap ? sb->s : xstrdup("");

	strbuf_init(sb);
	return s;
}

bool str_eq(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

const char *str_after(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

void str_rtrim(char *s)
{
	size_t n = strlen(s);

	while (n > 0 && strchr(" \t\r\n\v\f", s[n - 1]))
		n--;
	s[n] = '\0';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int str_to_i64(const char *s, int64_t min, int64_t max, int64_t *ret, struct err *err)
{
	const char *c = s ? s : "";
	bool is_negative = *c == '-', is_over = false;
	int64_t v = 0;

	if (is_negative)
		c++;
	if (!is_digit(*c))
		return err_set(err, -EINVAL, "'%s' is not a whole number", s ? s : "");
	for (; is_digit(*c); c++) {
		int digit = *c - '0';

		if (__builtin_mul_overflow(v, 10, &v) ||
		    (is_negative ? __builtin_sub_overflow(v, digit, &v) : __builtin_add_overflow(v, digit, &v)))
			is_over = true;
	}
	if (*c)
		return err_set(err, -EINVAL, "'%s' is not a whole number", s);
	if (is_over || v < min || v > max)
		return err_set(err, -ERANGE, "%s is not between %lld and %lld", s, (long long)min, (long long)max);
	*ret = v;
	return 0;
}

#define NANO 1000000000ULL

/* "12.34" as 12 and 340000000 billionths; what is behind it goes to *ret_unit. */
static int take_decimal(const char *s, uint64_t *ret_whole, uint64_t *ret_nano, const char **ret_unit)
{
	uint64_t whole = 0, nano = 0, place = NANO / 10;
	const char *c = s;

	if (!is_digit(*c))
		return -EINVAL;
	for (; is_digit(*c); c++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*c - '0'), &whole))
			return -ERANGE;
	if (*c == '.') {
		c++;
		if (!is_digit(*c))
			return -EINVAL;
		for (; is_digit(*c); c++, place /= 10)
			nano += (uint64_t)(*c - '0') * place;
	}
	*ret_whole = whole;
	*ret_nano = nano;
	*ret_unit = c;
	return 0;
}

struct unit {
	const char *name;
	uint64_t size;
};

/* A decimal number times the unit behind it; a fraction of the smallest unit is refused. */
static int parse_scaled(const char *s, const struct unit *units, const char *what, uint64_t *ret, struct err *err)
{
	const char *name = "";
	uint64_t whole = 0, nano = 0, v;
	int r = s ? take_decimal(s, &whole, &nano, &name) : -EINVAL;

	if (r == -ERANGE)
		return err_set(err, r, "'%s' is too large", s);
	while (r == 0 && units->name && strcmp(units->name, name) != 0)
		units++;
	if (r < 0 || !units->name || (nano && units->size == 1))
		return err_set(err, -EINVAL, "'%s' is not %s", s ? s : "", what);
	if (__builtin_mul_overflow(whole, units->size, &v) ||
	    __builtin_add_overflow(v, (uint64_t)((unsigned __int128)nano * units->size / NANO), &v))
		return err_set(err, -ERANGE, "'%s' is too large", s);
	*ret = v;
	return 0;
}

int str_to_bytes(const char *s, uint64_t *ret, struct err *err)
{
	static const struct unit units[] = {
		{ "", 1 },
		{ "B", 1 },
		{ "k", 1ULL << 10 },
		{ "K", 1ULL << 10 },
		{ "M", 1ULL << 20 },
		{ "G", 1ULL << 30 },
		{ "T", 1ULL << 40 },
		{ "P", 1ULL << 50 },
		{ "KiB", 1ULL << 10 },
		{ "MiB", 1ULL << 20 },
		{ "GiB", 1ULL << 30 },
		{ "TiB", 1ULL << 40 },
		{ "PiB", 1ULL << 50 },
		{ "EiB", 1ULL << 60 },
		{ "kB", 1000ULL },
		{ "MB", 1000000ULL },
		{ "GB", 1000000000ULL },
		{ "TB", 1000000000000ULL },
		{ "PB", 1000000000000000ULL },
		{ "EB", 1000000000000000000ULL },
		{ 0 },
	};

	return parse_scaled(s, units, "a size such as 4096, 64k, 512MiB or 10GB", ret, err);
}

int str_to_us(const char *s, uint64_t *ret, struct err *err)
{
	static const struct unit units[] = {
		{ "", 1000000 },	{ "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { "m", 60000000 },
		{ "h", 3600000000ULL }, { 0 },
	};

	return parse_scaled(s, units, "a time such as 500ms, 10s, 5m or 2h", ret, err);
}

const char *str_from_bytes(uint64_t n, char *buf, size_t size)
{
	static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)n;
	size_t i = 0;

	/* 1023.95 would be printed as 1024.0 of the smaller unit. */
	for (; v >= 1023.95 && i + 1 < ARRAY_SIZE(names); i++)
		v /= 1024;
	if (i == 0)
		(void)snprintf(buf, size, "%llu B", (unsigned long long)n);
	else
		(void)snprintf(buf, size, "%.1f %s", v, names[i]);
	return buf;
}

int str_to_bool(const char *s, bool *ret, struct err *err)
{
	static const char *const words[] = { "false", "true", "0", "1", "no", "yes", "off", "on" };

	for (size_t i = 0; s && i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(s, words[i]) == 0) {
			*ret = i % 2;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "'%s' is neither true nor false", s ? s : "");
}

/* Length of the well-formed character at @s (Unicode, table 3-7), or 0. */
static size_t utf8_len(const unsigned char *s, size_t left)
{
	unsigned char c = s[0], low = 0x80, high = 0xbf;
	size_t n;

	if (c < 0x80)
		return c ? 1 : 0;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (left < n)
		return 0;
	if (c == 0xe0)
		low = 0xa0; /* shorter forms exist */
	else if (c == 0xed)
		high = 0x9f; /* surrogates */
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f; /* beyond U+10FFFF */
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

bool str_is_utf8(const char *s, size_t len)
{
	const unsigned char *c = (const unsigned char *)s;

	while (len > 0) {
		size_t n = utf8_len(c, len);

		if (n == 0)
			return false;
		c += n;
		len -= n;
	}
	return true;
}

char *str_make_utf8(const char *s)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	size_t left = strlen(s);

	while (left > 0) {
		size_t n = utf8_len((const unsigned char *)s, left);

		if (n == 0)
			strbuf_adds(&out, "\xef\xbf\xbd");
		else
			strbuf_add(&out, s, n);
		s += n ? n : 1;
		left -= n ? n : 1;
	}
	return strbuf_take(&out);
}
