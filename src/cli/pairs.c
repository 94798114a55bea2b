/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pairs.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/cli.h"

int pairs_to_json(char *const *pairs, struct json *object, struct err *err)
{
	for (size_t i = 0; pairs && pairs[i]; i++) {
		const char *equals = strchr(pairs[i], '=');
		autofree char *key = NULL;

		if (!equals || equals == pairs[i])
			return err_set(err, CLI_EUSAGE, "'%s' is not of the form KEY=VALUE", pairs[i]);
		key = xstrndup(pairs[i], (size_t)(equals - pairs[i]));
		json_set_str(object, key, equals + 1);
	}
	return 0;
}
