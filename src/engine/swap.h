/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * swap.h - put other files under an instance, and put the old ones back if that leads nowhere
 *
 * What is replaced (upper, work, state, volumes) is kept beside as X.old until swap_commit(). The file swap.json in the
 * instance's folder says that a swap is under way: as long as it exists, start-up undoes it.
 */
#include <stdbool.h>

#include "base/err.h"
#include "engine/instance.h"

/*
 * swap_begin() - X becomes X.old, X.new (made by the caller) becomes X
 *
 * @with_upper: upper.new replaces upper, and work starts empty. @volumes: names whose folders NAME.new replace NAME;
 * NULL-terminated, may be NULL. The saved state, if there is one, is put aside. -EIO and the like undo what was done.
 */
int swap_begin(struct instance *in, bool with_upper, char *const *volumes, struct err *err);

/* Forgets the old. */
int swap_commit(struct instance *in, struct err *err);

/* Puts the old back; fine when there is no swap. The instance must not run. */
int swap_undo(struct instance *in, struct err *err);
/* Removes what a crash has left beside an instance's files, before a swap or after one; nothing while one is open. */
void swap_sweep(const struct instance *in);
bool swap_is_open(const struct instance *in);
