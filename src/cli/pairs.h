/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* pairs.h - words of the form KEY=VALUE */
#include "base/err.h"

struct json;

/* Each "KEY=VALUE" as a member of @object. CLI_EUSAGE names the word that is none. @pairs may be NULL. */
int pairs_to_json(char *const *pairs, struct json *object, struct err *err);
