/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* stateful.h - stop with state, start where it was; both take a claimed instance */
#include "base/err.h"
#include "engine/instance.h"

struct operation;

/* The instance is up. On success it is stopped and its state is saved; on failure it runs (or stays paused) as before.
 */
int stateful_stop(struct instance *in, struct operation *op, struct err *err);

/* The instance is stopped and has a saved state. On failure before the commit point the state is as it was. */
int stateful_start(struct instance *in, struct operation *op, struct err *err);
