/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>

#include "test.h"

TEST(formats)
{
	char b[CLOCK_RFC3339_SIZE];

	CHECK_STR(clock_rfc3339(0, b), "0001-01-01T00:00:00Z");
	CHECK_STR(clock_rfc3339(1, b), "1970-01-01T00:00:00.000001Z");
	CHECK_STR(clock_rfc3339(1795214244123456, b), "2026-11-20T22:37:24.123456Z");
	CHECK_STR(clock_rfc3339(253402300799999999, b), "9999-12-31T23:59:59.999999Z");
	CHECK_STR(clock_rfc3339(UINT64_MAX, b), "0001-01-01T00:00:00Z");
}

TEST(parses)
{
	static const struct {
		const char *s;
		uint64_t us;
	} good[] = {
		{ "0001-01-01T00:00:00Z", 0 },
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2026-11-20T22:37:24.123456Z", 1795214244123456 },
		{ "2026-11-20t22:37:24.123456789z", 1795214244123456 },
		{ "2026-11-20T23:37:24.1+01:00", 1795214244100000 },
		{ "2026-11-20T17:07:24-05:30", 1795214244000000 },
		{ "2024-02-29T00:00:00Z", 1709164800000000 },
	};
	static const char *const wrong[] = {
		"",
		"2026-11-20",
		"2026-11-20 22:37:24Z",
		"2026-11-20T22:37:24",
		"2026-11-20T22:37:24.Z",
		"2026-11-20T22:37:24.1234567890Z",
		"2026-13-20T22:37:24Z",
		"2026-00-20T22:37:24Z",
		"2026-02-30T22:37:24Z",
		"2023-02-29T00:00:00Z",
		"2026-11-20T24:37:24Z",
		"2026-11-20T22:60:24Z",
		"2026-11-20T22:37:24Zx",
		"2026-11-20T22:37:24+25:00",
		"2026-11-20T22:37:24+0100",
		"+026-11-20T22:37:24Z",
		NULL,
	};
	uint64_t us;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		us = 7;
		CHECK_INT(clock_parse_rfc3339(good[i].s, &us), 0);
		CHECK_INT(us, good[i].us);
	}
	us = 7;
	for (size_t i = 0; wrong[i]; i++)
		CHECK_INT(clock_parse_rfc3339(wrong[i], &us), -EINVAL);
	CHECK_INT(clock_parse_rfc3339("1969-12-31T23:59:59Z", &us), -ERANGE);
	CHECK_INT(clock_parse_rfc3339(NULL, &us), -EINVAL);
	CHECK_INT(us, 7);
}

TEST(round_trip_of_now)
{
	char b[CLOCK_RFC3339_SIZE];
	uint64_t now = clock_real_us(), back = 0;

	CHECK_INT(clock_parse_rfc3339(clock_rfc3339(now, b), &back), 0);
	CHECK_INT(back, now);
}

static void on_alarm(int sig)
{
	(void)sig;
}

TEST(sleep_is_not_cut_short_by_signals)
{
	struct sigaction sa = { .sa_handler = on_alarm }, old;
	struct itimerval every = { .it_interval.tv_usec = 5000, .it_value.tv_usec = 5000 }, off = { 0 };
	uint64_t before = clock_mono_us();

	sigaction(SIGALRM, &sa, &old);
	setitimer(ITIMER_REAL, &every, NULL);
	clock_sleep_us(60 * US_PER_MS);
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &old, NULL);
	CHECK(clock_mono_us() - before >= 60 * US_PER_MS);
	CHECK(clock_mono_us() - before < 2 * US_PER_S);
}
