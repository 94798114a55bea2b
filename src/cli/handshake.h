/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* handshake.h - the client's side of a websocket's opening (RFC 6455, 4.1) on a connected blocking socket */
#include "base/err.h"
#include "base/str.h"

/* Returns the HTTP status: 101, and the socket speaks websocket from the next byte on; or another one, and @refusal has
 * the body of that answer. -EPROTO when it is no HTTP or the accept key is wrong. */
int handshake(int fd, const char *path, struct strbuf *refusal, struct err *err);
