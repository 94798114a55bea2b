/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

TEST(copies)
{
	autofree char *a = xstrdup("abc");
	autofree char *b = xstrndup("abcdef", 3);
	autofree char *c = xstrndup("ab", 100);
	autofree char *d = xmemdup("a\0b", 4);
	autofree char *e = xasprintf("%s-%d", "web", 7);
	autofree char *none = xstrdup_null(NULL);
	autofree char *some = xstrdup_null("x");

	CHECK_STR(a, "abc");
	CHECK_STR(b, "abc");
	CHECK_STR(c, "ab");
	CHECK(memcmp(d, "a\0b", 4) == 0);
	CHECK_STR(e, "web-7");
	CHECK(!none);
	CHECK_STR(some, "x");
}

TEST(zero_bytes_are_a_pointer)
{
	autofree void *a = xmalloc(0);
	autofree void *b = xcalloc(0, 8);
	autofree void *c = xmemdup(NULL, 0);
	autofree void *d = xrealloc(NULL, 0);

	CHECK(a && b && c && d);
}

TEST(calloc_is_zero)
{
	autofree unsigned char *p = xcalloc(100, 10);

	for (size_t i = 0; i < 1000; i++)
		CHECK(p[i] == 0);
}

TEST(an_overflow_ends_the_process)
{
	volatile size_t huge = SIZE_MAX / 2;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		(void)close(STDERR_FILENO);
		free(xreallocarray(NULL, huge, 4));
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
