/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * str.h - growing strings and small string helpers
 *
 * A strbuf is always a valid C string: s is never NULL after strbuf_init() or STRBUF_INIT, and s[len] is 0 (the
 * invariants of git's strbuf). It may hold NUL bytes; then use len.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct strbuf {
	char *s;
	size_t len, cap; /* cap 0: s is not ours but the shared empty string */
};

extern char strbuf_empty[1];
#define STRBUF_INIT                                                                                                    \
	{                                                                                                              \
		.s = strbuf_empty                                                                                      \
	}

void strbuf_init(struct strbuf *sb);
void strbuf_done(struct strbuf *sb);
AUTO_DEFINE_IN(struct strbuf, strbuf_done)
void strbuf_reset(struct strbuf *sb); /* to "", keeping the memory */
void strbuf_add(struct strbuf *sb, const void *p, size_t n);
void strbuf_adds(struct strbuf *sb, const char *s);
void strbuf_addc(struct strbuf *sb, char c);
void strbuf_addf(struct strbuf *sb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_vaddf(struct strbuf *sb, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void strbuf_truncate(struct strbuf *sb, size_t len);
char *strbuf_take(struct strbuf *sb); /* the heap string; @sb is "" again */

bool str_eq(const char *a, const char *b);		  /* NULL equals only NULL */
const char *str_after(const char *s, const char *prefix); /* the rest of @s behind @prefix, or NULL */
bool str_ends(const char *s, const char *suffix);
void str_rtrim(char *s); /* cuts white space off the end */

/* A whole decimal number in [min, max], nothing before or behind it. -EINVAL or -ERANGE with words. */
int str_to_i64(const char *s, int64_t min, int64_t max, int64_t *ret, struct err *err);

/* "4096", "64k", "1.5GiB", "10MB": bytes. KiB, MiB… and k, M, G are powers of 1024; kB, MB, GB of 1000. */
int str_to_bytes(const char *s, uint64_t *ret, struct err *err);

/* "12.3 MiB" for people. @buf is returned. */
const char *str_from_bytes(uint64_t n, char *buf, size_t size);

/* "90", "500ms", "10s", "5m", "2h": microseconds; a bare number is seconds. */
int str_to_us(const char *s, uint64_t *ret, struct err *err);

/* yes/no words: true, 1, yes, on; false, 0, no, off. */
int str_to_bool(const char *s, bool *ret, struct err *err);

bool str_is_utf8(const char *s, size_t len); /* strict: no overlong forms, no surrogates, no NUL */
char *str_make_utf8(const char *s);	     /* a copy with U+FFFD in place of each byte that is not UTF-8 */
