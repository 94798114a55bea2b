/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include "base/mem.h"
#include "test.h"

TEST(strbuf_is_a_string_at_any_time)
{
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;

	CHECK_STR(sb.s, "");
	strbuf_reset(&sb);
	strbuf_add(&sb, NULL, 0);
	CHECK_STR(sb.s, "");
	strbuf_adds(&sb, "abc");
	strbuf_addc(&sb, 'd');
	strbuf_addf(&sb, "-%d", 42);
	CHECK_STR(sb.s, "abcd-42");
	strbuf_truncate(&sb, 2);
	CHECK_STR(sb.s, "ab");
	strbuf_add(&sb, "\0z", 2);
	CHECK_INT(sb.len, 4);
	CHECK(memcmp(sb.s, "ab\0z", 5) == 0);
	strbuf_reset(&sb);
	CHECK_STR(sb.s, "");
}

TEST(strbuf_grows)
{
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;

	for (int i = 0; i < 10000; i++)
		strbuf_addf(&sb, "%04d", i);
	CHECK_INT(sb.len, 40000);
	CHECK_STR(sb.s + 39996, "9999");
	strbuf_addf(&sb, "%5000d|", 1); /* longer than the small buffer inside */
	CHECK_INT(sb.len, 45001);
	CHECK(str_ends(sb.s, "1|"));
}

TEST(strbuf_take_leaves_an_empty_one)
{
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;
	autofree char *empty = strbuf_take(&sb);
	autofree char *full = NULL;

	CHECK_STR(empty, "");
	strbuf_adds(&sb, "x");
	full = strbuf_take(&sb);
	CHECK_STR(full, "x");
	CHECK_STR(sb.s, "");
	CHECK_STR(strbuf_empty, "");
}

TEST(small_helpers)
{
	char s[] = "text \t\n", blank[] = " \n";

	CHECK(str_eq(NULL, NULL) && str_eq("a", "a"));
	CHECK(!str_eq(NULL, "") && !str_eq("", NULL) && !str_eq("a", "b"));
	CHECK_STR(str_after("limits.memory", "limits."), "memory");
	CHECK(!str_after("lim", "limits"));
	CHECK(str_ends("a.tar", ".tar") && !str_ends("tar", ".tar") && str_ends("x", ""));
	str_rtrim(s);
	CHECK_STR(s, "text");
	str_rtrim(blank);
	CHECK_STR(blank, "");
}

static int number(const char *s, int64_t *n)
{
	return str_to_i64(s, INT64_MIN, INT64_MAX, n, NULL);
}

TEST(whole_numbers)
{
	static const char *const wrong[] = { "", "-", "+1", " 1", "1 ", "0x10", "1.0", "--1", "1e3", "one", NULL };
	struct err err = ERR_INIT;
	int64_t n = 77;

	CHECK(number("9223372036854775807", &n) == 0 && n == INT64_MAX);
	CHECK(number("-9223372036854775808", &n) == 0 && n == INT64_MIN);
	CHECK(number("007", &n) == 0 && n == 7);
	n = 77;
	CHECK_INT(number("9223372036854775808", &n), -ERANGE);
	CHECK_INT(number("-9223372036854775809", &n), -ERANGE);
	CHECK_INT(number("99999999999999999999999999", &n), -ERANGE);
	CHECK_INT(number("99999999999999999999999999x", &n), -EINVAL);
	for (size_t i = 0; wrong[i]; i++)
		CHECK_INT(number(wrong[i], &n), -EINVAL);
	CHECK_INT(number(NULL, &n), -EINVAL);
	CHECK_INT(str_to_i64("11", 1, 10, &n, &err), -ERANGE);
	CHECK_STR(err.text, "11 is not between 1 and 10");
	CHECK_INT(n, 77);
}

TEST(sizes)
{
	static const struct {
		const char *s;
		uint64_t n;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "1B", 1 },
		{ "64k", 65536 },
		{ "64KiB", 65536 },
		{ "1.5GiB", 1610612736 },
		{ "0.1KiB", 102 },
		{ "10MB", 10000000 },
		{ "1kB", 1000 },
		{ "2G", 2147483648 },
		{ "15EiB", 15ULL << 60 },
		{ "18446744073709551615", UINT64_MAX },
		{ "0.123456789123456789GB", 123456789 },
	};
	static const char *const wrong[] = { "",    "k",   "-1",  "1 k",  "1kk", "1.5", "1.5B",	  "1.k",
					     ".5k", "1e3", "0x1", "1KIB", "nan", "inf", "1,5GiB", NULL };
	uint64_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK_INT(str_to_bytes(good[i].s, &n, NULL), 0);
		CHECK(n == good[i].n);
	}
	for (size_t i = 0; wrong[i]; i++)
		CHECK_INT(str_to_bytes(wrong[i], &n, NULL), -EINVAL);
	CHECK_INT(str_to_bytes(NULL, &n, NULL), -EINVAL);
	CHECK_INT(str_to_bytes("16EiB", &n, NULL), -ERANGE);
	CHECK_INT(str_to_bytes("18446744073709551616", &n, NULL), -ERANGE);
}

TEST(times)
{
	uint64_t us = 0;

	CHECK(str_to_us("90", &us, NULL) == 0 && us == 90000000);
	CHECK(str_to_us("500ms", &us, NULL) == 0 && us == 500000);
	CHECK(str_to_us("0.5s", &us, NULL) == 0 && us == 500000);
	CHECK(str_to_us("5m", &us, NULL) == 0 && us == 300000000);
	CHECK(str_to_us("2h", &us, NULL) == 0 && us == 7200000000);
	CHECK_INT(str_to_us("2d", &us, NULL), -EINVAL);
	CHECK_INT(str_to_us("-1s", &us, NULL), -EINVAL);
	CHECK_INT(str_to_us("9999999999999999h", &us, NULL), -ERANGE);
}

TEST(sizes_for_people)
{
	char b[32];

	CHECK_STR(str_from_bytes(0, b, sizeof(b)), "0 B");
	CHECK_STR(str_from_bytes(1023, b, sizeof(b)), "1023 B");
	CHECK_STR(str_from_bytes(1024, b, sizeof(b)), "1.0 KiB");
	CHECK_STR(str_from_bytes(12897485, b, sizeof(b)), "12.3 MiB");
	CHECK_STR(str_from_bytes((1 << 20) - 1, b, sizeof(b)), "1.0 MiB");
	CHECK_STR(str_from_bytes(UINT64_MAX, b, sizeof(b)), "16.0 EiB");
}

TEST(yes_and_no)
{
	bool b = false;

	CHECK(str_to_bool("true", &b, NULL) == 0 && b);
	CHECK(str_to_bool("OFF", &b, NULL) == 0 && !b);
	CHECK(str_to_bool("1", &b, NULL) == 0 && b);
	CHECK(str_to_bool("no", &b, NULL) == 0 && !b);
	CHECK(str_to_bool("yes", &b, NULL) == 0 && b);
	CHECK_INT(str_to_bool("", &b, NULL), -EINVAL);
	CHECK_INT(str_to_bool("2", &b, NULL), -EINVAL);
	CHECK_INT(str_to_bool(NULL, &b, NULL), -EINVAL);
}

TEST(utf8_is_strict)
{
	static const char *const good[] = { "",
					    "abc",
					    "\xc3\xa4",
					    "\xe2\x82\xac",
					    "\xed\x9f\xbf",
					    "\xee\x80\x80",
					    "\xf0\x9f\x98\x80",
					    "\xf4\x8f\xbf\xbf",
					    "\xc2\x80",
					    "\xf0\x90\x80\x80" };
	static const char *const bad[] = { "\x80",
					   "\xc3",
					   "\xc0\x80",
					   "\xc1\xbf",
					   "\xe0\x9f\xbf",
					   "\xed\xa0\x80",
					   "\xed\xbf\xbf",
					   "\xf0\x8f\xbf\xbf",
					   "\xf4\x90\x80\x80",
					   "\xf5\x80\x80\x80",
					   "\xe2\x82",
					   "\xf0\x9f\x98",
					   "\xe2\x28\xa1",
					   "\xff",
					   "a\xfe" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		CHECK(str_is_utf8(good[i], strlen(good[i])));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(!str_is_utf8(bad[i], strlen(bad[i])));
	CHECK(!str_is_utf8("a\0b", 3));
	CHECK(!str_is_utf8("\xe2\x82\xac", 2)); /* never looks beyond the end */
}

TEST(made_utf8)
{
	autofree char *s = str_make_utf8("a\xff\xc3\xa4\xe2\x82");

	CHECK_STR(s, "a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd");
	CHECK(str_is_utf8(s, strlen(s)));
}
