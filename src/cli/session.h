/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * session.h - our standard streams and terminal, joined with those of a process in an instance
 *
 * For exec and console alike: a websocket for each stream, one for control messages. Threads copy; the caller waits.
 */
#include <stdbool.h>

#include "base/err.h"

struct client;
struct json;

struct session_spec {
	bool has_tty;	       /* stream "0" carries both ways, and the terminal there does echo and line editing */
	bool has_plain_output; /* … but no terminal over there: keep our own line ends (console of a program without) */
	bool has_no_input;     /* the process finds its input at its end at once */
	bool has_detach;       /* Ctrl-A q leaves */
	bool has_signals;      /* Ctrl-C and its like become signals over there; else they detach */
};

enum session_end { SESSION_CLOSED, SESSION_DETACHED, SESSION_LEFT /* by repeated Ctrl-C */ };

/* @answer: the daemon's answer to the request that started the operation. Returns how it ended (enum session_end) when
 * everything that the other side wrote has been written here, with the terminal as it was before. */
int session_run(struct client *c, const struct json *answer, const struct session_spec *spec, struct err *err);
