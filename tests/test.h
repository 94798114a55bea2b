/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * test.h - a test says what must hold
 *
 * TEST(name) { ... } registers itself; one test-<module>.c is one program, whose main() is here. CHECK() notes a
 * failure and goes on, REQUIRE() leaves the test, SKIP() says why it cannot be run here. All but the last two may be
 * used in any thread. Arguments of the program name the tests to run. The exit code is 1 when something failed.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/path.h"

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

static struct test *test_first, **test_last = &test_first;
static const char *test_skipped;
static atomic_int test_n_bad;
static char test_dir_path[64];

#define TEST(id)                                                                                                       \
	static void test_##id(void);                                                                                   \
	__attribute__((constructor)) static void test_register_##id(void)                                              \
	{                                                                                                              \
		static struct test t = { #id, test_##id, NULL };                                                       \
                                                                                                                       \
		*test_last = &t;                                                                                       \
		test_last = &t.next;                                                                                   \
	}                                                                                                              \
	static void test_##id(void)

static inline bool test_check(bool is_good, const char *file, int line, const char *what)
{
	if (!is_good) {
		atomic_fetch_add(&test_n_bad, 1);
		printf("     %s:%d: %s\n", file, line, what);
	}
	return is_good;
}

static inline bool test_check_str(const char *a, const char *b, const char *file, int line, const char *what)
{
	bool is_good = a == b || (a && b && strcmp(a, b) == 0);

	if (!test_check(is_good, file, line, what))
		printf("       '%s' is not '%s'\n", a ? a : "(null)", b ? b : "(null)");
	return is_good;
}

static inline bool test_check_int(long long a, long long b, const char *file, int line, const char *what)
{
	if (!test_check(a == b, file, line, what))
		printf("       %lld is not %lld\n", a, b);
	return a == b;
}

#define CHECK(expr)	((void)test_check((expr), __FILE__, __LINE__, #expr))
#define CHECK_STR(a, b) ((void)test_check_str((a), (b), __FILE__, __LINE__, #a " == " #b))
#define CHECK_INT(a, b) ((void)test_check_int((long long)(a), (long long)(b), __FILE__, __LINE__, #a " == " #b))
#define REQUIRE(expr)                                                                                                  \
	do {                                                                                                           \
		if (!test_check((expr), __FILE__, __LINE__, #expr))                                                    \
			return;                                                                                        \
	} while (0)
#define SKIP(reason)                                                                                                   \
	do {                                                                                                           \
		test_skipped = (reason);                                                                               \
		return;                                                                                                \
	} while (0)

/* A folder for this program, made at the first call and removed at the end. */
static inline const char *test_dir(void)
{
	if (!test_dir_path[0]) {
		strcpy(test_dir_path, "/tmp/stasis-test.XXXXXX");
		if (!mkdtemp(test_dir_path)) {
			perror("mkdtemp");
			exit(1);
		}
	}
	return test_dir_path;
}

static inline bool test_is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc < 2;
}

/* 1 if it failed, else 0. */
static inline int test_run(const struct test *t)
{
	int before = atomic_load(&test_n_bad);
	bool is_bad;

	test_skipped = NULL;
	t->run();
	is_bad = atomic_load(&test_n_bad) > before;
	if (!is_bad && test_skipped)
		printf("skip %s: %s\n", t->name, test_skipped);
	else
		printf("%s %s\n", is_bad ? "FAIL" : "ok  ", t->name);
	return is_bad;
}

int main(int argc, char **argv)
{
	int n = 0, n_failed = 0;
	struct err err = ERR_INIT;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (const struct test *t = test_first; t; t = t->next) {
		if (!test_is_wanted(t->name, argc, argv))
			continue;
		n++;
		n_failed += test_run(t);
	}
	if (test_dir_path[0] && path_remove_all(test_dir_path, &err) < 0)
		printf("%s\n", err.text);
	printf("%d tests, %d failed\n", n, n_failed);
	return n_failed > 0 || n == 0;
}
