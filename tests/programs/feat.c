/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feat - makes one kernel feature and verifies it after each restore
 *
 * usage: feat NAME [STATUS-FILE], feat --list
 * The status file (/status) holds one line: "ready", "ok N" after the N-th verification, "fail N reason" or
 * "unsupported reason". SIGUSR1 asks for a verification, SIGTERM for the end.
 */
#include "feat.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static const struct feature *const rooms[] = { file_features, ipc_features, net_features, proc_features,
					       refused_features };
static const char *status_file = "/status";
static char reason[400], remark[200];

static void write_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void write_status(const char *fmt, ...)
{
	char text[600], tmp[256];
	va_list args;
	int fd, len;

	va_start(args, fmt);
	len = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	snprintf(tmp, sizeof(tmp), "%s.new", status_file);
	fd = MUST(open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
	MUST(write(fd, text, (size_t)len));
	close(fd);
	MUST(rename(tmp, status_file));
	MUST(dprintf(STDOUT_FILENO, "feat %s", text));
}

void fail(const char *fmt, ...)
{
	va_list args;

	if (reason[0] != '\0')
		return;
	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
}

void note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(remark, sizeof(remark), fmt, args);
	va_end(args);
}

void unsupported(const char *fmt, ...)
{
	char why[300];
	va_list args;
	sigset_t term;
	int got;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	write_status("unsupported %s\n", why);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigwait(&term, &got);
	exit(0);
}

int must(int result, const char *what)
{
	if (result >= 0)
		return result;
	fprintf(stderr, "feat: %s: %s\n", what, strerror(errno));
	exit(99);
}

static unsigned char pattern_at(size_t i, unsigned salt)
{
	return (unsigned char)((i * 2654435761u + salt * 40503u) >> 13);
}

void pattern_fill(void *buf, size_t len, unsigned salt)
{
	unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = pattern_at(i, salt);
}

bool pattern_check(const void *buf, size_t len, unsigned salt)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < len; i++) {
		if (p[i] != pattern_at(i, salt))
			return false;
	}
	return true;
}

void sleep_ms(unsigned ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		continue;
}

bool moves_on(const volatile uint64_t *value)
{
	uint64_t before = *value;

	for (int i = 0; i < 1000; i++) {
		if (*value != before)
			return true;
		sleep_ms(5);
	}
	return false;
}

void *shared_memory(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(p == MAP_FAILED ? -1 : 0, "shared memory");
	return p;
}

pid_t spawn(void (*run)(void *arg), void *arg)
{
	pid_t pid = MUST(fork());

	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run(arg);
	_exit(0);
}

static const struct feature *find(const char *name)
{
	for (size_t r = 0; r < sizeof(rooms) / sizeof(*rooms); r++) {
		for (const struct feature *f = rooms[r]; f->name; f++) {
			if (strcmp(f->name, name) == 0)
				return f;
		}
	}
	return NULL;
}

static int list(void)
{
	for (size_t r = 0; r < sizeof(rooms) / sizeof(*rooms); r++) {
		for (const struct feature *f = rooms[r]; f->name; f++)
			puts(f->name);
	}
	return 0;
}

static void verify(const struct feature *f, unsigned round)
{
	f->verify();
	if (reason[0] != '\0')
		write_status("fail %u %s\n", round, reason);
	else
		write_status("ok %u %s\n", round, remark);
}

static int serve(const struct feature *f, const sigset_t *asked)
{
	const struct timespec wait = { .tv_nsec = 10000000 };
	unsigned round = 0;

	for (;;) {
		int got = sigtimedwait(asked, NULL, &wait);

		if (got == SIGTERM)
			return reason[0] != '\0';
		if (got == SIGUSR1)
			verify(f, ++round);
		else if (f->idle)
			f->idle();
	}
}

int main(int argc, char **argv)
{
	const struct feature *f;
	sigset_t asked;

	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return list();
	f = argc >= 2 ? find(argv[1]) : NULL;
	if (!f) {
		fputs("usage: feat NAME [STATUS-FILE]; feat --list\n", stderr);
		return 98;
	}
	if (argc > 2)
		status_file = argv[2];
	sigemptyset(&asked);
	sigaddset(&asked, SIGTERM);
	sigaddset(&asked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &asked, NULL);
	f->arm();
	write_status("ready %s\n", remark);
	return serve(f, &asked);
}
