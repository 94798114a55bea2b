/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/volume.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/cli.h"
#include "cli/client.h"

char *volume_url(const char *name)
{
	return client_path("storage-pools", "default", "volumes", "custom", name, NULL);
}

int volume_create(struct client *c, const char *name, struct err *err)
{
	AUTO(json_free) struct json *body = json_new_object();

	json_set_str(body, "name", name);
	json_set_str(body, "type", "custom");
	return client_call(c, "POST", VOLUME_URL, body, NULL, err);
}

int volume_delete(struct client *c, const char *name, struct err *err)
{
	autofree char *path = volume_url(name);

	return client_call(c, "DELETE", path, NULL, NULL, err);
}

struct json *volume_device(const char *name, const char *path, bool is_readonly)
{
	struct json *j = json_new_object();

	json_set_str(j, "type", "disk");
	json_set_str(j, "pool", "default");
	json_set_str(j, "source", name);
	json_set_str(j, "path", path);
	if (is_readonly)
		json_set_str(j, "readonly", "true");
	return j;
}

/* Neither a name nor a path can have a colon in it. */
static int add_word(const char *word, struct json *devices, struct err *err)
{
	AUTO(strv_free) char **parts = strv_split(word, ':');
	size_t n = strv_len(parts);

	if (n < 2 || n > 3 || !*parts[0] || parts[1][0] != '/' ||
	    (n == 3 && !str_eq(parts[2], "ro") && !str_eq(parts[2], "rw")))
		return err_set(err, CLI_EUSAGE, "'%s' is not of the form NAME:PATH or NAME:PATH:ro", word);
	if (json_has(devices, parts[0]))
		return err_set(err, CLI_EUSAGE, "the volume '%s' is named twice", parts[0]);
	json_set(devices, parts[0], volume_device(parts[0], parts[1], n == 3 && str_eq(parts[2], "ro")));
	return 0;
}

int volume_words_to_devices(char *const *words, struct json *devices, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && words && words[i]; i++)
		r = add_word(words[i], devices, err);
	return r;
}

int volume_make_missing(struct client *c, const struct json *devices, char ***made, struct err *err)
{
	for (struct json_iter it = json_iter(devices); json_next(&it);) {
		const char *name = json_get_str(it.value, "source");
		autofree char *path = volume_url(name);
		int r = client_call(c, "GET", path, NULL, NULL, err);

		if (r == 0)
			continue;
		if (r == -ENOENT)
			r = volume_create(c, name, err);
		if (r < 0)
			return r;
		strv_add(made, name);
	}
	return 0;
}
