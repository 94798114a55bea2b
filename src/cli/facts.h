/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* facts.h - "Name:  value" lines, aligned; empty values are left out */
#include <stddef.h>

#include "base/auto.h"

struct facts;
struct facts *facts_new(void);
void facts_free(struct facts *f);
AUTO_DEFINE(struct facts *, facts_free)

/* Adds a line. A NULL or empty @value adds nothing. facts_addf() formats the value. */
void facts_add(struct facts *f, const char *name, const char *value);
void facts_addf(struct facts *f, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Prints what there is on standard output. Several lines of the same name show it once. */
void facts_print(const struct facts *f);
