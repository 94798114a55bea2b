/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * volume.h - named volumes: folders that outlive instances
 *
 * STATE_DIR/volumes/NAME/. Attached to an instance at a path, at most once to each; an instance's attachments are its
 * devices and take effect when it boots. A volume in use by a running instance is part of its checkpoints.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "engine/engine.h"
#include "engine/instance.h"

struct volume_info {
	char *name;
	uint64_t created_us;
	uint64_t bytes; /* on disk; only with @live */
	char **users;	/* "INSTANCE:PATH", sorted */
};
void volume_info_free(struct volume_info *v);
AUTO_DEFINE(struct volume_info *, volume_info_free)
void volume_list_free(struct volume_info **list);
AUTO_DEFINE(struct volume_info **, volume_list_free)

int volume_create(struct engine *e, const char *name, struct err *err); /* -EEXIST; names as instances' */
int volume_delete(struct engine *e, const char *name,
		  struct err *err); /* -EBUSY names the instances it is attached to */
int volume_find(struct engine *e, const char *name, bool live, struct volume_info **ret, struct err *err);
int volume_list(struct engine *e, bool live, struct volume_info ***ret, struct err *err);
char *volume_path(struct engine *e, const char *name); /* its folder, a heap string */

/* @path: absolute inside the instance, not "/" and not below /proc, /sys, /dev. The instance must be stopped without a
 * saved state (-EBUSY says so otherwise). The device gets the volume's name. */
int volume_attach(struct instance *in, const char *volume, const char *path, bool is_readonly, struct err *err);
int volume_detach(struct instance *in, const char *volume, struct err *err);

/* Replaces all attachments of a claimed instance, or none. What is so already is no change, and always allowed. */
int volume_set_devices(struct instance *in, const struct devices *devices, struct err *err);

/* The canonical form of a path to mount at, a heap string. -EINVAL says what is wrong with it. */
int volume_check_path(const char *path, char **ret, struct err *err);

/* The attachments of a claimed instance, for the OCI spec and for captures: a heap array of *ret_n, a folder before
 * what is in it. */
struct volume_mount {
	char *volume, *source, *path;
	bool is_readonly;
};
struct volume_mount *volume_mounts(const struct instance *in, size_t *ret_n);
void volume_mounts_free(struct volume_mount *list, size_t n);

/* ---- for the engine itself --------------------------------------------------------------------------------------- */

/* At start-up, after recovery: makes the folder of volumes, or removes in it what has no row. */
int volume_sweep(struct engine *e, struct err *err);

/* At start-up: reads an instance's attachments. */
int volume_load(struct instance *in, struct err *err);

/*
 * volume_fill() - before a claimed instance boots, with its root file system mounted
 *
 * Checks that its volumes are there and that their paths lead to where they may. A volume that no instance has booted
 * with yet, and that is empty, gets a copy of what the root file system holds at its path, with the owner and the mode
 * of that folder. A copy that a crash interrupted is ended by the next boot with this volume.
 */
int volume_fill(struct instance *in, struct err *err);
#define VOLUME_FILL_PREFIX ".fill-" /* in the folder of volumes: a complete copy on its way into a volume */
