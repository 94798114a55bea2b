/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* container.h - the running side of a claimed instance: what it stands on, how it begins and how it ends */
#include <stdbool.h>

#include "base/auto.h"
#include "base/err.h"
#include "engine/instance.h"

struct saved;

/* Folders, network namespace, root file system, bundle. What is there already is kept. */
int container_prepare(struct instance *in, struct err *err);

/* Makes the OCI spec from image and configuration, and the container from that; its process waits before its first
 * instruction. */
int container_create(struct instance *in, struct err *err);
/* Lets a created container run. */
int container_run(struct instance *in, struct err *err);

/* Continues from the images in the state folder; @env is hook_env()'s. Returns when the container runs. */
int container_restore(struct instance *in, const struct saved *saved, char *const *env, struct err *err);

/* Takes away all that container_prepare() and what followed made; kills what is left. The network namespace goes too:
 * nothing outside is connected to it, and a kept one would hold sockets in TIME_WAIT and CRIU's lock. */
void container_teardown(struct instance *in);

/* The container has ended: keeps its exit code, tears down; with @may_delete an ephemeral one is removed (the claim
 * then frees it). */
int container_ended(struct instance *in, bool may_delete, struct err *err);

/* Waits until conmon has gone: 1, or 0 at the deadline. */
int container_wait_end(const struct instance *in, uint64_t timeout_us);
bool container_conmon_has_ended(const struct instance *in);

/* At start-up: finds the running container of a daemon that is gone. 1 adopted, 0 there is none. */
int container_adopt(struct instance *in, struct err *err);

/* What its stdio is, noted when it was created or continued: its configuration may have changed since. */
struct container_stdio {
	char *descriptors; /* where it goes, as CRIU's descriptors.json wants it */
	bool has_tty, has_stdin;
};
void container_stdio_done(struct container_stdio *s);
AUTO_DEFINE_IN(struct container_stdio, container_stdio_done)
int container_note_stdio(const struct instance *in, const struct container_stdio *stdio, struct err *err);
/* @bundle: the instance's bundle folder. */
int container_read_stdio(const char *bundle, struct container_stdio *ret, struct err *err);
