/* SPDX-License-Identifier: Apache-2.0 */
/* uuid.c - random (version 4) UUIDs */
#include "base/uuid.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>

static bool is_dash(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

void uuid_new(char out[UUID_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char b[16];
	ssize_t n = getrandom(b, sizeof(b), 0); /* up to 256 bytes are given whole and are not interrupted */
	size_t o = 0;

	assert(n == sizeof(b));
	(void)n;
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	for (size_t i = 0; i < sizeof(b); i++) {
		if (is_dash(o))
			out[o++] = '-';
		out[o++] = hex[b[i] >> 4];
		out[o++] = hex[b[i] & 15];
	}
	out[o] = '\0';
}

bool uuid_is_valid(const char *s)
{
	if (!s || strlen(s) != UUID_SIZE - 1)
		return false;
	for (size_t i = 0; i < UUID_SIZE - 1; i++) {
		if (is_dash(i) ? s[i] != '-' : !strchr("0123456789abcdef", s[i]))
			return false;
	}
	return true;
}
