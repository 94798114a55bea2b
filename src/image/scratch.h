/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* scratch.h - a folder for half-done work, STATE_DIR/tmp/image-…, gone at the end of the scope */
#include "base/auto.h"
#include "base/err.h"

struct scratch {
	char *path; /* NULL: none */
};

/* A new empty folder, 0700. */
int scratch_make(struct scratch *s, const char *state_dir, struct err *err);
void scratch_done(struct scratch *s);
AUTO_DEFINE_IN(struct scratch, scratch_done)

/* Removes what a crash left. Nobody may be working in @state_dir. */
int scratch_sweep(const char *state_dir, struct err *err);
