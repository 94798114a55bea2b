/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/capability.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/file.h"

bool capability_has(int capability)
{
	autofree char *text = NULL;
	const char *at;

	if (file_read("/proc/self/status", 65536, &text, NULL, NULL) < 0)
		return false;
	at = strstr(text, "\nCapEff:");
	return at && (strtoull(at + strlen("\nCapEff:"), NULL, 16) >> capability & 1);
}
