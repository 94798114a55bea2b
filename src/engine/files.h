/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * files.h - an instance's files at one instant: its upper folder and its volumes, captured together
 */
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "engine/instance.h"
#include "image/capture.h"

struct json;
struct operation;

struct files; /* what is being captured */

/* The part before the freeze: syncs, copies what can be copied early into FOLDER/upper and FOLDER/volumes/NAME. */
int files_prepare(const struct instance *in, const char *folder, bool with_rootfs, bool with_volumes,
		  struct operation *op, struct files **ret, struct err *err);
/* The part while frozen (or stopped). */
int files_take(struct files *f, struct err *err);
/* After the thaw: FOLDER/upper.sums and FOLDER/volumes/NAME.sums are written and added to @list; what was captured goes
 * into @manifest. */
int files_describe(struct files *f, struct json *list, struct json *manifest, struct operation *op, struct err *err);
void files_free(struct files *f);
AUTO_DEFINE(struct files *, files_free)
