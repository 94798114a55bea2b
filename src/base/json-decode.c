/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json-decode.c - one table decodes one request
 *
 * Everything is checked before anything is stored: a refused request leaves the output as it was.
 */
#include <string.h>

#include "base/json.h"
#include "base/str.h"

static const struct json_field *find(const struct json_field *fields, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

static int unknown(const char *name, const struct json_field *fields, size_t n, struct err *err)
{
	AUTO(strbuf_done) struct strbuf known = STRBUF_INIT;

	for (size_t i = 0; i < n; i++)
		strbuf_addf(&known, "%s%s", i ? ", " : "", fields[i].name);
	return err_set(err, -EINVAL, "unknown member '%.100s' (known: %s)", name, known.s);
}

static int check(const struct json_field *field, const struct json *value, struct err *err)
{
	bool fits = true;
	const char *what = "";

	switch (field->kind) {
	case JSON_F_STR:
		fits = json_type(value) == JSON_STRING;
		what = "a string";
		break;
	case JSON_F_BOOL:
		fits = json_type(value) == JSON_BOOL;
		what = "true or false";
		break;
	case JSON_F_INT:
		fits = json_is_int64(value);
		what = "a whole number (of at most 64 bits)";
		break;
	case JSON_F_JSON:
	case JSON_F_IGNORE:
		break;
	}
	return fits ? 0 : err_set(err, -EINVAL, "%s must be %s", field->name, what);
}

static void store(const struct json_field *field, struct json *value, void *out)
{
	char *at = (char *)out + field->offset;

	switch (field->kind) {
	case JSON_F_STR:
		*(const char **)(void *)at = json_str(value);
		break;
	case JSON_F_BOOL:
		*(bool *)at = json_bool(value, false);
		break;
	case JSON_F_INT:
		*(int64_t *)(void *)at = json_int(value, 0);
		break;
	case JSON_F_JSON:
		*(struct json **)(void *)at = value;
		break;
	case JSON_F_IGNORE:
		break;
	}
}

int json_decode(const struct json *object, const struct json_field *fields, size_t n_fields, void *out, struct err *err)
{
	bool is_open = find(fields, n_fields, "*");
	const struct json_field *field;
	int r;

	if (json_type(object) != JSON_OBJECT)
		return err_set(err, -EINVAL, "a JSON object is expected");
	for (struct json_iter it = json_iter(object); json_next(&it);) {
		field = find(fields, n_fields, it.key);
		if (!field && !is_open)
			return unknown(it.key, fields, n_fields, err);
		r = field && it.value ? check(field, it.value, err) : 0;
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < n_fields; i++)
		if (fields[i].is_required && !json_get(object, fields[i].name))
			return err_set(err, -EINVAL, "'%s' is missing", fields[i].name);
	for (size_t i = 0; i < n_fields; i++) {
		struct json *value = json_get(object, fields[i].name);

		if (value)
			store(&fields[i], value, out);
	}
	return 0;
}
