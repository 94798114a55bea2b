/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <stdio.h>

#include "base/json.h"
#include "base/str.h"

enum { COLLECT_MAX = 64 << 20 };

void output_json(const struct json *value)
{
	autofree char *text = json_print(value, JSON_PRETTY);

	(void)puts(text);
}

const char *output_word(const struct json *object, const char *key)
{
	const char *word = json_get_str(object, key);

	return word && *word ? word : "-";
}

int output_collect(void *arg, const char *data, size_t n)
{
	struct strbuf *sb = arg;

	if (sb->len + n > COLLECT_MAX)
		return -EFBIG;
	strbuf_add(sb, data, n);
	return 0;
}
