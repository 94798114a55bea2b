/* SPDX-License-Identifier: Apache-2.0 */
#include "api/uri.h"

#include <errno.h>

#include "base/strv.h"
#include "test.h"

static int parse(const char *text, struct uri *ret)
{
	*ret = (struct uri){ NULL, NULL };
	return uri_parse(text, ret, NULL);
}

TEST(segments_are_split_before_they_are_decoded)
{
	AUTO(uri_done) struct uri u;

	REQUIRE(parse("/1.0/images/aliases/alpine%2F3.18", &u) == 0);
	CHECK_INT(strv_len(u.segments), 4);
	CHECK_STR(u.segments[3], "alpine/3.18");
}

TEST(a_slash_at_the_end_counts_for_nothing)
{
	AUTO(uri_done) struct uri u, root;

	REQUIRE(parse("/1.0/instances/", &u) == 0);
	CHECK_INT(strv_len(u.segments), 2);
	REQUIRE(parse("/", &root) == 0);
	CHECK_INT(strv_len(root.segments), 0);
}

TEST(query_values_are_decoded_as_a_form)
{
	AUTO(uri_done) struct uri u;

	REQUIRE(parse("/x?a=1+2%2b3&b&c=&d=%c3%a4&a=second", &u) == 0);
	CHECK_STR(uri_query(&u, "a"), "1 2+3");
	CHECK_STR(uri_query(&u, "b"), "");
	CHECK_STR(uri_query(&u, "c"), "");
	CHECK_STR(uri_query(&u, "d"), "\xc3\xa4");
	CHECK_STR(uri_query(&u, "e"), NULL);
	CHECK_STR(uri_query(&u, ""), NULL);
}

TEST(a_plus_in_a_path_is_a_plus)
{
	AUTO(uri_done) struct uri u;

	REQUIRE(parse("/a+b", &u) == 0);
	CHECK_STR(u.segments[0], "a+b");
}

TEST(nonsense_is_refused)
{
	static const char *const bad[] = { "",	  "x",	     "*",    "http://s/1.0", "/%",
					   "/%2", "/a%zz",   "/%00", "/%ff",	     "/?a=%00",
					   "/?%", "/%c0%af", "/a%2", "/a?b=%4",	     "/%ed%a0%80" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO(uri_done) struct uri u;

		if (parse(bad[i], &u) != -EINVAL) {
			printf("       '%s' was taken\n", bad[i]);
			CHECK(false);
		}
	}
}

TEST(numbers_of_parts_are_limited)
{
	AUTO(uri_done) struct uri u;
	char path[2 * (URI_MAX_SEGMENTS + 1) + 1], query[2 + 2 * (URI_MAX_QUERIES + 1) + 1] = "/?";

	for (size_t i = 0; i <= URI_MAX_SEGMENTS; i++)
		memcpy(path + 2 * i, "/x", 3);
	CHECK_INT(parse(path, &u), -EINVAL);
	for (size_t i = 0; i <= URI_MAX_QUERIES; i++)
		memcpy(query + 2 + 2 * i, "a&", 3);
	CHECK_INT(parse(query, &u), -EINVAL);
}

TEST(encode_is_the_inverse_of_decode)
{
	autofree char *text = uri_encode("a/b c%\xc3\xa4?&=+~.-_:");
	char path[128];
	AUTO(uri_done) struct uri u = { NULL, NULL };

	CHECK_STR(text, "a%2Fb%20c%25%C3%A4%3F%26%3D%2B~.-_:");
	(void)snprintf(path, sizeof(path), "/%s", text);
	REQUIRE(parse(path, &u) == 0);
	CHECK_STR(u.segments[0], "a/b c%\xc3\xa4?&=+~.-_:");
}
