/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* guard.h - the verbs of stasis-guard, each a whole small program; they return the exit status */

/* confine CGROUP_DIR PROGRAM ARGS…: enters the cgroup and becomes the program. */
int guard_confine(char **argv);

/* hook: CRIU's action script; what to do is in the environment. */
int guard_hook(void);

/* proof: a program with an established TCP connection that counts into the file /count. */
int guard_proof(void);

/* thaw FREEZE_FILE DUMP_EVENTS DONE KILL_FILE SECONDS: the thaw guard. */
int guard_thaw(char **argv);
