/* SPDX-License-Identifier: Apache-2.0 */
#include "api/reply.h"

#include <errno.h>

#include "base/json.h"
#include "test.h"

TEST(errno_becomes_status)
{
	static const int expected[][2] = {
		{ -ENOENT, 404 }, { -EEXIST, 409 },    { -EBUSY, 409 },	 { -EINVAL, 400 }, { -EPERM, 403 },
		{ -EACCES, 403 }, { -ETIMEDOUT, 504 }, { -ENOSPC, 507 }, { -EFBIG, 413 },  { -EIO, 500 },
		{ -ESTALE, 412 }, { -ECANCELED, 500 }, { -EPROTO, 500 }, { -ENOMEM, 500 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		CHECK_INT(reply_status(expected[i][0]), expected[i][1]);
}

TEST(an_error_has_all_that_clients_read)
{
	AUTO(reply_done) struct reply re;
	AUTO(json_free) struct json *j = NULL;
	struct err err = { .text = "'web' is busy: stopping" };

	reply_init(&re);
	reply_error(&re, -EBUSY, &err);
	REQUIRE(json_parse(re.body, re.body_len, &j, NULL) == 0);
	CHECK_INT(re.status, 409);
	CHECK_STR(json_get_str(j, "type"), "error");
	CHECK_INT(json_get_int(j, "error_code", 0), 409);
	CHECK_STR(json_get_str(j, "error"), "'web' is busy: stopping");
}

TEST(an_error_without_words_gets_some_and_broken_ones_are_mended)
{
	AUTO(reply_done) struct reply re;
	AUTO(json_free) struct json *j = NULL;
	struct err none = ERR_INIT, broken = { .text = "a\xc3" };

	reply_init(&re);
	reply_error(&re, -ENOENT, &none);
	CHECK(strstr(re.body, "No such file or directory"));
	reply_error(&re, -ENOENT, &broken);
	REQUIRE(json_parse(re.body, re.body_len, &j, NULL) == 0);
	CHECK_STR(json_get_str(j, "error"), "a?");
}

TEST(sync_without_metadata_has_an_empty_object)
{
	AUTO(reply_done) struct reply re;
	AUTO(json_free) struct json *j = NULL;

	reply_init(&re);
	reply_sync(&re, NULL);
	REQUIRE(json_parse(re.body, re.body_len, &j, NULL) == 0);
	CHECK_INT(re.status, 200);
	CHECK(json_type(json_get(j, "metadata")) == JSON_OBJECT);
	CHECK_INT(json_get_int(j, "status_code", 0), 200);
}
