/* SPDX-License-Identifier: Apache-2.0 */
/* proof.c - the program in the container with which the daemon proves that this host can checkpoint (engine/host.c) */
#include "guard/guard.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int connect_to_self(int *ret_peer)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);

	if (server < 0 || client < 0 || bind(server, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(server, 1) < 0 ||
	    getsockname(server, (struct sockaddr *)&sa, &len) < 0 || connect(client, (struct sockaddr *)&sa, len) < 0)
		return -1;
	*ret_peer = accept(server, NULL, NULL);
	return *ret_peer < 0 ? -1 : client;
}

int guard_proof(void)
{
	const struct timespec tick = { .tv_nsec = 1000000L };
	int peer, client = connect_to_self(&peer);
	int fd = open("/count", O_CREAT | O_WRONLY, 0600);
	char text[24];

	if (client < 0 || fd < 0)
		return 1;
	for (unsigned long n = 1;; n++) {
		unsigned long back = 0;

		/* the number goes through the connection: it must be the same one after a restore */
		if (write(client, &n, sizeof(n)) != sizeof(n) || read(peer, &back, sizeof(back)) != sizeof(back) ||
		    back != n)
			return 1;
		(void)snprintf(text, sizeof(text), "%012lu\n", n);
		if (pwrite(fd, text, strlen(text), 0) < 0)
			return 1;
		(void)nanosleep(&tick, NULL);
	}
}
