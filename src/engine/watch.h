/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * watch.h - one thread that sees containers end
 *
 * Holds a pidfd of each conmon. When one ends, the instance is cleaned up by an operation; if somebody has it claimed,
 * by that claim's release. The same thread notices when a continued container has proven itself,
 * and deletes the checkpoints that have expired.
 */
#include "base/err.h"
#include "engine/engine.h"

struct instance;
struct watcher;

#define WATCH_CLEANING "cleaning up after it has ended"

int watch_start(struct engine *e, struct watcher **ret, struct err *err);
void watch_stop(struct watcher *w);

/* Watches the conmon of a running instance (in->conmon_fd is duplicated). */
void watch_add(struct instance *in);
/* Wakes the thread: a deadline has been set (in->prove_at_us, a checkpoint's expiry). */
void watch_poke(struct engine *e);
/* Starts the cleaning of an instance claimed with WATCH_CLEANING; the claim is released at its end. */
void watch_clean(struct instance *in);
