/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* strv.h - NULL-terminated vectors of strings: argv, environ, lists of names. NULL is the empty vector. */
#include <stdbool.h>
#include <stddef.h>

#include "base/auto.h"
#include "base/err.h"

size_t strv_len(char *const *v);
void strv_free(char **v);
AUTO_DEFINE(char **, strv_free)
char **strv_copy(char *const *v);

/* Appends; *v is reallocated. strv_add copies, strv_take takes over @s, strv_addf formats. */
void strv_add(char ***v, const char *s);
void strv_take(char ***v, char *s);
void strv_addf(char ***v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strv_add_all(char ***v, char *const *more);

/* strv_new("a", "b", NULL); strv_new(NULL, NULL) is an empty vector that is not NULL */
char **strv_new(const char *first, ...) __attribute__((sentinel));

bool strv_has(char *const *v, const char *s);
char **strv_split(const char *s, char sep); /* empty parts are kept; "" gives one empty part */
char *strv_join(char *const *v, const char *sep);
void strv_sort(char **v); /* by bytes */

/* Environment vectors "KEY=VALUE": sets or replaces KEY; the value of KEY or NULL. */
void strv_env_set(char ***v, const char *key, const char *value);
const char *strv_env_get(char *const *v, const char *key);

/* Words as a POSIX shell splits them: blanks, '…', "…" with \" \\ \$ \`, and \x outside quotes; nothing is expanded.
 * -EINVAL with words on an open quote. strv_quote() is the inverse. */
int strv_parse_words(const char *s, char ***ret, struct err *err);
char *strv_quote(char *const *v);
