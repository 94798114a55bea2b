/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * ws.h - RFC 6455 on an open blocking socket, for both ends
 *
 * No extensions, version 13. Fragments are joined up to a limit; pings are answered while reading. Thread rule: one
 * reader and any number of writers (a mutex inside keeps frames whole).
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/auto.h"
#include "base/err.h"
#include "base/str.h"

enum ws_type { WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8 };

struct ws;

/* Takes over @fd. A client masks its frames; a server refuses frames that are not masked. */
struct ws *ws_new(int fd, bool is_client);
void ws_free(struct ws *ws); /* sends a close frame if none was sent and that does not block, and closes */
AUTO_DEFINE(struct ws *, ws_free)

/* Sends one whole message. -EPIPE when the peer is gone or a close was sent. The data of a WS_CLOSE is empty, or a code
 * of two bytes (big endian) and a reason. */
int ws_send(struct ws *ws, enum ws_type type, const void *data, size_t len, struct err *err);

/* Receives one whole message of at most 1 MiB into @out (reset first). Returns its enum ws_type; WS_CLOSE when the peer
 * said goodbye (@out is its reason then) or hung up between messages; -EPROTO on nonsense and on a hang-up inside a
 * message, -EMSGSIZE beyond 1 MiB. After an error the connection is of no use any more. */
int ws_recv(struct ws *ws, struct strbuf *out, struct err *err);

/* Wakes a reader in another thread: shutdown(2) on the socket. */
void ws_shutdown(struct ws *ws);

int ws_fd(const struct ws *ws);

/* Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455, 4.2.2), a heap string. */
char *ws_accept_key(const char *key);
char *ws_new_key(void);
