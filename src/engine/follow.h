/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * follow.h - copy the memory pages to the disk while CRIU still writes them
 *
 * For a stateful stop, where nothing runs any more and the whole time counts: a thread copies and digests
 * FROM/pages-*.img as they grow. CRIU only ever appends to them.
 */
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct follow;
struct json;

/* Begins; the folders must live until follow_free(). */
int follow_start(const char *from, const char *to, struct follow **ret, struct err *err);

/* CRIU is done: takes the rest and ends. An object of what was copied, name: {"size", "sha256"}, borrowed from @f. */
int follow_finish(struct follow *f, const struct json **ret, struct err *err);
void follow_free(struct follow *f);
AUTO_DEFINE(struct follow *, follow_free)
