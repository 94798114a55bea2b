/* SPDX-License-Identifier: Apache-2.0 */
/* decode.c - vectors and maps of strings */
#include "api/decode.h"

#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "base/strv.h"

int decode_strv(const struct json *j, const char *name, char ***ret, struct err *err)
{
	AUTO(strv_free) char **v = NULL;

	if (j && json_type(j) != JSON_NULL && json_type(j) != JSON_ARRAY)
		return err_set(err, -EINVAL, "%s must be a list of strings", name);
	for (size_t i = 0; i < json_len(j); i++) {
		const char *s = json_str(json_item(j, i));

		if (!s)
			return err_set(err, -EINVAL, "%s must be a list of strings", name);
		strv_add(&v, s);
	}
	*ret = TAKE_PTR(v);
	return 0;
}

int decode_map(const struct json *j, const char *name, char ***ret, struct err *err)
{
	AUTO(strv_free) char **v = NULL;

	if (j && json_type(j) != JSON_NULL && json_type(j) != JSON_OBJECT)
		return err_set(err, -EINVAL, "%s must be an object of strings", name);
	for (struct json_iter it = json_iter(j); json_next(&it);) {
		const char *s = json_str(it.value);

		if (!s)
			return err_set(err, -EINVAL, "%s.%s must be a string", name, it.key);
		if (!*it.key || strchr(it.key, '='))
			return err_set(err, -EINVAL, "%s: a key must be neither empty nor hold '='", name);
		strv_addf(&v, "%s=%s", it.key, s);
	}
	if (v)
		strv_sort(v);
	*ret = TAKE_PTR(v);
	return 0;
}

int decode_profiles(const struct json *j, struct err *err)
{
	AUTO(strv_free) char **names = NULL;
	int r;

	r = decode_strv(j, "profiles", &names, err);
	if (r < 0)
		return r;
	for (char **p = names; p && *p; p++)
		if (!str_eq(*p, "default"))
			return err_set(err, -EINVAL, "there is no profile '%s'", *p);
	return 0;
}
