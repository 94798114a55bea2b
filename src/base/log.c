/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - one line per event on standard error
 *
 * A line is put together first and written by one write(2), so that lines of several threads do not mix. What peers and
 * containers put into a text cannot end the line or drive a terminal: control characters, C1 controls among them, are
 * escaped.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

static const struct {
	const char *word;
	int syslog_level;
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", 3 },
	[LOG_LEVEL_WARN] = { "warn", 4 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
};

static atomic_int max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	atomic_store(&max_level, (int)level);
}

int log_level_parse(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (str_eq(word, levels[i].word))
			return (int)i;
	return -EINVAL;
}

static void add_head(struct strbuf *line, enum log_level level)
{
	time_t now = (time_t)(clock_real_us() / US_PER_S);
	char when[CLOCK_RFC3339_SIZE] = "";
	struct tm tm;

	if (getenv("JOURNAL_STREAM")) {
		strbuf_addf(line, "<%d>", levels[level].syslog_level);
		return;
	}
	if (gmtime_r(&now, &tm))
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	strbuf_addf(line, "%s %-5s ", when, levels[level].word);
}

static void add_escaped(struct strbuf *line, const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '\n')
			strbuf_adds(line, "\\n");
		else if (*c == '\t')
			strbuf_adds(line, "\\t");
		else if (*c < 0x20 || *c == 0x7f)
			strbuf_addf(line, "\\x%02x", *c);
		else if (*c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
			strbuf_addf(line, "\\x%02x", *++c);
		else
			strbuf_addc(line, (char)*c);
	}
}

static void write_line(const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(STDERR_FILENO, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return; /* there is nowhere to report it */
		p += k;
		n -= (size_t)k;
	}
}

static void log_line(enum log_level level, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void log_line(enum log_level level, const char *fmt, va_list ap)
{
	AUTO(strbuf_done) struct strbuf text = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf line = STRBUF_INIT;
	int saved = errno;

	if ((int)level > atomic_load(&max_level))
		return;
	strbuf_vaddf(&text, fmt, ap);
	add_head(&line, level);
	add_escaped(&line, text.s);
	strbuf_addc(&line, '\n');
	write_line(line.s, line.len);
	errno = saved;
}

#define DEFINE_LOG(name, level)                                                                                        \
	void name(const char *fmt, ...)                                                                                \
	{                                                                                                              \
		va_list ap;                                                                                            \
                                                                                                                       \
		va_start(ap, fmt);                                                                                     \
		log_line(level, fmt, ap);                                                                              \
		va_end(ap);                                                                                            \
	}

DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warn, LOG_LEVEL_WARN)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)
