/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "cli/table.h"
#include "cli/text.h"
#include "test.h"

static const struct table_column columns[] = {
	{ "NAME", false }, { "PID", true }, { "IMAGE", false }, { NULL, false }
};

static struct table *sample(void)
{
	struct table *t = table_new(columns);

	table_add(t, "web");
	table_addf(t, "%d", 7);
	table_add(t, "busybox");
	table_add(t, "größer");
	table_addf(t, "%d", 12345);
	table_add(t, NULL);
	return t;
}

static char *render(const struct table *t, enum table_style style, int width)
{
	struct strbuf sb = STRBUF_INIT;

	table_render(t, style, width, &sb);
	return strbuf_take(&sb);
}

TEST(columns_are_aligned)
{
	AUTO(table_free) struct table *t = sample();
	autofree char *plain = render(t, TABLE_PLAIN, 0);
	autofree char *compact = render(t, TABLE_COMPACT, 0);

	CHECK_STR(plain, "NAME      PID  IMAGE\n"
			 "web         7  busybox\n"
			 "größer  12345\n");
	CHECK_STR(compact, "web         7  busybox\n"
			   "größer  12345\n");
	CHECK_INT(table_rows(t), 2);
}

TEST(an_empty_table)
{
	AUTO(table_free) struct table *t = table_new(columns);
	autofree char *plain = render(t, TABLE_PLAIN, 80);
	autofree char *csv = render(t, TABLE_CSV, 0);
	autofree char *json = render(t, TABLE_JSON, 0);

	CHECK_STR(plain, "NAME  PID  IMAGE\n");
	CHECK_STR(csv, "");
	CHECK_STR(json, "[]\n");
}

TEST(width_of_characters)
{
	CHECK_INT(table_width("abc", 3), 3);
	CHECK_INT(table_width("größer", strlen("größer")), 6);
	CHECK_INT(table_width("容器", strlen("容器")), 4);
	CHECK_INT(table_width("e\xcc\x81", 3), 1); /* e and a combining acute accent */
	CHECK_INT(table_width("📦", strlen("📦")), 2);
	CHECK_INT(table_width("", 0), 0);
	CHECK_INT(table_width("\xe5\xae", 2), 2); /* cut off: byte by byte */
}

TEST(wide_characters_keep_the_columns)
{
	AUTO(table_free) struct table *t = table_new(columns);
	autofree char *plain = NULL;

	table_add(t, "容器");
	table_add(t, "1");
	table_add(t, "x");
	table_add(t, "abcd");
	table_add(t, "2");
	table_add(t, "y");
	plain = render(t, TABLE_COMPACT, 0);
	CHECK_STR(plain, "容器  1  x\n"
			 "abcd  2  y\n");
}

TEST(the_last_column_wraps_below_itself)
{
	static const struct table_column two[] = { { "A", false }, { "WHAT TO DO", false }, { NULL, false } };
	AUTO(table_free) struct table *t = table_new(two);
	autofree char *text = NULL, *narrow = NULL, *wide = NULL;

	table_add(t, "x");
	table_add(t, "one two three four five six seven eight nine ten");
	text = render(t, TABLE_COMPACT, 30);
	CHECK_STR(text, "x  one two three four five six\n"
			"   seven eight nine ten\n");
	narrow = render(t, TABLE_COMPACT, 12); /* too narrow to be readable: the terminal wraps */
	CHECK_STR(narrow, "x  one two three four five six seven eight nine ten\n");
	wide = render(t, TABLE_COMPACT, 200);
	CHECK_STR(wide, "x  one two three four five six seven eight nine ten\n");
}

TEST(csv_quotes_what_it_must)
{
	AUTO(table_free) struct table *t = table_new(columns);
	autofree char *csv = NULL;

	table_add(t, "a,b");
	table_add(t, "say \"hi\"");
	table_add(t, "plain");
	csv = render(t, TABLE_CSV, 0);
	CHECK_STR(csv, "\"a,b\",\"say \"\"hi\"\"\",plain\n");
}

TEST(json_is_json)
{
	AUTO(table_free) struct table *t = sample();
	AUTO(json_free) struct json *rows = NULL;
	autofree char *json = render(t, TABLE_JSON, 0);
	struct err err = ERR_INIT;

	REQUIRE(json_parse(json, strlen(json) - 1, &rows, &err) == 0);
	CHECK_INT(json_len(rows), 2);
	CHECK_STR(json_get_str(json_item(rows, 1), "name"), "größer");
	CHECK_STR(json_get_str(json_item(rows, 0), "pid"), "7");
}

TEST(nothing_steers_the_terminal)
{
	AUTO(table_free) struct table *t = table_new(columns);
	autofree char *plain = NULL, *lines = NULL, *broken = NULL, *c1 = NULL, *bidi = NULL;

	table_add(t, "\033[2Jx");
	table_add(t, "a\nb");
	table_add(t, "\x7f");
	plain = render(t, TABLE_COMPACT, 0);
	CHECK_STR(plain, "\\x1b[2Jx  a\\x0ab  \\x7f\n");
	lines = text_safe_lines("a\n\tb\r\033");
	CHECK_STR(lines, "a\n\tb\\x0d\\x1b");
	broken = text_safe("a\xff\xc3");
	CHECK_STR(broken, "a??");
	c1 = text_safe("\xc2\x9b"
		       "2J");
	CHECK_STR(c1, "\\xc2\\x9b2J");
	bidi = text_safe("\xe2\x80\xae"
			 "x");
	CHECK_STR(bidi, "\\xe2\\x80\\xaex");
}

TEST(styles)
{
	enum table_style style = TABLE_PLAIN;
	struct err err = ERR_INIT;

	CHECK(table_style_parse("json", &style, &err) == 0 && style == TABLE_JSON);
	CHECK(table_style_parse("csv", &style, &err) == 0 && style == TABLE_CSV);
	CHECK(table_style_parse("yaml", &style, &err) == -EINVAL && style == TABLE_CSV);
}

static void check_seconds(uint64_t us, const char *wanted)
{
	autofree char *text = text_seconds(us);

	CHECK_STR(text, wanted);
}

TEST(times_for_people)
{
	char now[CLOCK_RFC3339_SIZE], before[CLOCK_RFC3339_SIZE];
	autofree char *never = text_time("0001-01-01T00:00:00Z");
	autofree char *none = text_time(NULL);
	autofree char *just = text_ago(clock_rfc3339(clock_real_us(), now));
	autofree char *ago = text_ago(clock_rfc3339(clock_real_us() - 125 * US_PER_S, before));
	autofree char *ms = text_ms(120), *long_ms = text_ms(2600);

	CHECK_STR(never, "never");
	CHECK_STR(none, "-");
	CHECK_STR(just, "just now");
	CHECK_STR(ago, "2 minutes ago");
	CHECK_STR(ms, "120 ms");
	CHECK_STR(long_ms, "2.60 s");
	check_seconds(210000, "0.21 s");
	check_seconds(9990000, "9.99 s");
	check_seconds(12400000, "12 s");
	check_seconds(200 * US_PER_S, "3 min 20 s");
}
