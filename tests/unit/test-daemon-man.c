/* SPDX-License-Identifier: Apache-2.0 */
/* test-daemon-man.c - the manual page names every setting with its default */
#include "base/file.h"
#include "base/mem.h"
#include "engine/settings.h"
#include "test.h"

TEST(every_setting_is_in_the_manual)
{
	autofree char *page = NULL;
	struct err err = ERR_INIT;

	REQUIRE(file_read(STASIS_MAN, 1 << 20, &page, NULL, &err) == 0);
	for (size_t i = 0; settings_row(i); i++) {
		const struct setting_row *row = settings_row(i);
		autofree char *plain = xasprintf("\n.It Li %s\n", row->key);
		autofree char *word = xasprintf("\n.It Li %s Pq Li %s\n", row->key, row->fallback);
		autofree char *path = xasprintf("\n.It Li %s Pq Pa %s\n", row->key, row->fallback);
		autofree char *number = xasprintf("\n.It Li %s Pq %s\n", row->key, row->fallback);
		bool is_there = *row->fallback ? strstr(page, word) || strstr(page, path) || strstr(page, number)
					       : strstr(page, plain) != NULL;

		CHECK(is_there);
		if (!is_there)
			printf("       no '%s' with its default '%s'\n", row->key, row->fallback);
	}
}
