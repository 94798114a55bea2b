/* SPDX-License-Identifier: Apache-2.0 */
// links: src/base/*.c
/* Whatever a peer sends, reading ends: with messages of at most 1 MiB, a goodbye or an error. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(int fd, bool is_client)
{
	AUTO(ws_free) struct ws *ws = ws_new(fd, is_client);
	AUTO(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct err err = ERR_INIT;
	int r;

	do {
		r = ws_recv(ws, &text, &err);
		assert(text.len <= 1 << 20);
	} while (r == WS_TEXT || r == WS_BINARY);
}

/* The first byte says which end reads; few enough that the answers to pings, which nobody reads, fit a socket buffer.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2];

	if (size < 1 || size > 1024)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	if (write(pair[1], data + 1, size - 1) != (ssize_t)size - 1)
		abort();
	(void)shutdown(pair[1], SHUT_WR);
	read_all(pair[0], data[0] & 1);
	(void)close(pair[1]);
	return 0;
}
