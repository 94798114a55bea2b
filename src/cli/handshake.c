/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/handshake.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/ws.h"

enum { HEADER_MAX = 8192, BODY_MAX = 65536 };

/* Byte by byte: what follows the header belongs to the websocket and must stay in the socket. */
static int read_header(int fd, struct strbuf *sb, struct err *err)
{
	while (!str_ends(sb->s, "\r\n\r\n")) {
		char c;
		ssize_t n = read(fd, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "websocket");
		if (n == 0 || c == 0 || sb->len >= HEADER_MAX)
			return err_set(err, -EPROTO, "websocket: the daemon does not answer with HTTP");
		strbuf_addc(sb, c);
	}
	return 0;
}

/* The value of a header line, a new string; NULL when there is none. */
static char *header_value(const char *header, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = strstr(header, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
		const char *p = line + 2;

		if (strncasecmp(p, name, len) != 0 || p[len] != ':')
			continue;
		p += len + 1;
		p += strspn(p, " \t");
		return xstrndup(p, strcspn(p, "\r"));
	}
	return NULL;
}

static void read_body(int fd, const char *header, struct strbuf *sb)
{
	autofree char *length = header_value(header, "Content-Length");
	size_t left = length ? strtoul(length, NULL, 10) : 0;
	char buf[1024];

	left = left > BODY_MAX ? BODY_MAX : left;
	while (left > 0) {
		ssize_t n = read(fd, buf, left < sizeof(buf) ? left : sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		strbuf_add(sb, buf, (size_t)n);
		left -= (size_t)n;
	}
}

int handshake(int fd, const char *path, struct strbuf *refusal, struct err *err)
{
	AUTO(strbuf_done) struct strbuf request = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf header = STRBUF_INIT;
	autofree char *key = ws_new_key();
	autofree char *wanted = ws_accept_key(key);
	autofree char *accept = NULL;
	int status, r;

	strbuf_addf(&request,
		    "GET %s HTTP/1.1\r\nHost: stasis\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		    "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
		    path, key);
	r = file_write_all(fd, request.s, request.len, err);
	if (r < 0)
		return err_wrap(err, r, "websocket");
	r = read_header(fd, &header, err);
	if (r < 0)
		return r;
	if (!str_after(header.s, "HTTP/1.1 ") || header.len < 12)
		return err_set(err, -EPROTO, "websocket: the daemon does not answer with HTTP/1.1");
	status = atoi(header.s + 9);
	if (status != 101) {
		read_body(fd, header.s, refusal);
		return status;
	}
	accept = header_value(header.s, "Sec-WebSocket-Accept");
	if (!str_eq(accept, wanted))
		return err_set(err, -EPROTO, "websocket: the daemon answers with a wrong key");
	return status;
}
