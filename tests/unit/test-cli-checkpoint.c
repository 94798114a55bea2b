/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/checkpoint.h"
#include "cli/cli.h"
#include "test.h"

/* How many seconds from now on @text is; -1 for never, -2 for no time at all. */
static long long seconds_until(const char *text)
{
	autofree char *when = NULL;
	uint64_t us = 0, now = clock_real_us();

	if (checkpoint_when(text, &when, NULL) < 0)
		return -2;
	if (!when)
		return -1;
	if (clock_parse_rfc3339(when, &us) < 0 || us < now)
		return -2;
	return (long long)((us - now + US_PER_S / 2) / US_PER_S);
}

TEST(times_are_lengths_days_moments_or_never)
{
	CHECK_INT(seconds_until("never"), -1);
	CHECK_INT(seconds_until("90"), 90);
	CHECK_INT(seconds_until("12h"), 12 * 3600);
	CHECK_INT(seconds_until("7d"), 7 * 86400);
	CHECK_INT(seconds_until("2w"), 14 * 86400);
	CHECK(seconds_until("2999-12-24") > 365 * 86400);
	CHECK(seconds_until("2999-12-24T18:00:00Z") > 365 * 86400);
}

TEST(what_is_no_time_is_refused)
{
	static const char *const bad[] = { "",		 "d",	       "0",	      "0d",   "-1d",
					   "1.5d",	 "7 d",	       "tomorrow",    "7dd",  "99999999999d",
					   "2001-01-01", "2026-13-40", "2999-12-24x", "Never" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (seconds_until(bad[i]) != -2)
			printf("       '%s' is taken for a time\n", bad[i]);
		CHECK_INT(seconds_until(bad[i]), -2);
	}
}

TEST(pauses_are_lengths_of_time)
{
	CHECK_INT(checkpoint_check_pause(NULL, NULL), 0);
	CHECK_INT(checkpoint_check_pause("500ms", NULL), 0);
	CHECK_INT(checkpoint_check_pause("soon", NULL), CLI_EUSAGE);
}

static struct json *parse(const char *text)
{
	struct json *j = NULL;

	CHECK_INT(json_parse(text, strlen(text), &j, NULL), 0);
	return j;
}

TEST(a_checkpoint_in_words)
{
	AUTO(json_free)
	struct json *live = parse("{\"stateful\":true,\"memory_bytes\":268435456,\"rootfs_bytes\":1048576,"
				  "\"volume_bytes\":11534336,\"phases\":{\"paused\":210000}}");
	AUTO(json_free) struct json *files = parse("{\"stateful\":false,\"rootfs_bytes\":1048576}");
	autofree char *of_live = checkpoint_words(live), *of_files = checkpoint_words(files);
	autofree char *of_nothing = checkpoint_words(NULL);

	CHECK_STR(of_live, "paused 0.21 s, 256.0 MiB memory, 12.0 MiB files");
	CHECK_STR(of_files, "1.0 MiB files, no memory");
	CHECK(of_nothing != NULL);
}

TEST(figures_have_podmans_names)
{
	AUTO(json_free)
	struct json *c = parse("{\"instance\":\"web\",\"phases\":{\"freeze\":1,\"dump\":2,\"paused\":3,\"total\":9}}");
	AUTO(json_free) struct json *stats = checkpoint_stats(c), *back = checkpoint_restore_stats("web", 7);

	CHECK_INT(json_get_int(stats, "engine_checkpoint_duration", 0), 9);
	CHECK_STR(json_str(json_at(stats, "/container_statistics/0/Id")), "web");
	CHECK_INT(json_int(json_at(stats, "/container_statistics/0/runtime_checkpoint_duration"), 0), 2);
	CHECK_INT(json_int(json_at(stats, "/container_statistics/0/criu_statistics/freezing_time"), 0), 1);
	CHECK_INT(json_int(json_at(stats, "/container_statistics/0/criu_statistics/frozen_time"), 0), 3);
	CHECK_INT(json_int(json_at(stats, "/container_statistics/0/phases/total"), 0), 9);
	CHECK_INT(json_get_int(back, "engine_restore_duration", 0), 7);
}

static bool is_otherwise(const char *a, const char *b, const char *c)
{
	char *const argv[] = { (char *)a, (char *)b, (char *)c, NULL };

	return command_is_otherwise(command_find(&cli_root, "checkpoint"), argv);
}

TEST(a_group_takes_other_words_for_those_of_its_first_command)
{
	CHECK(is_otherwise("web", NULL, NULL));
	CHECK(is_otherwise("--export", "list", "web"));
	CHECK(is_otherwise("-k", "web", NULL));
	CHECK(is_otherwise("--no-such-option", NULL, NULL));
	CHECK(!is_otherwise("list", "web", NULL));
	CHECK(!is_otherwise("--format", "json", "list"));
	CHECK(!is_otherwise("--help", NULL, NULL));
	CHECK(!is_otherwise(NULL, NULL, NULL));
	CHECK(!command_find(&cli_root, "snapshot")->otherwise);
}
