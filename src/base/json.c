/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.c - the tree: building and looking
 *
 * A `struct json` is a json_object by another name; JSON null is NULL, here as in json-c. Nothing that looks at a tree
 * changes it (json-c's own printing would), so several threads may read one.
 */
#include "base/json.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json-tree.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"

/* Two of its types have names of our functions; types only, so that another name here does no harm. */
#define json_bool jsonc_bool
#define json_type jsonc_type
#include <json-c/json.h>
#undef json_bool
#undef json_type

static struct json_object *tree(const struct json *j)
{
	return (struct json_object *)(uintptr_t)j;
}

/* Every constructor of json-c gives NULL when memory is out. */
static struct json *made(struct json_object *o)
{
	if (!o)
		mem_exhausted();
	return (struct json *)o;
}

int json_parse_file(const char *path, size_t max, struct json **ret, struct err *err)
{
	autofree char *text = NULL;
	size_t len;
	int r;

	r = file_read(path, max, &text, &len, err);
	if (r < 0)
		return r;
	r = json_parse(text, len, ret, err);
	return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

void json_free(struct json *j)
{
	(void)json_object_put(tree(j));
}

struct json *json_copy(const struct json *j)
{
	struct json_object *copy = NULL;

	if (!j)
		return NULL;
	if (json_object_deep_copy(tree(j), &copy, NULL) < 0)
		mem_exhausted();
	return made(copy);
}

struct json *json_new_object(void)
{
	return made(json_object_new_object());
}

struct json *json_new_array(void)
{
	return made(json_object_new_array());
}

/* What comes from file names and programs may be any bytes; a document may not. */
struct json *json_new_str(const char *s)
{
	autofree char *clean = NULL;

	if (!s)
		return NULL;
	if (str_is_utf8(s, strlen(s)))
		return made(json_object_new_string(s));
	clean = str_make_utf8(s);
	return made(json_object_new_string(clean));
}

struct json *json_new_strv(char *const *v)
{
	struct json *array = json_new_array();

	for (size_t i = 0; v && v[i]; i++)
		json_add_str(array, v[i]);
	return array;
}

struct json *json_new_int(int64_t n)
{
	return made(json_object_new_int64(n));
}

struct json *json_new_uint(uint64_t n)
{
	return made(json_object_new_uint64(n));
}

struct json *json_new_number_text(const char *text)
{
	return made(json_object_new_double_s(0, text)); /* nobody reads the double; the text is what is kept */
}

struct json *json_new_bool(bool b)
{
	return made(json_object_new_boolean(b));
}

struct json *json_new_null(void)
{
	return NULL;
}

void json_set(struct json *object, const char *key, struct json *value)
{
	autofree char *clean = NULL;

	assert(json_type(object) == JSON_OBJECT);
	if (!str_is_utf8(key, strlen(key)))
		clean = str_make_utf8(key);
	if (clean)
		key = clean;
	if (json_object_object_add(tree(object), key, tree(value)) < 0)
		mem_exhausted();
}

void json_set_str(struct json *object, const char *key, const char *s)
{
	json_set(object, key, json_new_str(s));
}

void json_set_strf(struct json *object, const char *key, const char *fmt, ...)
{
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&sb, fmt, ap);
	va_end(ap);
	json_set_str(object, key, sb.s);
}

void json_set_int(struct json *object, const char *key, int64_t n)
{
	json_set(object, key, json_new_int(n));
}

void json_set_bool(struct json *object, const char *key, bool b)
{
	json_set(object, key, json_new_bool(b));
}

void json_unset(struct json *object, const char *key)
{
	if (json_type(object) == JSON_OBJECT)
		json_object_object_del(tree(object), key);
}

void json_add(struct json *array, struct json *value)
{
	assert(json_type(array) == JSON_ARRAY);
	if (json_object_array_add(tree(array), tree(value)) < 0)
		mem_exhausted();
}

void json_add_str(struct json *array, const char *s)
{
	json_add(array, json_new_str(s));
}

enum json_type json_type(const struct json *j)
{
	switch (json_object_get_type(tree(j))) {
	case json_type_boolean:
		return JSON_BOOL;
	case json_type_int:
		return JSON_INT;
	case json_type_double:
		return JSON_DOUBLE;
	case json_type_string:
		return JSON_STRING;
	case json_type_array:
		return JSON_ARRAY;
	case json_type_object:
		return JSON_OBJECT;
	case json_type_null:
	default:
		return JSON_NULL;
	}
}

bool json_has(const struct json *object, const char *key)
{
	return json_type(object) == JSON_OBJECT && json_object_object_get_ex(tree(object), key, NULL);
}

struct json *json_get(const struct json *object, const char *key)
{
	struct json_object *value = NULL;

	if (json_type(object) != JSON_OBJECT || !json_object_object_get_ex(tree(object), key, &value))
		return NULL;
	return (struct json *)value;
}

/* "0", "17"; not "", "007" or "-". */
static struct json *item_by_name(const struct json *array, const char *name)
{
	int64_t i;

	if ((name[0] == '0' && name[1]) || str_to_i64(name, 0, INT32_MAX, &i, NULL) < 0)
		return NULL;
	return json_item(array, (size_t)i);
}

struct json *json_at(const struct json *root, const char *pointer)
{
	AUTO(strbuf_done) struct strbuf name = STRBUF_INIT;
	const struct json *j = root;

	while (j && *pointer) {
		if (*pointer++ != '/')
			return NULL;
		strbuf_reset(&name);
		for (; *pointer && *pointer != '/'; pointer++) {
			if (pointer[0] != '~')
				strbuf_addc(&name, *pointer);
			else if (pointer[1] == '0' || pointer[1] == '1')
				strbuf_addc(&name, *++pointer == '0' ? '~' : '/');
			else
				return NULL;
		}
		j = json_type(j) == JSON_ARRAY ? item_by_name(j, name.s) : json_get(j, name.s);
	}
	return (struct json *)tree(j);
}

const char *json_str(const struct json *j)
{
	return json_type(j) == JSON_STRING ? json_object_get_string(tree(j)) : NULL;
}

/* json-c cuts a large number to INT64_MAX silently. */
static bool is_beyond_int64(const struct json *j)
{
	return json_object_get_int64(tree(j)) == INT64_MAX && json_object_get_uint64(tree(j)) > INT64_MAX;
}

int64_t json_int(const struct json *j, int64_t otherwise)
{
	return json_type(j) == JSON_INT && !is_beyond_int64(j) ? json_object_get_int64(tree(j)) : otherwise;
}

bool json_is_int64(const struct json *j)
{
	return json_type(j) == JSON_INT && !is_beyond_int64(j);
}

const char *json_number_text(const struct json *j, char buf[JSON_NUMBER_SIZE])
{
	if (json_type(j) == JSON_DOUBLE)
		return json_object_get_userdata(tree(j));
	if (is_beyond_int64(j))
		(void)snprintf(buf, JSON_NUMBER_SIZE, "%llu", (unsigned long long)json_object_get_uint64(tree(j)));
	else
		(void)snprintf(buf, JSON_NUMBER_SIZE, "%lld", (long long)json_object_get_int64(tree(j)));
	return buf;
}

bool json_bool(const struct json *j, bool otherwise)
{
	return json_type(j) == JSON_BOOL ? json_object_get_boolean(tree(j)) : otherwise;
}

const char *json_get_str(const struct json *object, const char *key)
{
	return json_str(json_get(object, key));
}

int64_t json_get_int(const struct json *object, const char *key, int64_t otherwise)
{
	return json_int(json_get(object, key), otherwise);
}

bool json_get_bool(const struct json *object, const char *key, bool otherwise)
{
	return json_bool(json_get(object, key), otherwise);
}

size_t json_len(const struct json *j)
{
	if (json_type(j) == JSON_ARRAY)
		return json_object_array_length(tree(j));
	return json_type(j) == JSON_OBJECT ? (size_t)json_object_object_length(tree(j)) : 0;
}

struct json *json_item(const struct json *array, size_t i)
{
	if (json_type(array) != JSON_ARRAY || i >= json_object_array_length(tree(array)))
		return NULL;
	return (struct json *)json_object_array_get_idx(tree(array), i);
}

char **json_to_strv(const struct json *array)
{
	char **v;

	if (json_type(array) != JSON_ARRAY)
		return NULL;
	v = strv_new(NULL, NULL);
	for (size_t i = 0; i < json_len(array); i++) {
		const char *s = json_str(json_item(array, i));

		if (s)
			strv_add(&v, s);
	}
	return v;
}

struct json_iter json_iter(const struct json *object)
{
	struct json_iter it = { .object = object };

	if (json_type(object) == JSON_OBJECT)
		it.pos = json_object_get_object(tree(object))->head;
	return it;
}

bool json_next(struct json_iter *it)
{
	const struct lh_entry *e = it->pos;

	if (!e)
		return false;
	it->key = e->k;
	it->value = (struct json *)(uintptr_t)e->v;
	it->pos = e->next;
	return true;
}
