/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "base/strv.h"
#include "test.h"

static int saved_stderr = -1;

static void capture(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);

	saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(fd, STDERR_FILENO);
	close(fd);
}

/* What was logged since capture(), a heap string. */
static char *captured(const char *path)
{
	char *text = NULL;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	CHECK_INT(file_read(path, 1 << 24, &text, NULL, NULL), 0);
	return text;
}

TEST(levels)
{
	CHECK_INT(log_level_parse("error"), LOG_LEVEL_ERROR);
	CHECK_INT(log_level_parse("warn"), LOG_LEVEL_WARN);
	CHECK_INT(log_level_parse("info"), LOG_LEVEL_INFO);
	CHECK_INT(log_level_parse("debug"), LOG_LEVEL_DEBUG);
	CHECK_INT(log_level_parse("DEBUG"), -EINVAL);
	CHECK_INT(log_level_parse(""), -EINVAL);
}

TEST(a_line_for_people)
{
	autofree char *path = path_join(test_dir(), "log");
	autofree char *text = NULL;
	uint64_t us = 0;

	unsetenv("JOURNAL_STREAM");
	capture(path);
	log_debug("not wanted");
	errno = ENOENT;
	log_info("started '%s': %m", "web");
	CHECK_INT(errno, ENOENT);
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("not wanted");
	log_error("bad");
	log_set_level(LOG_LEVEL_INFO);
	text = captured(path);
	REQUIRE(strlen(text) > 21);
	CHECK_STR(strchr(text, ' '), strstr(text, " info  started 'web': No such file or directory\n"));
	CHECK(strstr(text, " error bad\n") && !strstr(text, "not wanted"));
	text[20] = '\0';
	CHECK_INT(clock_parse_rfc3339(text, &us), 0);
}

TEST(a_line_for_the_journal)
{
	autofree char *path = path_join(test_dir(), "journal");
	autofree char *text = NULL;

	setenv("JOURNAL_STREAM", "8:1", 1);
	capture(path);
	log_set_level(LOG_LEVEL_DEBUG);
	log_error("a");
	log_warn("b");
	log_info("c");
	log_debug("d");
	log_set_level(LOG_LEVEL_INFO);
	text = captured(path);
	unsetenv("JOURNAL_STREAM");
	CHECK_STR(text, "<3>a\n<4>b\n<6>c\n<7>d\n");
}

TEST(nothing_ends_a_line_or_drives_a_terminal)
{
	autofree char *path = path_join(test_dir(), "escape");
	autofree char *text = NULL;

	setenv("JOURNAL_STREAM", "8:1", 1);
	capture(path);
	log_info("%s", "a\n<3>forged\r\x1b[2J\x7f\t\xc2\x9b"
		       "31m\xc3\xa4");
	text = captured(path);
	unsetenv("JOURNAL_STREAM");
	CHECK_STR(text, "<6>a\\n<3>forged\\x0d\\x1b[2J\\x7f\\t\\x9b31m\xc3\xa4\n");
}

static void *log_much(void *arg)
{
	char word[401];

	memset(word, *(const char *)arg, 400);
	word[400] = '\0';
	for (int i = 0; i < 200; i++)
		log_info("%s", word);
	return NULL;
}

TEST(lines_of_threads_do_not_mix)
{
	autofree char *path = path_join(test_dir(), "threads");
	autofree char *text = NULL;
	AUTO(strv_free) char **lines = NULL;
	pthread_t t[4];

	setenv("JOURNAL_STREAM", "8:1", 1);
	capture(path);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, log_much, (void *)(uintptr_t) & "abcd"[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	text = captured(path);
	unsetenv("JOURNAL_STREAM");
	lines = strv_split(text, '\n');
	CHECK_INT(strv_len(lines), 801);
	for (size_t i = 0; lines[i] && lines[i][0]; i++)
		CHECK(strlen(lines[i]) == 403 && strspn(lines[i] + 3, (char[]){ lines[i][3], '\0' }) == 400);
}
