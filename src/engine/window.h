/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * window.h - the frozen window: a guard outside of the daemon, then the freezer
 *
 * Whatever happens to the daemon inside, the container does not stay frozen because of us (guard/thaw.c).
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "base/proc.h"
#include "engine/instance.h"
#include "runtime/freezer.h"

struct window {
	struct freezer hold;
	struct proc guard;
	int pipe_fd;	       /* the guard waits at its other end */
	uint64_t frozen_at_us; /* monotonic */
	uint64_t freeze_us;    /* how long it took to come to rest */
};

#define WINDOW_CLOSED                                                                                                  \
	{                                                                                                              \
		.hold = FREEZER_NONE, .guard = PROC_NONE, .pipe_fd = -1                                                \
	}

/* Opens it: starts the guard, freezes. @done: the path that exists once the checkpoint is committed (the guard then
 * kills instead of thawing). */
int window_open(struct window *w, const struct instance *in, const char *done, struct err *err);
/* Whether the instance was paused before: then nothing here thaws it. */
bool window_found_paused(const struct window *w);
/* The container was killed: nothing is left to thaw. */
void window_end_killed(struct window *w);
/* Thaws what was frozen and sends the guard home. */
void window_close(struct window *w);
AUTO_DEFINE_IN(struct window, window_close)
