/* SPDX-License-Identifier: Apache-2.0 */
#include "base/strv.h"

#include "base/str.h"
#include "test.h"

static bool is(char *const *v, const char *joined)
{
	autofree char *s = strv_join(v, "|");

	return str_eq(s, joined);
}

TEST(null_is_empty)
{
	AUTO(strv_free) char **copy = strv_copy(NULL);
	autofree char *s = strv_join(NULL, ",");

	CHECK_INT(strv_len(NULL), 0);
	CHECK_INT(strv_len(copy), 0);
	CHECK_STR(s, "");
	CHECK(!strv_has(NULL, "x"));
	CHECK(!strv_env_get(NULL, "x"));
	strv_sort(NULL);
	strv_free(NULL);
}

TEST(appending)
{
	AUTO(strv_free) char **v = NULL;
	AUTO(strv_free) char **w = strv_new("a", "b", NULL);
	AUTO(strv_free) char **empty = strv_new(NULL, NULL);

	strv_add(&v, "x");
	strv_addf(&v, "%d", 5);
	strv_add_all(&v, w);
	strv_add_all(&v, NULL);
	strv_add_all(&v, v);
	CHECK(is(v, "x|5|a|b|x|5|a|b"));
	CHECK(strv_has(v, "b") && !strv_has(v, "c"));
	CHECK(empty && strv_len(empty) == 0);
	strv_sort(v);
	CHECK(is(v, "5|5|a|a|b|b|x|x"));
}

TEST(splitting)
{
	AUTO(strv_free) char **a = strv_split("a::b:", ':');
	AUTO(strv_free) char **b = strv_split("", ':');
	AUTO(strv_free) char **c = strv_split("abc", ':');

	CHECK_INT(strv_len(a), 4);
	CHECK(is(a, "a||b|"));
	CHECK_INT(strv_len(b), 1);
	CHECK(is(c, "abc"));
}

TEST(environment)
{
	AUTO(strv_free) char **v = strv_new("A=1", "AB=2", "NOVALUE", NULL);

	CHECK_STR(strv_env_get(v, "A"), "1");
	CHECK_STR(strv_env_get(v, "AB"), "2");
	CHECK(!strv_env_get(v, "NOVALUE"));
	CHECK(!strv_env_get(v, "B"));
	strv_env_set(&v, "A", "x=y");
	strv_env_set(&v, "B", "");
	strv_env_set(&v, "AB", strv_env_get(v, "AB"));
	CHECK(is(v, "A=x=y|AB=2|NOVALUE|B="));
	CHECK_STR(strv_env_get(v, "B"), "");
}

TEST(shell_words)
{
	static const struct {
		const char *s, *words;
	} good[] = {
		{ "", "" },
		{ "  \t\n ", "" },
		{ "a b\tc", "a|b|c" },
		{ "'a b' \"c d\"", "a b|c d" },
		{ "a'b'\"c\"d", "abcd" },
		{ "'' \"\"", "|" },
		{ "\\ \\'\\\"", " '\"" },
		{ "\"\\\"\\\\\\$\\`\\n\"", "\"\\$`\\n" },
		{ "'\\n'", "\\n" },
		{ "$HOME *", "$HOME|*" },
		{ "a\\\nb \"c\\\nd\"", "ab|cd" },
	};
	static const char *const wrong[] = { "'a", "\"a", "a\\", "\"a\\\"", NULL };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		AUTO(strv_free) char **v = NULL;

		CHECK_INT(strv_parse_words(good[i].s, &v, NULL), 0);
		CHECK(is(v, good[i].words));
	}
	for (size_t i = 0; wrong[i]; i++) {
		AUTO(strv_free) char **v = NULL;
		struct err err = ERR_INIT;

		CHECK_INT(strv_parse_words(wrong[i], &v, &err), -EINVAL);
		CHECK(err.text[0] && !v);
	}
}

TEST(quote_is_the_inverse)
{
	AUTO(strv_free) char **v = strv_new("plain", "", "two words", "it's", "\"\\$`", "\n", "a=b", "*", NULL);
	AUTO(strv_free) char **back = NULL;
	autofree char *s = strv_quote(v);

	CHECK_INT(strv_parse_words(s, &back, NULL), 0);
	CHECK_INT(strv_len(back), strv_len(v));
	for (size_t i = 0; v[i] && back[i]; i++)
		CHECK_STR(back[i], v[i]);
	CHECK(str_after(s, "plain '' 'two words' "));
}
