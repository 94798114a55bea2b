/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feat-refused.c - what cannot be checkpointed and must be named before anything is frozen
 *
 * Each of them counts at /ticks, so that a test sees that a refusal has disturbed nothing.
 */
#include "feat.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t ticks;
static int ticks_fd = -1;

static void idle_tick(void)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%020llu\n", (unsigned long long)++ticks);

	if (ticks_fd < 0)
		ticks_fd = MUST(open("/ticks", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	MUST(pwrite(ticks_fd, text, (size_t)len, 0));
}

static void verify_nothing(void)
{
}

static int made(long result, const char *what)
{
	if (result < 0)
		unsupported("%s: %s", what, strerror(errno));
	return (int)result;
}

static void arm_memfd_secret(void)
{
	int fd = made(syscall(SYS_memfd_secret, 0), "memfd_secret");

	made(ftruncate(fd, 4096), "memfd_secret's size");
	made(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0,
	     "memfd_secret's memory");
}

static void arm_odirect_pipe(void)
{
	int fds[2];

	made(pipe2(fds, O_DIRECT | O_CLOEXEC), "packet pipe");
}

static void arm_mqueue(void)
{
	struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 64 };

	made(mq_open("/queue", O_RDWR | O_CREAT, 0600, &attr), "mq_open");
}

static void arm_vsock(void)
{
	made(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0), "vsock");
}

static void arm_userfaultfd(void)
{
	made(syscall(SYS_userfaultfd, O_CLOEXEC | 1), "userfaultfd");
}

static void traced_loop(void *unused)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	for (;;)
		sleep_ms(10);
}

static void arm_traced(void)
{
	int status;
	pid_t pid = spawn(traced_loop, NULL);

	MUST(waitpid(pid, &status, WUNTRACED));
	made(ptrace(PTRACE_CONT, pid, NULL, NULL), "ptrace");
}

static void own_uts(void *ready)
{
	made(unshare(CLONE_NEWUTS), "a host name namespace of its own");
	*(volatile int *)ready = 1;
	for (;;)
		sleep_ms(10);
}

static void arm_nested(void)
{
	volatile int *ready = shared_memory(sizeof(*ready));

	/* asked first in a child that leaves no trace, so that "unsupported" is said by the right process */
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(unshare(CLONE_NEWUTS) < 0 ? errno : 0);
	waitpid(pid, &status, 0);
	if (status != 0) {
		errno = WEXITSTATUS(status);
		made(-1, "a host name namespace of its own");
	}
	spawn(own_uts, (void *)ready);
	while (!*ready)
		sleep_ms(1);
}

const struct feature refused_features[] = {
	{ "memfd-secret", arm_memfd_secret, verify_nothing, idle_tick },
	{ "mqueue", arm_mqueue, verify_nothing, idle_tick },
	{ "nested", arm_nested, verify_nothing, idle_tick },
	{ "odirect-pipe", arm_odirect_pipe, verify_nothing, idle_tick },
	{ "traced", arm_traced, verify_nothing, idle_tick },
	{ "userfaultfd", arm_userfaultfd, verify_nothing, idle_tick },
	{ "vsock", arm_vsock, verify_nothing, idle_tick },
	{ 0 },
};
