/* SPDX-License-Identifier: Apache-2.0 */
#include "base/proc.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strv.h"
#include "test.h"

#define S US_PER_S

/* Runs a line of shell; gives proc_run()'s result. */
static int sh(const char *line, uint64_t timeout_us, struct strbuf *out, int *ret_code, struct err *err)
{
	char *const *argv = PROC_ARGV("sh", "-c", line);
	struct proc_spec spec = { .argv = argv };

	return proc_run(&spec, timeout_us, out, 1 << 20, ret_code, err);
}

TEST(output_of_both_streams)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct err err = ERR_INIT;

	CHECK_INT(sh("echo one; echo two >&2; echo three", 10 * S, &out, NULL, &err), 0);
	CHECK_STR(out.s, "one\ntwo\nthree\n");
	CHECK_INT(sh("echo one", 10 * S, NULL, NULL, &err), 0);
}

TEST(failures_say_the_last_line)
{
	struct err err = ERR_INIT;

	CHECK_INT(sh("echo first; echo 'the\tdisk is full' >&2; echo; exit 3", 10 * S, NULL, NULL, &err), -EPROTO);
	CHECK_STR(err.text, "sh failed: the disk is full");
	CHECK_INT(sh("exit 3", 10 * S, NULL, NULL, &err), -EPROTO);
	CHECK_STR(err.text, "sh failed: exit code 3, without a word");
	CHECK_INT(sh("kill -9 $$", 10 * S, NULL, NULL, &err), -EPROTO);
	CHECK_STR(err.text, "sh failed: killed by signal 9 (Killed)");
	CHECK_INT(sh("printf 'a\\377b'; exit 1", 10 * S, NULL, NULL, &err), -EPROTO);
	CHECK_STR(err.text, "sh failed: a?b");
	CHECK_INT(sh("i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; exit 1", 10 * S, NULL, NULL, &err),
		  -EPROTO);
	CHECK_STR(err.text, "sh failed: line 499");
}

TEST(exit_codes)
{
	int code = -1;

	CHECK_INT(sh("exit 3", 10 * S, NULL, &code, NULL), 0);
	CHECK_INT(code, 3);
	CHECK_INT(sh("kill -15 $$", 10 * S, NULL, &code, NULL), 0);
	CHECK_INT(code, 128 + 15);
	CHECK_INT(sh("true", 10 * S, NULL, &code, NULL), 0);
	CHECK_INT(code, 0);
}

TEST(programs_that_are_not_there)
{
	char *const *missing = PROC_ARGV("no-such-program-here");
	char *const *folder = PROC_ARGV("/tmp");
	char *none[] = { NULL };
	struct proc_spec spec = { .argv = missing };
	struct proc p = PROC_NONE;
	struct err err = ERR_INIT;

	CHECK_INT(proc_start(&p, &spec, &err), -ENOENT);
	CHECK(strstr(err.text, "no-such-program-here"));
	CHECK_INT(p.pidfd, -1);
	spec.argv = folder;
	CHECK_INT(proc_start(&p, &spec, &err), -EACCES);
	spec.argv = none;
	CHECK_INT(proc_start(&p, &spec, &err), -EINVAL);
	proc_done(&p);
}

TEST(path_and_variables_are_those_of_the_child)
{
	autofree char *prog = path_join(test_dir(), "only-here");
	AUTO(strv_free) char **env = strv_new("WORD=hello", NULL);
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	char *const *argv = PROC_ARGV("only-here", "a b");
	struct proc_spec spec = { .argv = argv, .env = env };
	static const char script[] = "#!/bin/sh\necho \"$WORD $1 $0\"\n";

	CHECK_INT(file_write_whole(prog, script, sizeof(script) - 1, 0755, NULL), 0);
	CHECK_INT(proc_run(&spec, 10 * S, &out, 100, NULL, NULL), -ENOENT);
	strv_addf(&env, "PATH=/nonexistent:%s", test_dir());
	spec.env = env;
	CHECK_INT(proc_run(&spec, 10 * S, &out, 100, NULL, NULL), 0);
	CHECK(str_after(out.s, "hello a b "));
}

TEST(working_folder)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	char *const *argv = PROC_ARGV("/bin/pwd");
	struct proc_spec spec = { .argv = argv, .cwd = "/usr" };
	struct err err = ERR_INIT;

	CHECK_INT(proc_run(&spec, 10 * S, &out, 100, NULL, &err), 0);
	CHECK_STR(out.s, "/usr\n");
	spec.cwd = "/nonexistent";
	CHECK_INT(proc_run(&spec, 10 * S, &out, 100, NULL, &err), -ENOENT);
}

TEST(deadline)
{
	uint64_t before = clock_mono_us();
	struct err err = ERR_INIT;

	CHECK_INT(sh("exec sleep 20", S / 10, NULL, NULL, &err), -ETIMEDOUT);
	CHECK_STR(err.text, "sh did not end within 0.1 s");
	/* One that talks all the time has no more time than one that is silent. */
	CHECK_INT(sh("exec yes", S / 10, NULL, NULL, &err), -ETIMEDOUT);
	CHECK(clock_mono_us() - before < 5 * S);
	CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

TEST(the_deadline_of_a_session_takes_its_helpers)
{
	autofree char *mark = path_join(test_dir(), "helper");
	autofree char *line = xasprintf("(sleep 0.6; : >%s) & sleep 20", mark);
	char *const *argv = PROC_ARGV("sh", "-c", line);
	struct proc_spec spec = { .argv = argv, .new_session = true };

	CHECK_INT(proc_run(&spec, S / 10, NULL, 0, NULL, NULL), -ETIMEDOUT);
	clock_sleep_us(S);
	CHECK(!path_exists(mark));
}

TEST(a_grandchild_may_hold_the_pipe)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	uint64_t before = clock_mono_us();

	CHECK_INT(sh("sleep 8 & echo done", 20 * S, &out, NULL, NULL), 0);
	CHECK_STR(out.s, "done\n");
	CHECK_INT(sh("yes & sleep 0.1", 20 * S, NULL, NULL, NULL), 0);
	CHECK(clock_mono_us() - before < 5 * S);
}

TEST(a_child_may_close_its_output)
{
	uint64_t before = clock_mono_us();
	int code = -1;

	CHECK_INT(sh("exec >&- 2>&-; sleep 0.3; exit 5", 10 * S, NULL, &code, NULL), 0);
	CHECK_INT(code, 5);
	CHECK(clock_mono_us() - before >= 3 * S / 10);
}

TEST(more_output_than_is_wanted)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	char *const *argv = PROC_ARGV("sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo last; exit 1");
	struct proc_spec spec = { .argv = argv };
	struct err err = ERR_INIT;

	CHECK_INT(proc_run(&spec, 20 * S, &out, 100, NULL, &err), -EPROTO);
	CHECK_INT(out.len, 100);
	CHECK_STR(err.text, "sh failed: last");
}

/* All that was written before the end is read, even when the end is seen first. */
TEST(nothing_is_lost_at_the_end)
{
	for (int i = 0; i < 30; i++) {
		AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;

		CHECK_INT(sh("head -c 60000 /dev/zero", 10 * S, &out, NULL, NULL), 0);
		CHECK_INT(out.len, 60000);
	}
}

static int file_with(const char *text)
{
	char name[] = "/tmp/stasis-test.XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);

	unlink(name);
	CHECK_INT(file_write_all(fd, text, strlen(text), NULL), 0);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

/* Our a is the child's b and our b its a; stdin is a file of number 0's neighbour. */
TEST(descriptors_that_change_places)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	autoclose int a = file_with("A");
	autoclose int b = file_with("B");
	autoclose int c = file_with("C");
	autofree char *line = xasprintf("cat /proc/self/fd/%d /proc/self/fd/%d /proc/self/fd/%d -", a, b, c);
	char *const *argv = PROC_ARGV("sh", "-c", line);
	struct proc_fd fds[] = { { a, b }, { b, c }, { c, a }, { a, 0 } };
	struct proc_spec spec = { .argv = argv, .fds = fds, .n_fds = ARRAY_SIZE(fds) };

	CHECK_INT(proc_run(&spec, 10 * S, &out, 100, NULL, NULL), 0);
	CHECK_STR(out.s, "CABA");
	CHECK(fcntl(a, F_GETFD) & FD_CLOEXEC);
}

TEST(a_descriptor_may_keep_its_number)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	autoclose int a = file_with("same");
	autofree char *line = xasprintf("cat /proc/self/fd/%d", a);
	char *const *argv = PROC_ARGV("sh", "-c", line);
	struct proc_fd fds[] = { { a, a } };
	struct proc_spec spec = { .argv = argv, .fds = fds, .n_fds = 1 };

	CHECK_INT(proc_run(&spec, 10 * S, &out, 100, NULL, NULL), 0);
	CHECK_STR(out.s, "same");
	fds[0].from = 9999;
	CHECK_INT(proc_run(&spec, 10 * S, &out, 100, NULL, NULL), -EBADF);
}

TEST(the_caller_may_keep_a_stream)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	autoclose int mine = file_with("");
	char buf[16] = "";
	char *const *argv = PROC_ARGV("sh", "-c", "echo out; echo err >&2");
	struct proc_fd fds[] = { { mine, 1 } };
	struct proc_spec spec = { .argv = argv, .fds = fds, .n_fds = 1 };

	CHECK_INT(proc_run(&spec, 10 * S, &out, 100, NULL, NULL), 0);
	CHECK_STR(out.s, "err\n");
	CHECK(pread(mine, buf, 15, 0) == 4 && strcmp(buf, "out\n") == 0);
}

TEST(nothing_leaks_into_the_child)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	autoclose int leak = open("/dev/null", O_RDONLY); /* somebody forgot O_CLOEXEC */
	autoclose int high = fcntl(leak, F_DUPFD, 200);
	autoclose int mine = file_with("");
	char *const *argv = PROC_ARGV("ls", "-x", "/proc/self/fd");
	struct proc_fd fds[] = { { mine, 20 } };
	struct proc_spec spec = { .argv = argv, .fds = fds, .n_fds = 1 };

	CHECK(leak >= 0 && high >= 200);
	CHECK_INT(proc_run(&spec, 10 * S, &out, 100, NULL, NULL), 0);
	CHECK_STR(out.s, "0  1  2  20  3\n"); /* 3 is the folder that ls reads */
}

TEST(stdin_is_empty_and_streams_exist)
{
	AUTO(proc_done) struct proc p = PROC_NONE;
	char *const *argv = PROC_ARGV("sh", "-c", "read x; echo $x; [ /proc/$$/fd/1 -ef /dev/null ] || exit 9");
	struct proc_spec spec = { .argv = argv };
	int status = -1;

	CHECK_INT(proc_start(&p, &spec, NULL), 0);
	CHECK_INT(proc_wait(&p, 10 * S, &status, NULL), 1);
	CHECK_INT(status, 0);
}

TEST(signals_are_as_new)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	char *const *argv = PROC_ARGV("grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status");
	struct proc_spec spec = { .argv = argv };
	unsigned long long blocked = 1, ignored = 1;
	sigset_t all, old;

	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	CHECK_INT(proc_run(&spec, 10 * S, &out, 1000, NULL, NULL), 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	signal(SIGINT, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	CHECK(sscanf(out.s, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored) == 2);
	CHECK_INT(blocked, 0);
	CHECK_INT(ignored & ~(3ULL << 31), 0); /* glibc's posix_spawn ignores its own two, 32 and 33 */
}

TEST(new_session)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	char *const *argv = PROC_ARGV("cut", "-d ", "-f1,6", "/proc/self/stat");
	struct proc_spec spec = { .argv = argv, .new_session = true };
	int pid = 0, sid = 1;

	CHECK_INT(proc_run(&spec, 10 * S, &out, 100, NULL, NULL), 0);
	CHECK(sscanf(out.s, "%d %d", &pid, &sid) == 2);
	CHECK_INT(pid, sid);
}

TEST(waiting)
{
	struct proc p = PROC_NONE;
	char *const *argv = PROC_ARGV("sleep", "0.3");
	struct proc_spec spec = { .argv = argv };
	int status = -1, pidfd;
	pid_t pid;

	CHECK_INT(proc_start(&p, &spec, NULL), 0);
	CHECK_INT(proc_wait(&p, 0, &status, NULL), 0);
	CHECK_INT(proc_wait(&p, S / 100, &status, NULL), 0);
	CHECK_INT(status, -1);
	CHECK_INT(proc_wait_pidfd(p.pidfd, UINT64_MAX), 1);
	CHECK_INT(proc_wait(&p, UINT64_MAX, &status, NULL), 1);
	CHECK_INT(status, 0);
	CHECK_INT(p.pidfd, -1);
	CHECK(proc_wait(&p, 0, &status, NULL) < 0);

	spec.argv = PROC_ARGV("sleep", "20");
	CHECK_INT(proc_start(&p, &spec, NULL), 0);
	pid = p.pid;
	pidfd = p.pidfd;
	proc_done(&p);
	CHECK(kill(pid, 0) < 0 && errno == ESRCH);
	CHECK(fcntl(pidfd, F_GETFD) < 0);
	proc_done(&p);
	p = (struct proc){ 0 }; /* zeroed is as good as PROC_NONE */
	proc_done(&p);
	CHECK(fcntl(0, F_GETFD) >= 0);
}

TEST(identity)
{
	AUTO(proc_done) struct proc p = PROC_NONE;
	char *const *argv = PROC_ARGV("sleep", "20");
	struct proc_spec spec = { .argv = argv };
	struct err err = ERR_INIT;
	uint64_t start = 0, again = 1;
	pid_t pid;
	int fd;

	CHECK_INT(proc_start(&p, &spec, NULL), 0);
	pid = p.pid;
	CHECK_INT(proc_start_time(pid, &start, &err), 0);
	CHECK_INT(proc_start_time(pid, &again, &err), 0);
	CHECK(start > 0 && start == again);
	fd = proc_open(pid, start, &err);
	CHECK(fd >= 0);
	CHECK_INT(proc_open(pid, start + 1, &err), -ESRCH);
	CHECK_INT(proc_wait_pidfd(fd, 0), 0);
	proc_done(&p);
	CHECK_INT(proc_wait_pidfd(fd, 0), 1);
	close(fd);
	CHECK_INT(proc_open(pid, start, &err), -ESRCH);
	CHECK_INT(proc_open(pid, 0, &err), -ESRCH);
	CHECK_INT(proc_start_time(pid, &again, &err), -ESRCH);
	CHECK_INT(proc_wait_pidfd(-1, 0), -EBADF);
}

/* A name with blanks and brackets must not shift the fields. */
TEST(start_time_of_a_nasty_name)
{
	autofree char *prog = path_join(test_dir(), ") 1 (x");
	char *const *argv = PROC_ARGV(prog, "20");
	struct proc_spec spec = { .argv = argv };
	AUTO(proc_done) struct proc a = PROC_NONE;
	uint64_t mine = 0, its = 0;

	CHECK(symlink("/bin/sleep", prog) == 0);
	CHECK_INT(proc_start(&a, &spec, NULL), 0);
	clock_sleep_us(S / 20);
	CHECK_INT(proc_start_time(getpid(), &mine, NULL), 0);
	CHECK_INT(proc_start_time(a.pid, &its, NULL), 0);
	CHECK(its >= mine && its < mine + 100 * 60);
}

static void *run_some(void *arg)
{
	for (int i = 0; i < 10; i++) {
		AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
		autofree char *line = xasprintf("echo %d", i);
		autofree char *want = xasprintf("%d\n", i);

		CHECK_INT(sh(line, 20 * S, &out, NULL, NULL), 0);
		CHECK_STR(out.s, want);
	}
	return arg;
}

TEST(many_threads)
{
	pthread_t t[6];

	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		CHECK(pthread_create(&t[i], NULL, run_some, NULL) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		pthread_join(t[i], NULL);
}
