/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/instance.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/client.h"
#include "cli/text.h"

const char *instance_name(const struct json *instance)
{
	const char *name = json_get_str(instance, "name");

	return name ? name : "?";
}

const char *instance_status(const struct json *instance)
{
	const char *status = json_get_str(instance, "status");

	return status ? status : "?";
}

const char *instance_word(const struct json *instance)
{
	static const struct {
		const char *status, *word;
	} words[] = { { "Running", "running" },	  { "Stopped", "stopped" },   { "Frozen", "paused" },
		      { "Starting", "starting" }, { "Stopping", "stopping" }, { "Error", "error" } };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (instance_is(instance, words[i].status))
			return words[i].word;
	return instance_status(instance);
}

bool instance_is(const struct json *instance, const char *status)
{
	return str_eq(instance_status(instance), status);
}

char *instance_saved_size(const struct json *instance)
{
	return text_bytes(json_get_int(json_at(instance, "/stasis/state"), "bytes", -1));
}

int instance_all(struct cli *cli, int recursion, struct json **ret_root, const struct json **ret_array, struct err *err)
{
	autofree char *path = xasprintf("/1.0/instances?recursion=%d", recursion);
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r < 0)
		return r;
	return client_get(client, path, ret_root, ret_array, err);
}

int instance_one(struct client *c, const char *name, struct json **ret_root, const struct json **ret_instance,
		 struct err *err)
{
	autofree char *path = client_path("instances", name, NULL);

	return client_get(c, path, ret_root, ret_instance, err);
}
