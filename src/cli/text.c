/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/text.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

/* The length of the well-formed UTF-8 character at @s, or 0. */
static size_t character(const char *s)
{
	for (size_t n = 1; n <= 4; n++) {
		if (str_is_utf8(s, n))
			return n;
		if (!s[n])
			break;
	}
	return 0;
}

/* C0, DEL and C1 controls; the bidirectional overrides, which reorder what follows. */
static bool is_control(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;

	if (n == 1)
		return p[0] < 0x20 || p[0] == 0x7f;
	if (n == 2)
		return p[0] == 0xc2 && p[1] < 0xa0;
	return n == 3 && p[0] == 0xe2 &&
	       ((p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae) || (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

static char *safe(const char *s, const char *allowed)
{
	struct strbuf sb = STRBUF_INIT;

	while (*s) {
		size_t n = character(s);

		if (n == 0) {
			strbuf_addc(&sb, '?');
			s++;
			continue;
		}
		if (!is_control(s, n) || (n == 1 && strchr(allowed, *s)))
			strbuf_add(&sb, s, n);
		else
			for (size_t i = 0; i < n; i++)
				strbuf_addf(&sb, "\\x%02x", (unsigned char)s[i]);
		s += n;
	}
	return strbuf_take(&sb);
}

char *text_safe(const char *s)
{
	return safe(s, "");
}

char *text_safe_lines(const char *s)
{
	return safe(s, "\n\t");
}

char *text_bytes(int64_t n)
{
	char buf[32];

	if (n < 0)
		return xstrdup("-");
	return xstrdup(str_from_bytes((uint64_t)n, buf, sizeof(buf)));
}

char *text_seconds(uint64_t us)
{
	double s = (double)us / (double)US_PER_S;

	if (s < 9.995)
		return xasprintf("%.2f s", s);
	if (s < 99.5)
		return xasprintf("%.0f s", s);
	return xasprintf("%llu min %llu s", (unsigned long long)s / 60, (unsigned long long)s % 60);
}

char *text_ms(int64_t ms)
{
	if (ms < 1000)
		return xasprintf("%lld ms", (long long)ms);
	return text_seconds((uint64_t)ms * US_PER_MS);
}

bool text_is_past(const char *rfc3339)
{
	uint64_t us;

	return rfc3339 && !str_after(rfc3339, "0001-") && clock_parse_rfc3339(rfc3339, &us) == 0 && us > 0;
}

char *text_time(const char *rfc3339)
{
	struct tm tm;
	char buf[64];
	uint64_t us;
	time_t s;

	if (!rfc3339)
		return xstrdup("-");
	if (!text_is_past(rfc3339) || clock_parse_rfc3339(rfc3339, &us) < 0)
		return xstrdup("never");
	s = (time_t)(us / US_PER_S);
	if (!localtime_r(&s, &tm) || strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M", &tm) == 0)
		return xstrdup(rfc3339);
	return xstrdup(buf);
}

char *text_ago(const char *rfc3339)
{
	static const struct {
		uint64_t seconds;
		const char *unit;
	} units[] = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } };
	uint64_t us, now = clock_real_us(), age;

	if (!text_is_past(rfc3339) || clock_parse_rfc3339(rfc3339, &us) < 0)
		return xstrdup("never");
	age = now > us ? (now - us) / US_PER_S : 0;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		uint64_t n = age / units[i].seconds;

		if (n > 0)
			return xasprintf("%llu %s%s ago", (unsigned long long)n, units[i].unit,
					 text_plural((int64_t)n));
	}
	return xstrdup("just now");
}

const char *text_plural(int64_t n)
{
	return n == 1 ? "" : "s";
}
