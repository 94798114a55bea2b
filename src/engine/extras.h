/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * extras.h - files that other engines mount into their containers: /etc/hosts, /dev/shm and the like
 *
 * A container of theirs that is continued here needs something at each of these places. It is made by us, in the
 * instance's folder: STATE_DIR/instances/UUID/extras/NAME.
 */
#include "base/err.h"
#include "engine/instance.h"

struct json;
struct spec_extra_mount;
struct spec_taken;

#define EXTRAS		  "extras"
#define EXTRAS_SHM	  EXTRAS "/shm" /* part of the instance's checkpoints */
#define EXTRAS_SHM_INSIDE "/dev/shm"

/* @shm_tar: what /dev/shm held, or NULL. */
int extras_make(const struct instance *in, const char *name, const struct spec_taken *spec, const char *shm_tar,
		struct err *err);

/*
 * extras_adopt() - the spec of a checkpoint names what its instance had; for this one it names its own
 *
 * What is missing is made; shared memory becomes what it was at the checkpoint in @folder.
 */
int extras_adopt(const struct instance *in, struct json *spec, const char *folder, struct err *err);

/* Where it is, a heap string. */
char *extras_path(const struct instance *in, const struct spec_extra_mount *extra);
