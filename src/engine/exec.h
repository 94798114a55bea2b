/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* exec.h - a further process in a running instance, and its console */
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "engine/engine.h"

struct exec_request {
	char *const *command;
	char *const *env; /* "KEY=value" beside the instance's own */
	const char *cwd;  /* NULL: the instance's */
	int64_t uid, gid; /* -1: the instance's */
	bool has_tty;
	int width, height; /* of the terminal; 0: 80x24 */
};

struct exec;

/*
 * exec_start() - run a command by `crun exec`
 *
 * Without a TTY exec_fd(x, 0) is the write end of stdin, 1 and 2 the read ends of stdout and stderr; with one, 0 is the
 * terminal's master for both directions and 1, 2 are -1. Paused: -EBUSY. Not running: -EINVAL. The session is not part
 * of a checkpoint.
 */
int exec_start(struct engine *e, const char *instance, const struct exec_request *rq, struct exec **ret,
	       struct err *err);
int exec_fd(const struct exec *x, int which);
int exec_take_fd(struct exec *x, int which); /* hands it over; it is then the caller's to close */
/* These two may be called while another thread is in exec_wait(). The terminal must not have been taken. */
void exec_resize(struct exec *x, int width, int height);
int exec_signal(struct exec *x, int signal, struct err *err);
/* Waits for its end: 1 and the exit code (128+n for a signal, 127 command not found, 126 not executable), or 0 at the
 * deadline. */
int exec_wait(struct exec *x, uint64_t timeout_us, int *ret_code, struct err *err);
void exec_free(struct exec *x); /* kills what still runs */
AUTO_DEFINE(struct exec *, exec_free)

/* The instance's own terminal or output by conmon's attach socket: a SOCK_SEQPACKET whose packets from conmon begin
 * with a byte that says 2 stdout or 3 stderr; what is written is its input (ignored unless console.tty or
 * console.stdin). */
int console_open(struct engine *e, const char *instance, int *ret_fd, bool *ret_has_tty, struct err *err);
int console_resize(struct engine *e, const char *instance, int width, int height, struct err *err);
