/* SPDX-License-Identifier: Apache-2.0 */
#include "api/k8slog.h"

#include "test.h"

#define T "2026-11-20T22:37:24.123456789+00:00 "

/* Decodes @in in pieces of @step bytes. */
static char *decode(const char *in, size_t step)
{
	struct strbuf out = STRBUF_INIT;
	struct k8slog k = { 0 };
	size_t len = strlen(in);

	for (size_t i = 0; i < len; i += step)
		k8slog_feed(&k, in + i, step < len - i ? step : len - i, &out);
	k8slog_end(&k, &out);
	return strbuf_take(&out);
}

static void check(const char *in, const char *out)
{
	for (size_t step = 1; step < 80; step++) {
		autofree char *got = decode(in, step);

		CHECK_STR(got, out);
	}
}

TEST(whole_lines)
{
	check(T "stdout F hello\n" T "stderr F \n" T "stdout F  two  blanks \n", "hello\n\n two  blanks \n");
}

TEST(parts_of_lines_are_joined)
{
	check(T "stdout P abc\n" T "stdout P def\n" T "stdout F ghi\n", "abcdefghi\n");
}

TEST(what_is_no_log_line_is_passed_on)
{
	check("plain text\nx\n\n" T "stdout F a\nstdout F b\n", "plain text\nx\n\na\nstdout F b\n");
	check("an overlong head without the right blanks in it, so that it does not fit anywhere\n",
	      "an overlong head without the right blanks in it, so that it does not fit anywhere\n");
}

TEST(an_unfinished_line_is_shown_as_far_as_it_goes)
{
	check(T "stdout F hel", "hel");
	check(T "stdo", T "stdo");
	check("", "");
}
