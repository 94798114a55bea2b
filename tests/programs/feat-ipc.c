/* SPDX-License-Identifier: Apache-2.0 */
/* feat-ipc.c - what processes talk and wait by: pipes, sockets in the kernel, events, timers, shared memory */
#include "feat.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT 50000

static int a[2], b[2], fd;
static timer_t timer;
static volatile uint64_t fired;
static char *shm;

static void send_pattern(int to, size_t len, unsigned salt)
{
	char *buf = malloc(len);

	pattern_fill(buf, len, salt);
	if (write(to, buf, len) != (ssize_t)len)
		fail("%zu bytes do not fit", len);
	free(buf);
}

static void expect_pattern(int from, size_t len, unsigned salt, const char *what)
{
	char *buf = malloc(len);
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(from, buf + done, len - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (done != len)
		fail("%s: %zu bytes of %zu came through", what, done, len);
	else if (!pattern_check(buf, len, salt))
		fail("%s: other bytes came through", what);
	free(buf);
}

static void arm_pipe(void)
{
	MUST(pipe2(a, O_CLOEXEC | O_NONBLOCK));
	MUST(mkfifo("/fifo", 0600));
	b[0] = MUST(open("/fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	b[1] = MUST(open("/fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC));
	send_pattern(a[1], IN_FLIGHT, 1);
	send_pattern(b[1], IN_FLIGHT, 2);
}

static void verify_pipe(void)
{
	char c;

	expect_pattern(a[0], IN_FLIGHT, 1, "pipe");
	expect_pattern(b[0], IN_FLIGHT, 2, "fifo");
	if (read(a[0], &c, 1) != -1 || errno != EAGAIN)
		fail("pipe: more than was written");
	send_pattern(a[1], IN_FLIGHT, 1);
	send_pattern(b[1], IN_FLIGHT, 2);
}

static void fill_sockets(void)
{
	send_pattern(a[0], IN_FLIGHT, 3);
	send_pattern(a[1], IN_FLIGHT, 4);
	send_pattern(b[0], 100, 5);
	send_pattern(b[0], 200, 6);
}

static void arm_socketpair(void)
{
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, a));
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, b));
	fill_sockets();
}

static void verify_socketpair(void)
{
	char packet[400];

	expect_pattern(a[1], IN_FLIGHT, 3, "stream socket");
	expect_pattern(a[0], IN_FLIGHT, 4, "stream socket, other way");
	if (read(b[1], packet, sizeof(packet)) != 100 || !pattern_check(packet, 100, 5))
		fail("the first packet is not as it was");
	if (read(b[1], packet, sizeof(packet)) != 200 || !pattern_check(packet, 200, 6))
		fail("the second packet is not as it was");
	fill_sockets();
}

static void arm_eventfd(void)
{
	fd = MUST(eventfd(42, EFD_CLOEXEC | EFD_NONBLOCK));
}

static void verify_eventfd(void)
{
	eventfd_t value = 0;

	if (eventfd_read(fd, &value) < 0 || value != 42)
		fail("the event counter is %llu, was 42", (unsigned long long)value);
	eventfd_write(fd, 42);
}

/* Each read takes one, not all. */
static void arm_semaphore(void)
{
	fd = MUST(eventfd(3, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE));
}

static void verify_semaphore(void)
{
	eventfd_t value = 0;

	if (eventfd_read(fd, &value) < 0 || value != 1)
		fail("the semaphore gives %llu instead of 1", (unsigned long long)value);
	eventfd_write(fd, 1);
}

static void watch(int epfd, int what, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = (uint64_t)what + 1000 };

	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, what, &event));
}

static void arm_epoll(void)
{
	fd = MUST(epoll_create1(EPOLL_CLOEXEC));
	a[0] = MUST(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	MUST(pipe2(b, O_CLOEXEC | O_NONBLOCK));
	watch(fd, a[0], EPOLLIN | EPOLLET);
	watch(fd, b[0], EPOLLIN);
}

static void verify_epoll(void)
{
	struct epoll_event got[4];
	eventfd_t value;
	char c;

	while (epoll_wait(fd, got, 4, 0) > 0)
		continue;
	eventfd_write(a[0], 1);
	if (epoll_wait(fd, got, 4, 1000) != 1 || got[0].data.u64 != (uint64_t)a[0] + 1000)
		fail("the eventfd does not wake the epoll");
	if (epoll_wait(fd, got, 4, 0) != 0)
		fail("edge triggered has become level triggered");
	eventfd_read(a[0], &value);
	MUST(write(b[1], "x", 1));
	if (epoll_wait(fd, got, 4, 1000) != 1 || got[0].data.u64 != (uint64_t)b[0] + 1000)
		fail("the pipe does not wake the epoll");
	MUST(read(b[0], &c, 1));
}

static void make_timerfds(long interval_ms)
{
	struct itimerspec often = { .it_interval.tv_nsec = interval_ms * 1000000,
				    .it_value.tv_nsec = interval_ms * 1000000 };
	struct itimerspec late = { .it_value.tv_sec = 3600 };

	a[0] = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	MUST(timerfd_settime(a[0], 0, &often, NULL));
	a[1] = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	MUST(timerfd_settime(a[1], 0, &late, NULL));
}

static void arm_timerfd(void)
{
	make_timerfds(500);
}

/* So short that it has always expired by the time it is dumped. */
static void arm_timerfd_short(void)
{
	make_timerfds(5);
}

static void idle_timerfd(void)
{
	uint64_t n = 0;

	if (read(a[0], &n, sizeof(n)) == sizeof(n))
		fired += n;
}

static void verify_timerfd(void)
{
	struct itimerspec left;

	for (int i = 0; i < 3; i++) {
		uint64_t before = fired;

		for (int tries = 0; tries < 500 && fired == before; tries++) {
			sleep_ms(10);
			idle_timerfd();
		}
		if (fired == before)
			fail("the periodic timer is silent");
	}
	MUST(timerfd_gettime(a[1], &left));
	if (left.it_value.tv_sec < 2400 || left.it_value.tv_sec > 3600)
		fail("the timer of an hour has %lld s left", (long long)left.it_value.tv_sec);
}

static void on_alarm(int signal)
{
	fired++;
}

static void arm_posix_timer(void)
{
	struct sigaction act = { .sa_handler = on_alarm };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct itimerspec often = { .it_interval.tv_nsec = 10000000, .it_value.tv_nsec = 10000000 };

	MUST(sigaction(SIGALRM, &act, NULL));
	MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
	MUST(timer_settime(timer, 0, &often, NULL));
}

static void verify_posix_timer(void)
{
	struct itimerspec now;

	if (!moves_on(&fired))
		fail("the POSIX timer is silent");
	if (timer_gettime(timer, &now) < 0 || now.it_interval.tv_nsec != 10000000)
		fail("the interval of the POSIX timer has changed");
}

static void arm_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN + 3);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	MUST(signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -1 : 0);
	fd = MUST(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
	MUST(kill(getpid(), SIGUSR2));
	MUST(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = 77 }));
}

static void verify_signals(void)
{
	struct signalfd_siginfo first, second;
	struct sigaction pipe_action;

	if (read(fd, &first, sizeof(first)) != sizeof(first) || first.ssi_signo != SIGUSR2)
		fail("the pending signal is lost");
	if (read(fd, &second, sizeof(second)) != sizeof(second) || second.ssi_int != 77)
		fail("the queued signal or its value is lost");
	if (sigaction(SIGPIPE, NULL, &pipe_action) < 0 || pipe_action.sa_handler != SIG_IGN)
		fail("an ignored signal is no longer ignored");
	MUST(kill(getpid(), SIGUSR2));
	MUST(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = 77 }));
}

struct message {
	long type;
	char text[32];
};

static void arm_sysv(void)
{
	struct message m = { 5, "a message that waits" };

	a[0] = MUST(shmget(1234, 100000, IPC_CREAT | IPC_EXCL | 0600));
	shm = shmat(a[0], NULL, 0);
	must(shm == (void *)-1 ? -1 : 0, "shmat");
	pattern_fill(shm, 100000, 9);
	a[1] = MUST(semget(1235, 2, IPC_CREAT | IPC_EXCL | 0600));
	MUST(semctl(a[1], 1, SETVAL, 7));
	fd = MUST(msgget(1236, IPC_CREAT | IPC_EXCL | 0600));
	MUST(msgsnd(fd, &m, sizeof(m.text), 0));
}

static void verify_sysv(void)
{
	struct message m = { 0 };

	if (!pattern_check(shm, 100000, 9) || shmget(1234, 0, 0) != a[0])
		fail("the shared memory is not as it was");
	if (semctl(a[1], 1, GETVAL) != 7)
		fail("the semaphore is not as it was");
	if (msgrcv(fd, &m, sizeof(m.text), 5, IPC_NOWAIT) < 0 || strcmp(m.text, "a message that waits") != 0)
		fail("the message is lost");
	else
		MUST(msgsnd(fd, &m, sizeof(m.text), 0));
}

static void arm_memfd(void)
{
	fd = MUST(memfd_create("feat", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	send_pattern(fd, IN_FLIGHT, 8);
	MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
}

static void verify_memfd(void)
{
	MUST(lseek(fd, 0, SEEK_SET));
	expect_pattern(fd, IN_FLIGHT, 8, "memfd");
	if (fcntl(fd, F_GET_SEALS) != F_SEAL_SHRINK)
		fail("the seals are not as they were");
}

const struct feature ipc_features[] = {
	{ "epoll", arm_epoll, verify_epoll, NULL },
	{ "eventfd", arm_eventfd, verify_eventfd, NULL },
	{ "memfd", arm_memfd, verify_memfd, NULL },
	{ "pipe", arm_pipe, verify_pipe, NULL },
	{ "posix-timer", arm_posix_timer, verify_posix_timer, NULL },
	{ "semaphore", arm_semaphore, verify_semaphore, NULL },
	{ "signals", arm_signals, verify_signals, NULL },
	{ "socketpair", arm_socketpair, verify_socketpair, NULL },
	{ "sysv", arm_sysv, verify_sysv, NULL },
	{ "timerfd", arm_timerfd, verify_timerfd, idle_timerfd },
	{ "timerfd-short", arm_timerfd_short, verify_timerfd, idle_timerfd },
	{ 0 },
};
