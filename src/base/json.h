/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * json.h - JSON documents (json-c is included in json.c only)
 *
 * A `struct json` is one value of a document. Values inside are borrowed from the root; the root belongs to whoever
 * parsed or built it. Numbers beyond int64 (18446744073709551615 in OCI specs) and members nobody knows survive parse
 * and print unchanged. JSON null is NULL. Strings that are not UTF-8 get U+FFFD for each wrong byte when a document is
 * built; \u0000 is refused when one is parsed, because our strings end there.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

#define JSON_MAX_DEPTH 64

struct json;

/* Strict: valid UTF-8, one value, nothing behind it, no duplicate keys, at most JSON_MAX_DEPTH levels. -EINVAL with the
 * position. */
int json_parse(const char *text, size_t len, struct json **ret, struct err *err);
/* Reads and parses a file of at most @max bytes; the error names the file. */
int json_parse_file(const char *path, size_t max, struct json **ret, struct err *err);
void json_free(struct json *j); /* of a root */
AUTO_DEFINE(struct json *, json_free)
struct json *json_copy(const struct json *j);

enum json_print { JSON_COMPACT, JSON_PRETTY };		       /* pretty: two blanks an indent */
char *json_print(const struct json *j, enum json_print style); /* a heap string */

/* Building. Each json_set and json_add takes over @value; setting a key again replaces it. NULL strings become null. */
struct json *json_new_object(void);
struct json *json_new_array(void);
struct json *json_new_str(const char *s);
struct json *json_new_strv(char *const *v);
struct json *json_new_int(int64_t n);
struct json *json_new_bool(bool b);
struct json *json_new_null(void);
void json_set(struct json *object, const char *key, struct json *value);
void json_set_str(struct json *object, const char *key, const char *s);
void json_set_strf(struct json *object, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void json_set_int(struct json *object, const char *key, int64_t n);
void json_set_bool(struct json *object, const char *key, bool b);
void json_unset(struct json *object, const char *key);
void json_add(struct json *array, struct json *value);
void json_add_str(struct json *array, const char *s);

/* Looking. All accept NULL and answer with NULL, 0, false or the default then. */
enum json_type { JSON_NULL, JSON_BOOL, JSON_INT, JSON_DOUBLE, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
enum json_type json_type(const struct json *j);
bool json_has(const struct json *object, const char *key); /* true for a null, too */
bool json_is_int64(const struct json *j);		   /* a whole number that json_int() gives exactly */
struct json *json_get(const struct json *object, const char *key);
struct json *json_at(const struct json *root, const char *pointer); /* RFC 6901: "/process/args/0" */
const char *json_str(const struct json *j);			    /* NULL if not a string */
int64_t json_int(const struct json *j, int64_t otherwise); /* @otherwise, too, if it is not whole or not an int64 */
bool json_bool(const struct json *j, bool otherwise);
const char *json_get_str(const struct json *object, const char *key);
int64_t json_get_int(const struct json *object, const char *key, int64_t otherwise);
bool json_get_bool(const struct json *object, const char *key, bool otherwise);
size_t json_len(const struct json *j); /* elements of an array, members of an object */
struct json *json_item(const struct json *array, size_t i);
char **json_to_strv(const struct json *array); /* a new vector of its strings; NULL if it is no array */

/* Members in document order: for (struct json_iter it = json_iter(o); json_next(&it);) uses it.key, it.value */
struct json_iter {
	const struct json *object;
	const char *key;
	struct json *value;
	void *pos;
};
struct json_iter json_iter(const struct json *object);
bool json_next(struct json_iter *it);

/*
 * One table decodes one request. Strings are borrowed from the document, which must live as long as @out. What is
 * absent or null stays as it was in @out. A wrong type is -EINVAL "<name> must be …"; a member not in the table is
 * -EINVAL "unknown member '<name>' (known: …)" unless the table has a row { "*", JSON_F_IGNORE }.
 */
enum json_kind { JSON_F_STR, JSON_F_BOOL, JSON_F_INT /* int64_t */, JSON_F_JSON /* struct json * */, JSON_F_IGNORE };
struct json_field {
	const char *name;
	enum json_kind kind;
	size_t offset;
	bool is_required;
};
int json_decode(const struct json *object, const struct json_field *fields, size_t n_fields, void *out,
		struct err *err);
