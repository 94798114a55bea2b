/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* capability.h - what this process may do (capabilities(7)) */
#include <stdbool.h>

#define CAPABILITY_SYS_ADMIN	21
#define CAPABILITY_SYS_RESOURCE 24

/* Whether the capability is in our effective set. */
bool capability_has(int capability);
