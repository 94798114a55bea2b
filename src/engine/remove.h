/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* remove.h - the end of an instance */
#include "base/err.h"
#include "engine/instance.h"

/* Removes the row, then the files of a claimed, stopped instance; its claim frees the memory. What is left if we die in
 * between is swept at start-up: a folder without a row. */
int remove_instance(struct instance *in, struct err *err);

/* Removes the folders of @uuid in the state and the log folder. */
int remove_files(struct engine *e, const char *uuid, struct err *err);
/* Removes the folders that no row knows. Called at start-up, before there are threads. */
void remove_strays(struct engine *e);
