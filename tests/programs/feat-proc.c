/* SPDX-License-Identifier: Apache-2.0 */
/* feat-proc.c - processes and threads, the terminal, and what the checkpointable profile does for them */
#include "feat.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define N_THREADS  16
#define N_CHILDREN 5

static volatile uint64_t *counts;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static unsigned turn;
static __thread unsigned my_number;
static pid_t pids[N_CHILDREN], self, group, session;

/* Threads that hand a turn round in a ring: one that got stuck stops them all. */
static void *thread_loop(void *arg)
{
	my_number = (unsigned)(uintptr_t)arg;
	for (;;) {
		pthread_mutex_lock(&mutex);
		while (turn % N_THREADS != my_number)
			pthread_cond_wait(&turned, &mutex);
		turn++;
		counts[my_number]++;
		pthread_cond_broadcast(&turned);
		pthread_mutex_unlock(&mutex);
		sleep_ms(1);
	}
	return NULL;
}

static void arm_threads(void)
{
	pthread_t thread;

	counts = shared_memory(N_THREADS * sizeof(*counts));
	for (uintptr_t i = 0; i < N_THREADS; i++)
		must(-pthread_create(&thread, NULL, thread_loop, (void *)i), "pthread_create");
}

static void verify_threads(void)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (int i = 0; i < N_THREADS; i++) {
		if (!moves_on(&counts[i]))
			fail("thread %d stands still", i);
	}
	pthread_mutex_lock(&mutex);
	for (int i = 0; i < N_THREADS; i++) {
		least = counts[i] < least ? counts[i] : least;
		most = counts[i] > most ? counts[i] : most;
	}
	pthread_mutex_unlock(&mutex);
	if (most - least > 1)
		fail("the ring has lost a turn: %llu and %llu", (unsigned long long)least, (unsigned long long)most);
}

static void child_loop(void *count)
{
	for (;;) {
		++*(volatile uint64_t *)count;
		sleep_ms(2);
	}
}

/* A child with a child, and the session of its own that daemons have. */
static void parent_loop(void *count)
{
	setsid();
	spawn(child_loop, (void *)((uint64_t *)count + 1));
	child_loop(count);
}

static void arm_processes(void)
{
	counts = shared_memory(2 * N_CHILDREN * sizeof(*counts));
	for (int i = 0; i < N_CHILDREN; i++)
		pids[i] = spawn(parent_loop, (void *)&counts[2 * i]);
	self = getpid();
	group = getpgrp();
	session = getsid(0);
}

static void verify_processes(void)
{
	for (int i = 0; i < 2 * N_CHILDREN; i++) {
		if (!moves_on(&counts[i]))
			fail("process %d stands still", i);
	}
	if (getpid() != self || getpgrp() != group || getsid(0) != session)
		fail("process, group and session are %d %d %d, were %d %d %d", getpid(), getpgrp(), getsid(0), self,
		     group, session);
	for (int i = 0; i < N_CHILDREN; i++) {
		if (waitpid(pids[i], NULL, WNOHANG) != 0)
			fail("child %d is not ours any more", pids[i]);
		if (getsid(pids[i]) != pids[i])
			fail("child %d has lost its session", pids[i]);
	}
}

static void exit_seven(void *unused)
{
	_exit(7);
}

static void make_zombie(void)
{
	siginfo_t info;

	pids[0] = spawn(exit_seven, NULL);
	MUST(waitid(P_PID, (id_t)pids[0], &info, WEXITED | WNOWAIT));
}

static void verify_zombie(void)
{
	int status = 0;

	if (waitpid(pids[0], &status, 0) != pids[0] || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
		fail("the exit status of a zombie is lost: %#x", status);
	make_zombie();
}

static void arm_tty(void)
{
	struct winsize size = { .ws_row = 33, .ws_col = 111 };

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		unsupported("standard input and output are no terminal");
	MUST(ioctl(STDIN_FILENO, TIOCSWINSZ, &size));
}

static void verify_tty(void)
{
	struct winsize size = { 0 };
	struct termios attributes;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		fail("the terminal is gone");
	if (tcgetattr(STDIN_FILENO, &attributes) < 0 || !(attributes.c_lflag & ICANON))
		fail("the terminal's mode has changed");
	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col != 111 || size.ws_row != 33)
		fail("the window is %ux%u", size.ws_col, size.ws_row);
}

static void idle_tty(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[200];
	ssize_t n;

	if (poll(&in, 1, 0) != 1 || !(in.revents & POLLIN))
		return;
	n = read(STDIN_FILENO, line, sizeof(line) - 1);
	if (n > 0)
		dprintf(STDOUT_FILENO, "heard: %.*s", (int)n, line);
}

/* A busy shell: most of the time somebody is in the middle of vfork(), where it cannot be frozen. */
static void vfork_loop(void *count)
{
	for (;;) {
		pid_t pid = vfork();

		if (pid == 0) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(1);
		}
		if (pid > 0)
			waitpid(pid, NULL, 0);
		++*(volatile uint64_t *)count;
	}
}

static void arm_vfork(void)
{
	counts = shared_memory(2 * sizeof(*counts));
	spawn(vfork_loop, (void *)&counts[0]);
	spawn(vfork_loop, (void *)&counts[1]);
}

static void verify_vfork(void)
{
	if (!moves_on(&counts[0]) || !moves_on(&counts[1]))
		fail("a forking process stands still");
}

static void arm_affinity(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		unsupported("sched_setaffinity: %s", strerror(errno));
	setpriority(PRIO_PROCESS, 0, 5);
}

static void verify_affinity(void)
{
	cpu_set_t set;

	MUST(sched_getaffinity(0, sizeof(set), &set));
	if (CPU_COUNT(&set) != 1 || !CPU_ISSET(0, &set))
		fail("the CPU affinity is lost");
	if (getpriority(PRIO_PROCESS, 0) != 5)
		fail("the priority is lost");
}

/* What libuv and MariaDB do: io_uring if there is one, read() otherwise. */
static int uring = -1, plain;

static void arm_uring(void)
{
	struct io_uring_params params = { 0 };

	uring = (int)syscall(SYS_io_uring_setup, 8, &params);
	plain = MUST(open("/uring-data", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	MUST(pwrite(plain, "hello", 5, 0));
	note("%s", uring >= 0 ? "io_uring" : "read");
}

static void verify_uring(void)
{
	char buf[5];

	if (uring < 0 && (pread(plain, buf, 5, 0) != 5 || memcmp(buf, "hello", 5) != 0))
		fail("the fallback does not work");
}

/* Each of these must be refused by the checkpointable profile: CRIU cannot dump it, or loses it without a word. */
static long try_perf(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_TASK_CLOCK,
					.exclude_kernel = 1 };

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static long try_bpf(void)
{
	union {
		uint32_t map[4]; /* type hash, key 4, value 4, 8 entries */
		char room[128];
	} attr = { .map = { 1, 4, 4, 8 } };

	return syscall(SYS_bpf, 0 /* BPF_MAP_CREATE */, &attr, sizeof(attr));
}

static long try_uring(void)
{
	struct io_uring_params params = { 0 };

	return syscall(SYS_io_uring_setup, 8, &params);
}

static long try_secret(void)
{
	return syscall(SYS_memfd_secret, 0);
}

static long try_userfaultfd(void)
{
	return syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
}

static long try_mptcp(void)
{
	return socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */);
}

static long try_vsock(void)
{
	return socket(AF_VSOCK, SOCK_STREAM, 0);
}

static long try_packet_pipe(void)
{
	int fds[2];

	return pipe2(fds, O_DIRECT | O_CLOEXEC);
}

static long try_mqueue(void)
{
	return syscall(SYS_mq_open, "feat", O_RDWR | O_CREAT, 0600, NULL);
}

static long try_keyring(void)
{
	return syscall(SYS_add_key, "user", "feat", "secret", 6UL, -3 /* KEY_SPEC_SESSION_KEYRING */);
}

static long try_landlock(void)
{
	const uint64_t handled_access_fs = 1;

	return syscall(SYS_landlock_create_ruleset, &handled_access_fs, sizeof(handled_access_fs), 0);
}

static long try_uts(void)
{
	return unshare(CLONE_NEWUTS);
}

static long try_user(void)
{
	return unshare(CLONE_NEWUSER);
}

static void arm_profile(void)
{
	static const struct {
		const char *name;
		long (*try)(void);
	} table[] = {
		{ "a host name namespace", try_uts },
		{ "a user namespace", try_user },
		{ "bpf", try_bpf },
		{ "io_uring", try_uring },
		{ "Landlock", try_landlock },
		{ "memfd_secret", try_secret },
		{ "MPTCP", try_mptcp },
		{ "O_DIRECT pipe", try_packet_pipe },
		{ "perf_event_open", try_perf },
		{ "POSIX message queue", try_mqueue },
		{ "session keyring", try_keyring },
		{ "userfaultfd", try_userfaultfd },
		{ "vsock", try_vsock },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (table[i].try() >= 0)
			fail("%s is allowed", table[i].name);
	}
}

static void verify_profile(void)
{
}

const struct feature proc_features[] = {
	{ "affinity", arm_affinity, verify_affinity, NULL },
	{ "processes", arm_processes, verify_processes, NULL },
	{ "profile", arm_profile, verify_profile, NULL },
	{ "threads", arm_threads, verify_threads, NULL },
	{ "tty", arm_tty, verify_tty, idle_tty },
	{ "uring", arm_uring, verify_uring, NULL },
	{ "vfork", arm_vfork, verify_vfork, NULL },
	{ "zombie", make_zombie, verify_zombie, NULL },
	{ 0 },
};
