/* SPDX-License-Identifier: Apache-2.0 */
// links: src/base/*.c
/* A document that is accepted must print to text that is accepted again and prints the same. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct json *j, int depth)
{
	assert(depth <= JSON_MAX_DEPTH);
	if (json_type(j) == JSON_OBJECT)
		for (struct json_iter it = json_iter(j); json_next(&it);)
			walk(it.value, depth + 1);
	if (json_type(j) == JSON_ARRAY)
		for (size_t i = 0; i < json_len(j); i++)
			walk(json_item(j, i), depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(json_free) struct json *first = NULL, *second = NULL;
	autofree char *text = NULL, *again = NULL;
	struct err err = ERR_INIT;

	if (json_parse((const char *)data, size, &first, &err) < 0)
		return 0;
	walk(first, 0);
	text = json_print(first, JSON_COMPACT);
	if (json_parse(text, strlen(text), &second, &err) < 0) {
		(void)fprintf(stderr, "%s\n%s\n", err.text, text);
		abort();
	}
	again = json_print(second, JSON_COMPACT);
	assert(strcmp(text, again) == 0);
	return 0;
}
