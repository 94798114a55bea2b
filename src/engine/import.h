/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * import.h - an import is all or nothing, also over a crash; for files of src/engine/ only
 *
 * While an instance is being made from an archive, import.json in its folder says so and names the volumes that are
 * made with it. Start-up undoes what it finds, unless the container has run: then the import had come through.
 */
#include <stdbool.h>

#include "base/err.h"
#include "engine/instance.h"

int import_begin(const struct instance *in, char *const *volumes, struct err *err);
bool import_is_open(const struct instance *in);
int import_commit(const struct instance *in, struct err *err);

/* Removes the claimed instance and its volumes; its claim frees the memory. */
void import_undo(struct instance *in);
