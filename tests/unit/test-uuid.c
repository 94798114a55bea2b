/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include "test.h"

TEST(new_ones_are_valid_and_differ)
{
	char a[UUID_SIZE], b[UUID_SIZE];

	for (int i = 0; i < 1000; i++) {
		uuid_new(a);
		uuid_new(b);
		CHECK(uuid_is_valid(a));
		CHECK(strcmp(a, b) != 0);
		CHECK(a[14] == '4' && strchr("89ab", a[19]));
	}
}

TEST(others_are_not)
{
	CHECK(uuid_is_valid("00112233-4455-6677-8899-aabbccddeeff"));
	CHECK(!uuid_is_valid("00112233-4455-6677-8899-AABBCCDDEEFF"));
	CHECK(!uuid_is_valid("00112233-4455-6677-8899-aabbccddeef"));
	CHECK(!uuid_is_valid("00112233-4455-6677-8899-aabbccddeefff"));
	CHECK(!uuid_is_valid("001122334-455-6677-8899-aabbccddeeff"));
	CHECK(!uuid_is_valid("00112233-4455-6677-8899-aabbccddeef/"));
	CHECK(!uuid_is_valid(""));
	CHECK(!uuid_is_valid(NULL));
}
