/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c - time for machines and for people; nothing here depends on a locale or a time zone */
#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"

static const char never[] = "0001-01-01T00:00:00Z";

static uint64_t now_us(clockid_t id)
{
	struct timespec ts;
	int r = clock_gettime(id, &ts);

	assert(r == 0);
	(void)r;
	return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_mono_us(void)
{
	return now_us(CLOCK_MONOTONIC);
}

uint64_t clock_real_us(void)
{
	return now_us(CLOCK_REALTIME);
}

void clock_sleep_us(uint64_t us)
{
	struct timespec ts = { .tv_sec = (time_t)(us / US_PER_S), .tv_nsec = (long)(us % US_PER_S) * 1000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

const char *clock_rfc3339(uint64_t real_us, char *buf)
{
	time_t s = (time_t)(real_us / US_PER_S);
	struct tm tm;
	size_t n;

	/* Years of five digits are not RFC 3339. */
	if (real_us == 0 || !gmtime_r(&s, &tm) || tm.tm_year + 1900 > 9999) {
		memcpy(buf, never, sizeof(never));
		return buf;
	}
	n = strftime(buf, CLOCK_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(buf + n, CLOCK_RFC3339_SIZE - n, ".%06uZ", (unsigned)(real_us % US_PER_S));
	return buf;
}

/* Exactly @n digits, then @end (0: anything); moves *s behind them. */
static bool take_number(const char **s, int n, char end, int *ret)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		v = v * 10 + (**s - '0');
	}
	if (end) {
		if (**s != end)
			return false;
		(*s)++;
	}
	*ret = v;
	return true;
}

/* ".123456789": microseconds; what is finer is cut off. */
static bool take_fraction(const char **s, uint64_t *ret)
{
	uint64_t us = 0, unit = US_PER_S / 10;
	int n = 0;

	if (**s != '.')
		return true;
	for ((*s)++; **s >= '0' && **s <= '9'; (*s)++, n++) {
		us += (uint64_t)(**s - '0') * unit;
		unit /= 10;
	}
	*ret = us;
	return n > 0 && n <= 9;
}

static bool take_zone(const char **s, int *ret_offset_s)
{
	int sign, h, m;

	if (**s == 'Z' || **s == 'z') {
		(*s)++;
		return true;
	}
	if (**s != '+' && **s != '-')
		return false;
	sign = **s == '+' ? 1 : -1;
	(*s)++;
	if (!take_number(s, 2, ':', &h) || !take_number(s, 2, 0, &m) || h > 23 || m > 59)
		return false;
	*ret_offset_s = sign * (h * 3600 + m * 60);
	return true;
}

static bool is_date(const struct tm *tm)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int y = tm->tm_year + 1900;
	bool is_leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	if (tm->tm_mon < 0 || tm->tm_mon > 11 || tm->tm_mday < 1)
		return false;
	return tm->tm_mday <= days[tm->tm_mon] + (tm->tm_mon == 1 && is_leap);
}

int clock_parse_rfc3339(const char *s, uint64_t *ret_real_us)
{
	struct tm tm = { 0 };
	uint64_t us = 0;
	int offset_s = 0;
	time_t t;

	if (str_eq(s, never)) {
		*ret_real_us = 0;
		return 0;
	}
	if (!s || !take_number(&s, 4, '-', &tm.tm_year) || !take_number(&s, 2, '-', &tm.tm_mon) ||
	    !take_number(&s, 2, 0, &tm.tm_mday) || (*s != 'T' && *s != 't'))
		return -EINVAL;
	s++;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	if (!take_number(&s, 2, ':', &tm.tm_hour) || !take_number(&s, 2, ':', &tm.tm_min) ||
	    !take_number(&s, 2, 0, &tm.tm_sec) || !take_fraction(&s, &us) || !take_zone(&s, &offset_s) || *s)
		return -EINVAL;
	if (!is_date(&tm) || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return -EINVAL;
	t = timegm(&tm) - offset_s;
	if (t < 0)
		return -ERANGE;
	*ret_real_us = (uint64_t)t * US_PER_S + us;
	return 0;
}
