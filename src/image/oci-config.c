/* SPDX-License-Identifier: Apache-2.0 */
/* oci-config.c - what an image says about itself and the process to start */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "image/oci-private.h"

void oci_config_free(struct oci_config *c)
{
	if (!c)
		return;
	free(c->architecture);
	free(c->os);
	strv_free(c->entrypoint);
	strv_free(c->cmd);
	strv_free(c->env);
	free(c->cwd);
	free(c->user);
	free(c->stop_signal);
	strv_free(c->diff_ids);
	free(c);
}

int oci_strings(const struct json *array, const char *what, char ***ret, struct err *err)
{
	AUTO(strv_free) char **v = NULL;

	if (array && json_type(array) != JSON_NULL && json_type(array) != JSON_ARRAY)
		return err_set(err, -EINVAL, "%s is not a list", what);
	for (size_t i = 0; i < json_len(array); i++) {
		const char *s = json_str(json_item(array, i));

		if (!s)
			return err_set(err, -EINVAL, "%s has something in it that is not a string", what);
		strv_add(&v, s);
	}
	*ret = TAKE_PTR(v);
	return 0;
}

/* An empty string means the same as none. */
static char *string_of(const struct json *object, const char *key)
{
	const char *s = json_get_str(object, key);

	return s && *s ? xstrdup(s) : NULL;
}

/* A folder that is not absolute counts from the root. */
static char *folder_of(const struct json *object, const char *key)
{
	autofree char *s = string_of(object, key);

	return !s || *s == '/' ? TAKE_PTR(s) : xasprintf("/%s", s);
}

static int parse_process(struct oci_config *c, const struct json *process, struct err *err)
{
	AUTO(strv_free) char **env = NULL;
	int r;

	r = oci_strings(json_get(process, "Entrypoint"), "Entrypoint", &c->entrypoint, err);
	if (r == 0)
		r = oci_strings(json_get(process, "Cmd"), "Cmd", &c->cmd, err);
	if (r == 0)
		r = oci_strings(json_get(process, "Env"), "Env", &env, err);
	if (r < 0)
		return r;
	for (size_t i = 0; env && env[i]; i++)
		if (strchr(env[i], '=') > env[i])
			strv_add(&c->env, env[i]);
	c->cwd = folder_of(process, "WorkingDir");
	c->user = string_of(process, "User");
	c->stop_signal = string_of(process, "StopSignal");
	return 0;
}

static int parse_diff_ids(struct oci_config *c, const struct json *root, struct err *err)
{
	AUTO(strv_free) char **ids = NULL;
	char hex[DIGEST_HEX_SIZE];
	int r;

	r = oci_strings(json_at(root, "/rootfs/diff_ids"), "rootfs.diff_ids", &ids, err);
	for (size_t i = 0; r == 0 && ids && ids[i]; i++) {
		r = oci_parse_digest(ids[i], hex, "a diff id", err);
		if (r == 0)
			strv_add(&c->diff_ids, hex);
	}
	return r;
}

int oci_config_parse(const char *text, struct oci_config **ret, struct err *err)
{
	AUTO(oci_config_free) struct oci_config *c = xcalloc(1, sizeof(*c));
	AUTO(json_free) struct json *root = NULL;
	const char *created;
	int r;

	r = json_parse(text, strlen(text), &root, err);
	if (r < 0)
		return r;
	if (json_type(root) != JSON_OBJECT)
		return err_set(err, -EINVAL, "not an image configuration");
	c->architecture = string_of(root, "architecture");
	c->os = string_of(root, "os");
	created = json_get_str(root, "created");
	if (!created || clock_parse_rfc3339(created, &c->created_us) < 0)
		c->created_us = 0;
	r = parse_process(c, json_get(root, "config"), err);
	if (r == 0)
		r = parse_diff_ids(c, root, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}
