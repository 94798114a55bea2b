/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * hook.h - the daemon's end of CRIU's action script (guard/hook.c is the other)
 *
 * A socket in the bundle folder and a thread that answers when CRIU asks: before a dump touches anything ("pre-dump"),
 * when its images are complete ("post-dump"), or when a restored container stands before its first instruction
 * ("pre-resume").
 */
#include "base/auto.h"
#include "base/err.h"
#include "engine/instance.h"

struct hook;

/* Decides: 0 lets CRIU go on, negative refuses. Runs in the hook's thread while CRIU waits. */
typedef int (*hook_answer)(const char *action, struct hook *hook, void *ctx, struct err *err);

int hook_open(struct instance *in, hook_answer answer, void *ctx, struct hook **ret, struct err *err);

/* The environment for crun: tools.env and what guard/hook.c wants. @done: the path that exists once the commit is made.
 */
char **hook_env(const struct hook *hook, const char *done);

/* Whether CRIU still waits for our answer: asked right before a commit. */
int hook_is_waiting(const struct hook *hook);

/* Stops answering and waits for an answer that is being given. 1 if CRIU has asked; *ret_result and *ret_err are then
 * the answer's. */
int hook_end(struct hook *hook, int *ret_result, struct err *ret_err);
void hook_close(struct hook *hook);
AUTO_DEFINE(struct hook *, hook_close)
