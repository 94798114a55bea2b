/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* uuid.h - random (version 4) UUIDs as 36 lower-case characters, RFC 4122 */
#include <stdbool.h>

#define UUID_SIZE 37

void uuid_new(char out[UUID_SIZE]);
bool uuid_is_valid(const char *s);
