/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* decode.h - what json_decode() does not know: vectors and maps of strings */
#include "base/err.h"

struct json;

/* ["a", "b"]; NULL and null give an empty vector. -EINVAL names @name. */
int decode_strv(const struct json *j, const char *name, char ***ret, struct err *err);

/* {"key": "value"} as sorted "key=value"; NULL and null give an empty vector. Keys must be neither empty nor hold '='.
 */
int decode_map(const struct json *j, const char *name, char ***ret, struct err *err);

/* profiles: null, [] and ["default"] are all the same to us. */
int decode_profiles(const struct json *j, struct err *err);
