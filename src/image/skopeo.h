/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* skopeo.h - one run of `skopeo copy`, followed until it ends, it takes too long or somebody has had enough */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "image/watch.h"

struct skopeo_copy {
	const char *from, *to;	/* with their transports */
	char *const *options;	/* of copy, or NULL */
	const char *tmp;	/* an existing folder for its temporary files and its log */
	const char *grows;	/* what fills up meanwhile, for the watch's figures, or NULL */
	const char *what, *say; /* "download" for the watch, "pull docker://…" for errors */
	uint64_t timeout_us;
	const struct image_watch *watch;
};

/* -EREMOTEIO holds what skopeo said last. It has ended when this returns, whatever has happened. */
int skopeo_copy(const struct skopeo_copy *c, struct err *err);
