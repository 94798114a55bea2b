/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* keys.h - finds the detach key in what is typed: Ctrl-A q leaves, Ctrl-A Ctrl-A is one Ctrl-A */
#include <stdbool.h>

#include "base/str.h"

struct keys {
	bool has_prefix; /* the last key was Ctrl-A */
};

/* Appends to @out what is for the other side. True when the detach key came; what follows it is dropped. */
bool keys_filter(struct keys *k, const char *typed, size_t n, struct strbuf *out);
