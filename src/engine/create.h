/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* create.h - a new instance from what is known about it; for files of src/engine/ only */
#include "base/err.h"
#include "engine/instance.h"
#include "store/instances.h"

/* @wanted checked and free, or one made up; a heap string. */
int create_choose_name(struct engine *e, const char *wanted, char **ret, struct err *err);

/* Puts files into the new instance's folder before anybody can see it. */
typedef int (*create_fill)(struct instance *in, void *ctx, struct err *err);

/*
 * create_from_row() - files first, row last
 *
 * Takes over what @row holds (name, image, config, …; uuid and time are given here). On success *ret is claimed; a
 * failure leaves nothing.
 */
int create_from_row(struct engine *e, struct instance_row *row, create_fill fill, void *ctx, struct instance **ret,
		    struct err *err);
