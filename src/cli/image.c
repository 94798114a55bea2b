/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/image.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/client.h"
#include "cli/jobs.h"

char *image_alias_of(const char *reference)
{
	autofree char *copy = xstrdup(reference);
	char *colon;

	copy[strcspn(copy, "@")] = '\0';
	colon = strrchr(copy, ':');
	if (colon && str_eq(colon, ":latest"))
		*colon = '\0';
	return xstrdup(path_base(copy));
}

struct json *image_aliases(const char *alias)
{
	struct json *list = json_new_array(), *one = json_new_object();

	json_set_str(one, "name", alias);
	json_add(list, one);
	return list;
}

bool image_is_reference(const char *image)
{
	/* What skopeo calls transports. "debian:12" is an alias, whatever it looks like. */
	static const char *const transports[] = { "docker:",	     "oci:", "oci-archive:",
						  "docker-archive:", "dir:", "containers-storage:" };

	for (size_t i = 0; i < ARRAY_SIZE(transports); i++)
		if (str_after(image, transports[i]))
			return true;
	return false;
}

int image_absolute(const char *reference, char **ret, struct err *err)
{
	static const char *const transports[] = { "oci:", "oci-archive:", "docker-archive:", "dir:" };
	autofree char *cwd = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
		const char *path = str_after(reference, transports[i]);

		if (!path || *path == '/')
			continue;
		cwd = getcwd(NULL, 0);
		if (!cwd)
			return err_sys(err, "the current folder");
		*ret = xasprintf("%s%s/%s", transports[i], cwd, path);
		return 0;
	}
	*ret = xstrdup(reference);
	return 0;
}

int image_find_reference(struct client *c, const char *reference, char **ret_fingerprint, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	const struct json *images = NULL;
	int r;

	r = client_get(c, "/1.0/images?recursion=1", &root, &images, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < json_len(images); i++) {
		const struct json *image = json_item(images, i);

		if (!str_eq(json_str(json_at(image, "/properties/description")), reference))
			continue;
		*ret_fingerprint = xstrdup_null(json_get_str(image, "fingerprint"));
		return *ret_fingerprint != NULL;
	}
	return 0;
}

int image_pull(struct job *job, const char *reference, const char *alias, bool is_insecure, char **ret_fingerprint,
	       struct err *err)
{
	AUTO(json_free) struct json *root = NULL, *body = json_new_object();
	autofree char *full = image_is_reference(reference) ? xstrdup(reference) : xasprintf("docker://%s", reference);
	autofree char *made = image_alias_of(full);
	struct json *source = json_new_object();
	const char *fingerprint;
	int r;

	json_set_str(source, "type", "image");
	json_set_str(source, "mode", "pull");
	json_set_str(source, "reference", full);
	json_set_bool(source, "insecure", is_insecure);
	json_set(body, "source", source);
	json_set(body, "aliases", image_aliases(alias ? alias : made));
	r = job_operation(job, "POST", "/1.0/images", body, &root, err);
	if (r < 0)
		return err_wrap(err, r, "cannot fetch '%s'", full);
	fingerprint = json_str(json_at(root, "/metadata/metadata/fingerprint"));
	if (!fingerprint)
		return err_set(err, -EPROTO, "the daemon does not say which image '%s' became", full);
	*ret_fingerprint = xstrdup(fingerprint);
	return 0;
}
