/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * relay.h - bytes between a session's websockets and a process's descriptors
 *
 * Each direction has a thread: blocking one of them must not hold up another. An empty text frame is the end of a
 * stream, both ways (LXD's rule).
 *
 * The story of a relay: add outputs, inputs, control; when the process has ended relay_finish() and wait for the
 * outputs to pass on what it left behind; session_close(), which ends whoever reads from a websocket; relay_free().
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct relay;
struct ws;

enum relay_kind {
	RELAY_PIPE,
	RELAY_TTY,
	RELAY_CONMON /* SOCK_SEQPACKET; what comes from it begins with a byte that names the stream */
};

/* What the control websocket asks for; called from a thread of the relay. */
struct relay_control {
	void (*resize)(void *arg, int width, int height);
	void (*signal)(void *arg, int signal); /* NULL: there is nobody to signal */
	void *arg;
};

int relay_new(struct relay **ret, struct err *err);

/* @fd is taken over, also on failure. @to NULL: thrown away. */
int relay_add_output(struct relay *r, int fd, enum relay_kind kind, struct ws *to, struct err *err);
int relay_add_input(struct relay *r, int fd, enum relay_kind kind, struct ws *from, struct err *err);
int relay_add_control(struct relay *r, const struct relay_control *control, struct ws *from, struct err *err);

/* The client has gone: it hung up the control websocket, its input before the end of file, or all outputs. */
bool relay_is_abandoned(struct relay *r);

/* The process has ended: outputs take what is there and end, even if somebody else still holds the pipe. */
void relay_finish(struct relay *r);

/* True when all outputs have ended, false at the deadline. */
bool relay_wait(struct relay *r, uint64_t timeout_us);

/* Waits for the threads: the session must be closed. NULL is fine. */
void relay_free(struct relay *r);
AUTO_DEFINE(struct relay *, relay_free)
