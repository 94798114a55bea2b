/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/file.h"
#include "base/str.h"
#include "base/strv.h"
#include "test.h"

static struct json *parse(const char *text)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	if (json_parse(text, strlen(text), &j, &err) < 0)
		printf("     %s: %s\n", text, err.text);
	return j;
}

static void check_print(const struct json *j, const char *want)
{
	autofree char *s = json_print(j, JSON_COMPACT);

	CHECK_STR(s, want);
}

TEST(what_goes_in_comes_out)
{
	static const char *const texts[] = {
		"null",
		"true",
		"false",
		"0",
		"-1",
		"-0",
		"9223372036854775807",
		"-9223372036854775808",
		"9223372036854775808",
		"18446744073709551615",
		"18446744073709551616",
		"-9223372036854775809",
		"123456789012345678901234567890",
		"1.0",
		"1.50",
		"-0.0",
		"1e400",
		"0.1e-7",
		"1E+2",
		"\"\"",
		"\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"",
		"\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\"",
		"\"/\x7f\"",
		"[]",
		"{}",
		"[[],{},null,[1]]",
		"{\"b\":1,\"a\":{\"\":null},\"c\":[\"x\"]}",
		"{\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"hard\":18446744073709551615,\"soft\":0}]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		AUTO(json_free) struct json *j = parse(texts[i]);
		AUTO(json_free) struct json *copy = json_copy(j);

		check_print(j, texts[i]);
		check_print(copy, texts[i]);
	}
}

TEST(other_spellings)
{
	static const char *const texts[][2] = {
		{ " \t\r\n1 \n", "1" },
		{ "{ \"a\" : [ 1 , 2 ] }", "{\"a\":[1,2]}" },
		{ "\"\\u0041\\u00e4\\u20AC\\/\"", "\"A\xc3\xa4\xe2\x82\xac/\"" },
		{ "\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"" },
		{ "\"\\uDBFF\\uDFFF\"", "\"\xf4\x8f\xbf\xbf\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		AUTO(json_free) struct json *j = parse(texts[i][0]);

		check_print(j, texts[i][1]);
	}
}

TEST(what_is_refused)
{
	static const char *const texts[] = {
		"",
		" ",
		"1 2",
		"{} x",
		"[1,]",
		"[,1]",
		"[1 2]",
		"[1",
		"[",
		"]",
		"{",
		"}",
		"{\"a\":1,}",
		"{\"a\"}",
		"{\"a\":}",
		"{a:1}",
		"{'a':1}",
		"{1:1}",
		"{\"a\":1 \"b\":2}",
		"'a'",
		"\"a",
		"\"a\\\"",
		"\"\\",
		"NaN",
		"nan",
		"Infinity",
		"-Infinity",
		"-",
		"+1",
		"01",
		"-01",
		"00",
		"1.",
		".5",
		"1e",
		"1e+",
		"0x10",
		"1.5.5",
		"1_000",
		"nul",
		"nulll",
		"True",
		"TRUE",
		"truefalse",
		"// c\n1",
		"/* c */1",
		"1 // c",
		"\"\\x41\"",
		"\"\\u12\"",
		"\"\\u123g\"",
		"\"\\ud800\"",
		"\"\\ud800x\"",
		"\"\\ud800\\n\"",
		"\"\\udc00\"",
		"\"\\ud800\\ud800\"",
		"\"\\ud800\\u0041\"",
		"\"\\u0000\"",
		"{\"a\\u0000b\":1}",
		"\"\n\"",
		"\"\t\"",
		"\"\x01\"",
		"\"\xff\"",
		"\"\xc0\x80\"",
		"\"\xed\xa0\x80\"",
		"\"\xe2\x82\"",
		"\xef\xbb\xbf{}",
		("\xa0"
		 "1"),
		"{\"a\":1,\"a\":2}",
		"{\"a\":1,\"\\u0061\":1}",
		"{\"a\":null,\"a\":null}",
		"{\"x\":{\"a\":[{\"k\":1,\"k\":1}]}}",
		"\f1",
		"[1\v]",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct json *j = NULL;
		struct err err = ERR_INIT;
		int r = json_parse(texts[i], strlen(texts[i]), &j, &err);

		if (r != -EINVAL)
			printf("     accepted: %s\n", texts[i]);
		CHECK_INT(r, -EINVAL);
		CHECK(!j && str_after(err.text, "not valid JSON: "));
	}
}

TEST(a_nul_byte_is_refused)
{
	struct json *j = NULL;

	CHECK_INT(json_parse("1\0", 2, &j, NULL), -EINVAL);
	CHECK_INT(json_parse("\"a\0b\"", 5, &j, NULL), -EINVAL);
	CHECK_INT(json_parse("{}\0{}", 5, &j, NULL), -EINVAL);
}

/* The text need not end with a NUL: what is behind its end is never looked at. */
TEST(only_the_given_length_is_read)
{
	static const char *const texts[] = { "truex", "123", "\"ab\"", "{\"a\":1}", "[1]", "\"\\u0041\"", "1.5e5" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for (size_t len = 0; len <= strlen(texts[i]); len++) {
			autofree char *exact = malloc(len ? len : 1);
			AUTO(json_free) struct json *j = NULL;

			memcpy(exact, texts[i], len);
			(void)json_parse(exact, len, &j, NULL); /* the sanitizer looks */
		}
}

TEST(the_error_names_the_place)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;
	const char *text = "{\n  \"a\": 1,\n  \"b\": x\n}";

	CHECK_INT(json_parse(text, strlen(text), &j, &err), -EINVAL);
	CHECK_STR(err.text, "not valid JSON: line 3, column 8: a value is expected here");
}

static char *nested(int depth, char open, char close)
{
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;

	for (int i = 0; i < depth; i++)
		strbuf_adds(&sb, open == '[' ? "[" : i + 1 < depth ? "{\"a\":" : "{");
	for (int i = 0; i < depth; i++)
		strbuf_addc(&sb, close);
	return strbuf_take(&sb);
}

TEST(depth)
{
	for (int i = 0; i < 2; i++) {
		char open = "[{"[i], close = "]}"[i];
		autofree char *good = nested(JSON_MAX_DEPTH, open, close);
		autofree char *bad = nested(JSON_MAX_DEPTH + 1, open, close);
		autofree char *absurd = nested(1000000, open, close);
		AUTO(json_free) struct json *j = parse(good);
		struct json *none = NULL;

		check_print(j, good);
		CHECK_INT(json_parse(bad, strlen(bad), &none, NULL), -EINVAL);
		CHECK_INT(json_parse(absurd, strlen(absurd), &none, NULL), -EINVAL);
		CHECK(!none);
	}
}

TEST(wide_is_not_deep)
{
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;
	AUTO(json_free) struct json *j = NULL;

	strbuf_adds(&sb, "{\"x\":[[]");
	for (int i = 0; i < 1000; i++)
		strbuf_adds(&sb, ",[[]]");
	strbuf_addc(&sb, ']');
	for (int i = 0; i < 10000; i++)
		strbuf_addf(&sb, ",\"k%d\":%d", i, i);
	strbuf_addc(&sb, '}');
	j = parse(sb.s);
	CHECK_INT(json_len(j), 10001);
	CHECK_INT(json_len(json_get(j, "x")), 1001);
	check_print(j, sb.s);
}

TEST(files)
{
	autofree char *path = path_join(test_dir(), "config.json");
	AUTO(json_free) struct json *j = NULL;
	struct json *none = NULL;
	struct err err = ERR_INIT;

	CHECK_INT(file_write_whole(path, "{\"a\":1}\n", 8, 0600, NULL), 0);
	CHECK_INT(json_parse_file(path, 100, &j, &err), 0);
	CHECK_INT(json_get_int(j, "a", 0), 1);
	CHECK_INT(json_parse_file(path, 4, &none, &err), -EFBIG);
	CHECK_INT(file_write_whole(path, "{", 1, 0600, NULL), 0);
	CHECK_INT(json_parse_file(path, 100, &none, &err), -EINVAL);
	CHECK(str_after(err.text, path));
	CHECK(!none);
}

TEST(building)
{
	AUTO(json_free) struct json *o = json_new_object();
	AUTO(strv_free) char **v = strv_new("x", "y", NULL);
	struct json *a = json_new_array();

	json_set_str(o, "name", "web");
	json_set_strf(o, "path", "/%s/%d", "a", 1);
	json_set_int(o, "n", INT64_MIN);
	json_set_bool(o, "b", true);
	json_set_str(o, "null", NULL);
	json_set(o, "null2", json_new_null());
	json_add(a, json_new_int(1));
	json_add_str(a, "two");
	json_add(a, json_new_null());
	json_add(a, json_new_strv(v));
	json_set(o, "list", a);
	json_set_str(o, "name", "db"); /* replaces, at its old place */
	json_unset(o, "b");
	json_unset(o, "nothing");
	check_print(o, "{\"name\":\"db\",\"path\":\"/a/1\",\"n\":-9223372036854775808,\"null\":null,\"null2\":null,"
		       "\"list\":[1,\"two\",null,[\"x\",\"y\"]]}");
	json_free(NULL);
}

TEST(what_is_built_is_always_json)
{
	AUTO(json_free) struct json *o = json_new_object();
	AUTO(json_free) struct json *back = NULL;
	autofree char *s = NULL;

	json_set_str(o, "bad\xff", "file\xfe\n");
	s = json_print(o, JSON_PRETTY);
	back = parse(s);
	CHECK_STR(json_get_str(back, "bad\xef\xbf\xbd"), "file\xef\xbf\xbd\n");
}

TEST(pretty)
{
	AUTO(json_free) struct json *j = parse("{\"a\":[1,{}],\"b\":{\"c\":[]}}");
	autofree char *s = json_print(j, JSON_PRETTY);

	CHECK_STR(s, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {\n    \"c\": []\n  }\n}");
}

TEST(looking)
{
	AUTO(json_free)
	struct json *j = parse("{\"s\":\"x\",\"i\":5,\"u\":18446744073709551615,\"d\":1.5,\"t\":true,"
			       "\"n\":null,\"a\":[\"p\",2,\"q\"],\"a/b\":{\"m~n\":7},\"\":9}");
	AUTO(strv_free) char **v = json_to_strv(json_get(j, "a"));
	AUTO(strv_free) char **none = json_to_strv(json_get(j, "s"));

	CHECK_INT(json_type(j), JSON_OBJECT);
	CHECK_INT(json_type(json_get(j, "d")), JSON_DOUBLE);
	CHECK_INT(json_type(json_get(j, "u")), JSON_INT);
	CHECK_INT(json_type(json_get(j, "n")), JSON_NULL);
	CHECK(json_has(j, "n") && !json_has(j, "none") && !json_has(NULL, "x") && !json_has(json_get(j, "a"), "x"));
	CHECK_STR(json_get_str(j, "s"), "x");
	CHECK(!json_get_str(j, "i") && !json_get_str(j, "none"));
	CHECK_INT(json_get_int(j, "i", 7), 5);
	CHECK_INT(json_get_int(j, "u", 7), 7);
	CHECK_INT(json_get_int(j, "d", 7), 7);
	CHECK_INT(json_get_int(j, "s", 7), 7);
	CHECK(json_is_int64(json_get(j, "i")) && !json_is_int64(json_get(j, "u")) && !json_is_int64(NULL));
	CHECK(json_get_bool(j, "t", false) && json_get_bool(j, "none", true) && !json_get_bool(j, "i", false));
	CHECK_INT(json_len(json_get(j, "a")), 3);
	CHECK_STR(json_str(json_item(json_get(j, "a"), 2)), "q");
	CHECK(!json_item(json_get(j, "a"), 3));
	CHECK(strv_len(v) == 2 && strcmp(v[1], "q") == 0);
	CHECK(!none);
	CHECK_INT(json_int(json_at(j, "/a/1"), 0), 2);
	CHECK_INT(json_int(json_at(j, "/a~1b/m~0n"), 0), 7);
	CHECK_INT(json_int(json_at(j, "/"), 0), 9);
	CHECK(json_at(j, "") == j);
	CHECK(!json_at(j, "a") && !json_at(j, "/a/3") && !json_at(j, "/a/01") && !json_at(j, "/a/-1") &&
	      !json_at(j, "/a/") && !json_at(j, "/s/x") && !json_at(j, "/x/y") && !json_at(j, "/a~2b"));
}

TEST(null_is_accepted_everywhere)
{
	struct json_iter it = json_iter(NULL);

	CHECK_INT(json_type(NULL), JSON_NULL);
	CHECK(!json_get(NULL, "a") && !json_at(NULL, "/a") && !json_str(NULL) && !json_get_str(NULL, "a"));
	CHECK(!json_item(NULL, 0) && json_len(NULL) == 0 && !json_copy(NULL) && !json_to_strv(NULL));
	CHECK_INT(json_int(NULL, 3), 3);
	CHECK(json_bool(NULL, true));
	CHECK(!json_next(&it));
	json_unset(NULL, "a");
}

TEST(iterating_in_document_order)
{
	AUTO(json_free) struct json *j = parse("{\"z\":1,\"a\":null,\"m\":3}");
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;

	for (struct json_iter it = json_iter(j); json_next(&it);)
		strbuf_addf(&sb, "%s=%lld ", it.key, (long long)json_int(it.value, -1));
	CHECK_STR(sb.s, "z=1 a=-1 m=3 ");
	for (struct json_iter it = json_iter(json_get(j, "z")); json_next(&it);)
		CHECK(!"a number has no members");
}

TEST(a_copy_is_its_own)
{
	AUTO(json_free) struct json *a = parse("{\"x\":{\"y\":[1]}}");
	AUTO(json_free) struct json *b = json_copy(a);

	json_add_str(json_at(b, "/x/y"), "new");
	json_set_int(b, "z", 1);
	check_print(a, "{\"x\":{\"y\":[1]}}");
	check_print(b, "{\"x\":{\"y\":[1,\"new\"]},\"z\":1}");
}

struct request {
	const char *name;
	bool force;
	int64_t timeout;
	struct json *config;
};

static const struct json_field request_fields[] = {
	{ "name", JSON_F_STR, offsetof(struct request, name), true },
	{ "force", JSON_F_BOOL, offsetof(struct request, force), false },
	{ "timeout", JSON_F_INT, offsetof(struct request, timeout), false },
	{ "config", JSON_F_JSON, offsetof(struct request, config), false },
	{ "old", JSON_F_IGNORE, 0, false },
};

static int decode(const char *text, struct request *rq, struct json **ret_doc, struct err *err)
{
	*ret_doc = parse(text);
	return json_decode(*ret_doc, request_fields, ARRAY_SIZE(request_fields), rq, err);
}

TEST(decoding)
{
	AUTO(json_free) struct json *doc = NULL;
	struct request rq = { .timeout = 30, .force = true };
	struct err err = ERR_INIT;

	CHECK_INT(decode("{\"name\":\"web\",\"timeout\":null,\"config\":{\"a\":1},\"old\":[1]}", &rq, &doc, &err), 0);
	CHECK_STR(rq.name, "web");
	CHECK_INT(rq.timeout, 30);
	CHECK(rq.force);
	CHECK_INT(json_get_int(rq.config, "a", 0), 1);
}

TEST(decoding_that_fails_changes_nothing)
{
	static const char *const cases[][2] = {
		{ "{\"name\":5}", "name must be a string" },
		{ "{\"force\":false}", "'name' is missing" },
		{ "{\"force\":false,\"name\":null}", "'name' is missing" },
		{ "{\"name\":\"x\",\"force\":\"yes\"}", "force must be true or false" },
		{ "{\"name\":\"x\",\"timeout\":1.5}", "timeout must be a whole number (of at most 64 bits)" },
		{ "{\"name\":\"x\",\"timeout\":18446744073709551615}",
		  "timeout must be a whole number (of at most 64 bits)" },
		{ "{\"name\":\"x\",\"nmae\":1}", "unknown member 'nmae' (known: name, force, timeout, config, old)" },
		{ "[]", "a JSON object is expected" },
		{ "null", "a JSON object is expected" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(json_free) struct json *doc = NULL;
		struct request rq = { .name = "before", .timeout = 30, .force = true };
		struct err err = ERR_INIT;

		CHECK_INT(decode(cases[i][0], &rq, &doc, &err), -EINVAL);
		CHECK_STR(err.text, cases[i][1]);
		CHECK(str_eq(rq.name, "before") && rq.timeout == 30 && rq.force && !rq.config);
	}
}

TEST(an_open_table_takes_unknown_members)
{
	static const struct json_field fields[] = { { "n", JSON_F_INT, 0, false }, { "*", JSON_F_IGNORE, 0, false } };
	AUTO(json_free) struct json *doc = parse("{\"x\":1,\"n\":-5,\"*\":2}");
	int64_t n = 0;

	CHECK_INT(json_decode(doc, fields, ARRAY_SIZE(fields), &n, NULL), 0);
	CHECK_INT(n, -5);
}
