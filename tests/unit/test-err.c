/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include "base/str.h"
#include "test.h"

TEST(set_returns_the_code)
{
	struct err err = ERR_INIT;

	CHECK_INT(err_set(&err, -EBUSY, "'%s' is busy", "web"), -EBUSY);
	CHECK_STR(err.text, "'web' is busy");
	CHECK_INT(err_set(NULL, -EBUSY, "nobody reads it"), -EBUSY);
}

TEST(sys_appends_the_words)
{
	struct err err = ERR_INIT;

	errno = ENOENT;
	CHECK_INT(err_sys(&err, "config.json"), -ENOENT);
	CHECK_STR(err.text, "config.json: No such file or directory");
	errno = 0;
	CHECK_INT(err_sys(&err, "x"), -EIO);
	errno = EACCES;
	CHECK_INT(err_sys(NULL, "x"), -EACCES);
}

TEST(wrap_puts_before)
{
	struct err err = ERR_INIT;

	err_set(&err, -EIO, "inner");
	CHECK_INT(err_wrap(&err, -EIO, "outer %d", 7), -EIO);
	CHECK_STR(err.text, "outer 7: inner");
	CHECK_INT(err_wrap(NULL, -EIO, "outer"), -EIO);
}

TEST(wrap_of_nothing_says_the_number)
{
	struct err err = ERR_INIT;

	err_wrap(&err, -ENOSPC, "cannot write");
	CHECK_STR(err.text, "cannot write: No space left on device");
}

TEST(arguments_may_be_the_text_itself)
{
	struct err err = ERR_INIT;

	err_set(&err, -EIO, "inner");
	err_set(&err, -EIO, "<%s> <%s>", err.text, err.text);
	CHECK_STR(err.text, "<inner> <inner>");
	err_wrap(&err, -EIO, "see %s", err.text);
	CHECK_STR(err.text, "see <inner> <inner>: <inner> <inner>");
}

TEST(long_texts_end_at_a_character)
{
	char text[700];

	for (size_t pad = 0; pad < 4; pad++) {
		struct err err = ERR_INIT;

		memset(text, 'x', sizeof(text));
		for (size_t i = pad; i + 4 < sizeof(text); i += 3)
			memcpy(text + i, "\xe2\x82\xac", 3);
		text[sizeof(text) - 1] = '\0';
		err_set(&err, -EIO, "%s", text);
		CHECK(strlen(err.text) >= sizeof(err.text) - 4);
		CHECK(str_is_utf8(err.text, strlen(err.text)));
		err_wrap(&err, -EIO, "once more");
		CHECK(str_is_utf8(err.text, strlen(err.text)));
		CHECK(strlen(err.text) >= sizeof(err.text) - 4);
	}
}
