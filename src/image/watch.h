/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* watch.h - who started long work may follow it and end it */
#include <stdint.h>

#include "base/err.h"

struct image_watch {
	/* Called now and then: @what is done ("layer 2 of 5"), how many bytes of it. A negative result, with its text
	 * in
	 * @err, ends the work. */
	int (*tick)(void *ctx, const char *what, uint64_t bytes, struct err *err);
	void *ctx;
};

static inline int image_watch_tick(const struct image_watch *w, const char *what, uint64_t bytes, struct err *err)
{
	return w && w->tick ? w->tick(w->ctx, what, bytes, err) : 0;
}
