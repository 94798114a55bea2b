/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/origin.h"

#include <ctype.h>
#include <string.h>

#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/config.h"
#include "engine/image-private.h"
#include "engine/instance.h"
#include "engine/volume.h"
#include "image/bundle.h"
#include "runtime/spec-policy.h"

#define MAX_NAME    63
#define MAX_VOLUMES 100

/* ---- the image --------------------------------------------------------------------------------------------------- */

static int find_by_config(struct engine *e, const char *digest, struct image_info **ret)
{
	struct image_info **list = NULL;
	int found = 0;

	if (!digest || !digest_is_hex(digest) || image_list(e, &list, NULL) < 0)
		return 0;
	for (size_t i = 0; list[i]; i++) {
		if (found || !str_eq(list[i]->config_digest, digest))
			continue;
		found = image_find(e, list[i]->fingerprint, ret, NULL) == 0;
	}
	image_list_free(list);
	return found;
}

/* "localhost/x:latest" and "docker.io/library/x:latest" are what others make of "x". */
static int find_by_name(struct engine *e, const char *name, struct image_info **ret)
{
	static const char *const prefixes[] = { "", "localhost/", "docker.io/library/", "docker.io/" };

	if (!name || image_check_alias(name, NULL) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		const char *rest = str_after(name, prefixes[i]);
		autofree char *bare = NULL;

		if (!rest || !*rest)
			continue;
		bare = xstrndup(rest, strlen(rest) - (str_ends(rest, ":latest") ? strlen(":latest") : 0));
		if (image_find(e, rest, ret, NULL) == 0 || (*bare && image_find(e, bare, ret, NULL) == 0))
			return 1;
	}
	return 0;
}

static const char *fit_to_show(const char *s, bool is_good)
{
	return s && is_good ? s : "(not told)";
}

int origin_find_image(struct engine *e, const struct bundle *b, const char *asked, struct image_info **ret,
		      struct err *err)
{
	const char *fingerprint = json_str(json_at(b->manifest, "/instance/image"));
	const char *id = json_get_str(b->config, "rootfsImageID"), *name = json_get_str(b->config, "rootfsImageName");
	bool has_id = id && digest_is_hex(id), has_name = name && image_check_alias(name, NULL) == 0;

	if (asked && *asked)
		return image_find(e, asked, ret, err);
	if (fingerprint && digest_is_hex(fingerprint) && image_find(e, fingerprint, ret, NULL) == 0)
		return 0;
	if (find_by_config(e, id, ret) || find_by_name(e, name, ret))
		return 0;
	if (fingerprint && digest_is_hex(fingerprint))
		return err_set(
			err, -ENOENT,
			"it was made from image %.12s (%.200s), which is not here: import or pull that image first",
			fingerprint, fit_to_show(name, has_name));
	if (has_id || has_name)
		return err_set(
			err, -ENOENT,
			"it was made from image '%.200s' (id %.12s), which is not here: import or pull that image "
			"first",
			fit_to_show(name, has_name), fit_to_show(id, has_id));
	return err_set(err, -EINVAL, "it does not say which image it was made from: name one that is here");
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* The closest that our rules for names allow, or NULL. */
static char *mend_name(const char *wanted)
{
	autofree char *s = NULL;
	size_t n;

	if (!wanted)
		return NULL;
	wanted += strspn(wanted, "-_.");
	s = xstrndup(wanted, MAX_NAME);
	for (char *c = s; *c; c++)
		if (!isalnum((unsigned char)*c))
			*c = '-';
	for (n = strlen(s); n > 0 && s[n - 1] == '-'; n--)
		s[n - 1] = '\0';
	return instance_check_name(s, NULL) == 0 ? TAKE_PTR(s) : NULL;
}

char *origin_name(const struct bundle *b)
{
	const char *ours = json_str(json_at(b->manifest, "/instance/name"));

	return mend_name(ours ? ours : json_get_str(b->config, "name"));
}

/* ---- configuration ----------------------------------------------------------------------------------------------- */

static int set_checked(char ***config, const char *key, const char *value, struct err *err)
{
	int r = config_check(key, value, err);

	if (r == 0)
		strv_env_set(config, key, value);
	return r;
}

static int config_of_manifest(const struct json *manifest, char ***ret, struct err *err)
{
	AUTO(strv_free) char **all = json_to_strv(json_at(manifest, "/instance/config"));
	int r = 0;

	for (size_t i = 0; r == 0 && all && all[i]; i++) {
		const char *eq = strchr(all[i], '=');
		autofree char *key = eq ? xstrndup(all[i], (size_t)(eq - all[i])) : NULL;

		if (!key)
			return err_set(err, -EINVAL, "its configuration has a line without '='");
		if (!str_after(key, "volatile."))
			r = set_checked(ret, key, eq + 1, err);
	}
	return r;
}

/* What an engine adds by itself stays away; the rest is the process's environment when it is booted one day. */
static int environment(char *const *env, char ***ret, struct err *err)
{
	static const char *const own[] = { "HOME", "HOSTNAME", "PATH", "TERM", "container" };
	int r = 0;

	for (size_t i = 0; r == 0 && env && env[i]; i++) {
		const char *eq = strchr(env[i], '=');
		autofree char *name = eq ? xstrndup(env[i], (size_t)(eq - env[i])) : NULL, *key = NULL;
		bool is_own = !name || !*name;

		for (size_t k = 0; !is_own && k < ARRAY_SIZE(own); k++)
			is_own = str_eq(own[k], name);
		if (is_own)
			continue;
		key = xasprintf("environment.%s", name);
		r = set_checked(ret, key, eq + 1, err);
	}
	return r;
}

static int config_of_spec(const struct spec_taken *spec, char ***ret, struct err *err)
{
	autofree char *words = strv_quote(spec->args), *user = xasprintf("%u:%u", spec->uid, spec->gid);
	int r = set_checked(ret, "oci.entrypoint", words, err);

	if (r == 0)
		r = set_checked(ret, "oci.cwd", spec->cwd, err);
	if (r == 0 && (spec->uid || spec->gid))
		r = set_checked(ret, "oci.user", user, err);
	if (r == 0 && spec->has_tty)
		r = set_checked(ret, "console.tty", "true", err);
	return r == 0 ? environment(spec->env, ret, err) : r;
}

int origin_config(const struct bundle *b, const struct spec_taken *spec, char ***ret, struct err *err)
{
	AUTO(strv_free) char **config = NULL;
	int r = 0;

	if (b->manifest)
		r = config_of_manifest(b->manifest, &config, err);
	else if (spec)
		r = config_of_spec(spec, &config, err);
	if (r < 0)
		return err_wrap(err, r, "its configuration");
	strv_sort(config);
	*ret = TAKE_PTR(config);
	return 0;
}

/* ---- volumes ----------------------------------------------------------------------------------------------------- */

void origin_volumes_done(struct origin_volumes *v)
{
	for (size_t i = 0; i < v->n; i++) {
		free(v->v[i].name);
		free(v->v[i].member);
		free(v->v[i].path);
	}
	free(v->v);
	strv_free(v->paths);
	*v = (struct origin_volumes){ 0 };
}

static bool is_readonly(const struct json *options)
{
	for (size_t i = 0; i < json_len(options); i++)
		if (str_eq(json_str(json_item(options, i)), "ro"))
			return true;
	return false;
}

static int add_volume(const struct bundle *b, const struct json *o, struct origin_volumes *ret, struct err *err)
{
	const char *member = json_get_str(o, "volumeName"), *dest = json_get_str(o, "dest");
	autofree char *name = mend_name(member), *path = NULL;
	int r;

	if (!name || !dest)
		return err_set(err, -EINVAL, "one of its volumes has no name or no place");
	r = volume_check_path(dest, &path, err);
	if (r < 0)
		return err_wrap(err, r, "volume '%s'", name);
	for (size_t i = 0; i < ret->n; i++)
		if (str_eq(ret->v[i].name, name) || str_eq(ret->v[i].path, path))
			return err_set(err, -EINVAL, "volume '%s' at %.200s is there twice", name, path);
	ret->v = xreallocarray(ret->v, ret->n + 1, sizeof(*ret->v));
	strv_add(&ret->paths, path);
	ret->v[ret->n++] = (struct origin_volume){ .name = TAKE_PTR(name),
						   .member = xstrdup(member),
						   .path = TAKE_PTR(path),
						   .is_readonly = is_readonly(json_get(o, "options")),
						   .has_content = strv_has(b->volumes, member) };
	return 0;
}

static bool is_placed(const struct origin_volumes *v, const char *member)
{
	for (size_t i = 0; i < v->n; i++)
		if (str_eq(v->v[i].member, member))
			return true;
	return false;
}

int origin_volumes(const struct bundle *b, struct origin_volumes *ret, struct err *err)
{
	AUTO(origin_volumes_done) struct origin_volumes v = { 0 };
	const struct json *named = json_get(b->config, "namedVolumes");
	int r = 0;

	if (json_len(named) > MAX_VOLUMES)
		return err_set(err, -E2BIG, "it has %zu volumes", json_len(named));
	for (size_t i = 0; r == 0 && i < json_len(named); i++)
		r = add_volume(b, json_item(named, i), &v, err);
	for (size_t i = 0; r == 0 && b->volumes && b->volumes[i]; i++)
		if (!is_placed(&v, b->volumes[i]))
			r = err_set(err, -EINVAL, "it holds a volume '%.80s' and does not say where it belongs",
				    b->volumes[i]);
	if (r < 0)
		return r;
	*ret = v;
	v = (struct origin_volumes){ 0 };
	return 0;
}
