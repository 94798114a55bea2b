/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* image-private.h - between image.c and image-import.c */
#include <stdbool.h>

#include "engine/image.h"

#define IMAGE_BUILT_IN "busybox" /* the alias of the built-in image */

/* Makes the built-in image and, unless it is taken, its alias. */
int image_make_built_in(struct engine *e, struct err *err);

/* -EINVAL says the rule. */
int image_check_alias(const char *alias, struct err *err);

/* Removes layers that no image names, unless something is being imported. */
int image_sweep_layers(struct engine *e, struct err *err);
