/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "test.h"

/* Counting is for the process: each case has its own. Gives the wait status; the exit code is -(result) at passage @n.
 */
static int in_child(const char *spec, const char *name, int n)
{
	int status = -1, r = 0;
	pid_t pid = fork();

	if (pid == 0) {
		setenv("STASIS_FAULT", spec, 1);
		(void)!freopen("/dev/null", "w", stderr);
		for (int i = 0; i < n; i++)
			r = fault_hit(name, NULL);
		_exit(-r);
	}
	CHECK(waitpid(pid, &status, WUNTRACED) == pid);
	if (WIFSTOPPED(status)) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return status;
}

static int code_of(const char *spec, const char *name, int n)
{
	int status = in_child(spec, name, n);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(the_table_is_sorted)
{
	const char *const *names = fault_names();

	CHECK(names[0]);
	for (size_t i = 0; names[i] && names[i + 1]; i++)
		CHECK(strcmp(names[i], names[i + 1]) < 0);
}

TEST(actions)
{
	int status;

	CHECK_INT(code_of("", "stop.frozen", 1), 0);
	CHECK_INT(code_of("stop.frozen=fail", "stop.frozen", 1), EIO);
	CHECK_INT(code_of("stop.frozen=enospc", "stop.frozen", 1), ENOSPC);
	CHECK_INT(code_of("stop.frozen=fail", "stop.dumped", 1), 0);
	CHECK_INT(code_of("stop.dumped=fail,stop.frozen=enospc", "stop.frozen", 1), ENOSPC);
	status = in_child("stop.frozen=kill", "stop.frozen", 1);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	status = in_child("stop.frozen=stop", "stop.frozen", 1);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}

TEST(counts)
{
	CHECK_INT(code_of("boot.begin=fail:2", "boot.begin", 1), 0);
	CHECK_INT(code_of("boot.begin=fail:2", "boot.begin", 2), EIO);
	CHECK_INT(code_of("boot.begin=fail:2", "boot.begin", 3), 0);
	CHECK_INT(code_of("boot.begin=fail", "boot.begin", 3), EIO);
}

TEST(mistakes_abort)
{
	static const char *const specs[] = { "no.such=fail",	 "boot.begin",		"boot.begin=explode",
					     "boot.begin=fail:", "boot.begin=fail:0x1", "boot.begin=sleep" };

	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		int status = in_child(specs[i], "boot.begin", 1);

		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
	CHECK(WIFSIGNALED(in_child("", "no.such", 1)));
}

static int guarded(int *reached, struct err *err)
{
	FAULT("create.row", err);
	*reached = 1;
	return 0;
}

TEST(the_statement_returns_from_its_function)
{
	struct err err = ERR_INIT;
	int reached = 0;

	setenv("STASIS_FAULT", "create.row=fail:1", 1);
	CHECK_INT(guarded(&reached, &err), -EIO);
	CHECK_INT(reached, 0);
	CHECK_STR(err.text, "fault injected at create.row");
	CHECK_INT(guarded(&reached, &err), 0);
	CHECK_INT(reached, 1);
	unsetenv("STASIS_FAULT");
}

TEST(sleeping)
{
	uint64_t before = clock_mono_us();

	setenv("STASIS_FAULT", "create.row=sleep50", 1);
	CHECK_INT(fault_hit("create.row", NULL), 0);
	CHECK(clock_mono_us() - before >= 50 * US_PER_MS);
	unsetenv("STASIS_FAULT");
}

TEST(a_file_for_daemons_that_run)
{
	autofree char *path = path_join(test_dir(), "faults");

	setenv("STASIS_FAULT_FILE", path, 1);
	CHECK_INT(fault_hit("create.row", NULL), 0);
	CHECK_INT(file_write_whole(path, "create.row=fail:2\n", 18, 0600, NULL), 0);
	CHECK_INT(fault_hit("create.row", NULL), 0); /* the count began anew */
	CHECK_INT(fault_hit("create.row", NULL), -EIO);
	CHECK_INT(fault_hit("create.row", NULL), 0);
	CHECK_INT(path_remove_all(path, NULL), 0);
	CHECK_INT(fault_hit("create.row", NULL), 0);
	unsetenv("STASIS_FAULT_FILE");
}

static void *hit_much(void *arg)
{
	atomic_int *n_failed = arg;

	for (int i = 0; i < 500; i++)
		if (fault_hit("create.row", NULL) < 0)
			atomic_fetch_add(n_failed, 1);
	return NULL;
}

TEST(one_of_many_threads_is_hit)
{
	atomic_int n_failed = 0;
	pthread_t t[4];

	setenv("STASIS_FAULT", "create.row=fail:777", 1);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, hit_much, &n_failed);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	CHECK_INT(atomic_load(&n_failed), 1);
	unsetenv("STASIS_FAULT");
}
