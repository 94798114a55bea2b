/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* output.h - small helpers for printing what the API gave */
#include <stddef.h>

struct json;

/* The value as indented JSON on standard output. */
void output_json(const struct json *value);

/* A member's text, or "-": never NULL. */
const char *output_word(const struct json *object, const char *key);

/* A sink for client_read(): appends to the struct strbuf @arg, at most 64 MiB. */
int output_collect(void *arg, const char *data, size_t n);
