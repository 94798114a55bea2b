/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* devices.h - what an instance has besides its root file system: volumes at paths, each under a name of its own */
#include <stdbool.h>
#include <stddef.h>

#include "base/auto.h"

struct device {
	char *name, *volume, *path;
	bool is_readonly;
};
struct devices {
	struct device *v; /* sorted by path: a folder before what is in it */
	size_t n;
};

void devices_done(struct devices *d);
AUTO_DEFINE_IN(struct devices, devices_done)

/* Adds in order; nothing is checked. */
void devices_add(struct devices *d, const char *name, const char *volume, const char *path, bool is_readonly);
void devices_remove(struct devices *d, const char *name); /* the device of this name, if there is one */
struct devices devices_copy(const struct devices *d);

/* Borrowed, or NULL. */
const struct device *devices_find(const struct devices *d, const char *name);
const struct device *devices_find_volume(const struct devices *d, const char *volume);
bool devices_equal(const struct devices *a, const struct devices *b);
