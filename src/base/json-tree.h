/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * json-tree.h - what json.c has for json-parse.c and json-print.c only
 *
 * json-c keeps the tree; text is ours in both directions. Its versions differ in what they accept and in how they print
 * (0.16 takes invalid UTF-8, 0.18 refuses all that is not ASCII when strict and takes "[1,]" when not).
 */
#include "base/json.h"

#define JSON_NUMBER_SIZE 32

struct json *json_new_uint(uint64_t n);

/* A number that is neither int64 nor uint64; kept as it was written. */
struct json *json_new_number_text(const char *text);

/* How to print a number; in @buf or inside @j. */
const char *json_number_text(const struct json *j, char buf[JSON_NUMBER_SIZE]);
