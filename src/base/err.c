/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.c - a failure and its words
 *
 * The text is put together in a buffer of its own first, because the arguments may point into the text that is to be
 * replaced: err_set(err, r, "...: %s", err->text) must work.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A text that was cut off must not end in half a character: it is going to be JSON. */
static void cut_to_character(char *s, size_t size, int wanted)
{
	size_t n = size - 1;

	if (wanted >= 0 && (size_t)wanted < size)
		return;
	while (n > 0 && ((unsigned char)s[n - 1] & 0xc0) == 0x80)
		n--;
	if (n > 0 && ((unsigned char)s[n - 1] & 0x80))
		n--;
	s[n] = '\0';
}

static void format(struct err *e, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void format(struct err *e, const char *fmt, va_list ap)
{
	int n = vsnprintf(e->text, sizeof(e->text), fmt, ap);

	cut_to_character(e->text, sizeof(e->text), n);
}

/* "<a>: <b>" into @err. */
static void join(struct err *err, const char *a, const char *b)
{
	struct err e;
	int n = snprintf(e.text, sizeof(e.text), "%s: %s", a, b);

	cut_to_character(e.text, sizeof(e.text), n);
	*err = e;
}

static const char *words_of(int code, char *buf, size_t size)
{
	int saved = errno;

	errno = code;
	(void)snprintf(buf, size, "%m");
	errno = saved;
	return buf;
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
	struct err e;
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		format(&e, fmt, ap);
		va_end(ap);
		*err = e;
	}
	return code;
}

int err_sys(struct err *err, const char *fmt, ...)
{
	int code = errno ? errno : EIO;
	char words[128];
	struct err e;
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		format(&e, fmt, ap);
		va_end(ap);
		join(err, e.text, words_of(code, words, sizeof(words)));
	}
	return -code;
}

int err_wrap(struct err *err, int code, const char *fmt, ...)
{
	char words[128];
	struct err e;
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		format(&e, fmt, ap);
		va_end(ap);
		join(err, e.text, err->text[0] ? err->text : words_of(-code, words, sizeof(words)));
	}
	return code;
}
