/* SPDX-License-Identifier: Apache-2.0 */
/* feat-net.c - TCP over loopback, UDP, unix sockets with a name */
#include "feat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define QUEUED 20000

static int listener, echo, queue[2];
static uint32_t sequence;
static struct sockaddr_in address;

/* Gives back what it gets, for ever. */
static void echo_loop(void *arg)
{
	int from = *(int *)arg;
	char buf[512];
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0) {
		if (write(from, buf, (size_t)n) != n)
			return;
	}
}

static void echo_client(void *unused)
{
	int s = MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	MUST(connect(s, (struct sockaddr *)&address, sizeof(address)));
	echo_loop(&s);
}

static void ask_echo(int s)
{
	struct timeval limit = { .tv_sec = 5 };

	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	for (int i = 0; i < 20; i++) {
		uint32_t got = 0;

		sequence++;
		if (send(s, &sequence, sizeof(sequence), MSG_NOSIGNAL) != sizeof(sequence))
			fail("the connection is broken: %s", strerror(errno));
		else if (recv(s, &got, sizeof(got), MSG_WAITALL) != sizeof(got))
			fail("no echo: %s", strerror(errno));
		else if (got != sequence)
			fail("the echo is %u instead of %u", got, sequence);
	}
}

static void fill_queue(void)
{
	char buf[QUEUED];

	pattern_fill(buf, sizeof(buf), 1);
	if (send(queue[0], buf, sizeof(buf), MSG_NOSIGNAL) != (ssize_t)sizeof(buf))
		fail("cannot send on the second connection: %s", strerror(errno));
}

static void make_tcp(int reuse)
{
	socklen_t len = sizeof(address);
	char byte = 0;

	listener = MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	MUST(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)));
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(listener, (struct sockaddr *)&address, sizeof(address)));
	MUST(listen(listener, 8));
	MUST(getsockname(listener, (struct sockaddr *)&address, &len));

	queue[0] = MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	if (connect(queue[0], (struct sockaddr *)&address, sizeof(address)) < 0)
		unsupported("no TCP over loopback: %s", strerror(errno));
	queue[1] = MUST(accept(listener, NULL, NULL));
	fill_queue();
	MUST(recv(queue[1], &byte, 1, MSG_PEEK));

	spawn(echo_client, NULL);
	echo = MUST(accept(listener, NULL, NULL));
}

/* As nearly all servers do it. */
static void arm_tcp(void)
{
	make_tcp(1);
}

/* A server that has closed a connection a moment ago: the address is in use for another minute (TIME_WAIT). */
static void arm_tcp_time_wait(void)
{
	make_tcp(0);
}

static void verify_tcp(void)
{
	char buf[QUEUED];
	int s;

	ask_echo(echo);
	if (recv(queue[1], buf, sizeof(buf), MSG_WAITALL) != (ssize_t)sizeof(buf))
		fail("what waited in the queue is lost");
	else if (!pattern_check(buf, sizeof(buf), 1))
		fail("what waited in the queue has changed");
	fill_queue();
	s = MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	if (connect(s, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("no new connection: %s", strerror(errno));
	else
		close(MUST(accept(listener, NULL, NULL)));
	close(s);
}

static void idle_tcp(void)
{
	ask_echo(echo);
}

static void arm_udp(void)
{
	socklen_t len = sizeof(address);

	listener = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(listener, (struct sockaddr *)&address, sizeof(address)));
	MUST(getsockname(listener, (struct sockaddr *)&address, &len));
	queue[0] = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	if (connect(queue[0], (struct sockaddr *)&address, sizeof(address)) < 0)
		unsupported("no UDP over loopback: %s", strerror(errno));
}

static void verify_udp(void)
{
	struct timeval limit = { .tv_sec = 5 };
	char buf[10] = "";

	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (send(queue[0], "hello", 5, 0) != 5 || recv(listener, buf, sizeof(buf), 0) != 5)
		fail("a datagram does not arrive: %s", strerror(errno));
}

static void unix_client(void *name)
{
	int s = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	MUST(connect(s, name, sizeof(struct sockaddr_un)));
	echo_loop(&s);
}

static void arm_unix(void)
{
	static struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "/socket" };

	listener = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	MUST(bind(listener, (struct sockaddr *)&name, sizeof(name)));
	MUST(listen(listener, 8));
	spawn(unix_client, &name);
	echo = MUST(accept(listener, NULL, NULL));
}

static void verify_unix(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "/socket" };
	int s = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	ask_echo(echo);
	if (connect(s, (struct sockaddr *)&name, sizeof(name)) < 0)
		fail("no new connection: %s", strerror(errno));
	else
		close(MUST(accept(listener, NULL, NULL)));
	close(s);
}

const struct feature net_features[] = {
	{ "tcp", arm_tcp, verify_tcp, idle_tcp },
	{ "tcp-time-wait", arm_tcp_time_wait, verify_tcp, idle_tcp },
	{ "udp", arm_udp, verify_udp, NULL },
	{ "unix", arm_unix, verify_unix, idle_tcp },
	{ 0 },
};
