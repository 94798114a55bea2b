/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/facts.h"
#include "cli/instance.h"
#include "cli/jobs.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/volume.h"

/* ---- create, delete ---------------------------------------------------------------------------------------------- */

static int create_one(struct job *job, void *arg, struct err *err)
{
	int r = volume_create(job_client(job), job_name(job), err);

	if (r < 0)
		return r;
	job_say(job, "%s: created. 'stasis volume attach %s INSTANCE PATH' mounts it.", job_name(job), job_name(job));
	return 0;
}

static int run_create(struct cli *cli, const struct args *args, struct err *err)
{
	return jobs_run(cli, args->operands, create_one, NULL, err);
}

static const struct command cmd_create_volume = {
	.name = "create",
	.operands = "VOLUME…",
	.summary = "make empty volumes",
	.min = 1,
	.max = -1,
	.run = run_create,
};

static int delete_one(struct job *job, void *arg, struct err *err)
{
	int r = volume_delete(job_client(job), job_name(job), err);

	if (r < 0)
		return r;
	job_say(job, "%s: deleted.", job_name(job));
	return 0;
}

static int run_delete(struct cli *cli, const struct args *args, struct err *err)
{
	return jobs_run(cli, args->operands, delete_one, NULL, err);
}

static const struct command cmd_delete_volume = {
	.name = "delete",
	.operands = "VOLUME…",
	.summary = "delete volumes that are attached to no instance, with what is in them",
	.min = 1,
	.max = -1,
	.complete = COMPLETE_VOLUME,
	.run = run_delete,
};

/* ---- list, info -------------------------------------------------------------------------------------------------- */

static void add_volume(struct table *table, const struct json *volume, bool is_raw)
{
	AUTO(strv_free) char **attached = json_to_strv(json_at(volume, "/stasis/attached"));
	autofree char *users = attached ? strv_join(attached, ", ") : NULL;
	int64_t bytes = json_int(json_at(volume, "/stasis/usage"), -1);
	autofree char *usage = text_bytes(bytes);
	autofree char *created = text_time(json_get_str(volume, "created_at"));

	table_add(table, json_get_str(volume, "name"));
	if (is_raw)
		table_addf(table, "%lld", (long long)bytes);
	else
		table_add(table, usage);
	table_add(table, users);
	table_add(table, is_raw ? json_get_str(volume, "created_at") : created);
}

static int run_list(struct cli *cli, const struct args *args, struct err *err)
{
	static const struct table_column columns[] = {
		{ "NAME", false }, { "USAGE", true }, { "ATTACHED", false }, { "CREATED", false }, { NULL, false },
	};
	AUTO(table_free) struct table *table = table_new(columns);
	AUTO(json_free) struct json *root = NULL;
	const struct json *volumes = NULL;
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r == 0)
		r = client_get(client, VOLUME_URL "?recursion=2", &root, &volumes, err);
	if (r < 0)
		return r;
	if (cli->format == TABLE_JSON) {
		output_json(volumes);
		return CLI_OK;
	}
	for (size_t i = 0; i < json_len(volumes); i++)
		add_volume(table, json_item(volumes, i), cli->format == TABLE_CSV);
	if (table_rows(table) == 0 && cli->format == TABLE_PLAIN && cli->has_terminal_out)
		(void)printf("There is no volume yet. 'stasis volume create NAME' makes one.\n");
	else
		table_print(table, cli->format);
	return CLI_OK;
}

static const struct command cmd_list_volumes = {
	.name = "list",
	.summary = "show the volumes",
	.run = run_list,
};

static void print_volume(const struct json *volume)
{
	AUTO(facts_free) struct facts *f = facts_new();
	autofree char *usage = text_bytes(json_int(json_at(volume, "/stasis/usage"), -1));
	autofree char *created = text_time(json_get_str(volume, "created_at"));
	const struct json *attached = json_at(volume, "/stasis/attached");

	facts_add(f, "Name", json_get_str(volume, "name"));
	facts_add(f, "Usage", usage);
	facts_add(f, "Created", created);
	for (size_t i = 0; i < json_len(attached); i++) {
		const char *user = json_str(json_item(attached, i)), *colon = user ? strchr(user, ':') : NULL;

		if (colon)
			facts_addf(f, "Attached", "%.*s at %s", (int)(colon - user), user, colon + 1);
	}
	facts_print(f);
}

static int run_info(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	autofree char *path = volume_url(args->operands[0]);
	const struct json *volume = NULL;
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r == 0)
		r = client_get(client, path, &root, &volume, err);
	if (r < 0)
		return r;
	if (cli->format == TABLE_JSON)
		output_json(volume);
	else
		print_volume(volume);
	return CLI_OK;
}

static const struct command cmd_info_volume = {
	.name = "info",
	.operands = "VOLUME",
	.summary = "tell everything about a volume",
	.min = 1,
	.max = 1,
	.complete = COMPLETE_VOLUME,
	.run = run_info,
};

/* ---- attach, detach ---------------------------------------------------------------------------------------------- */

/* The name of the instance's device that is the volume, or NULL. */
static const char *find_device(const struct json *devices, const char *volume, const struct json **ret_device)
{
	for (struct json_iter it = json_iter(devices); json_next(&it);) {
		if (!str_eq(json_get_str(it.value, "source"), volume))
			continue;
		*ret_device = it.value;
		return it.key;
	}
	return NULL;
}

/* A PATCH with one device; takes over @device. */
static int patch_device(struct client *c, const char *instance, const char *name, struct json *device, struct err *err)
{
	AUTO(json_free) struct json *body = json_new_object();
	autofree char *path = client_path("instances", instance, NULL);
	struct json *devices = json_new_object();

	json_set(body, "devices", devices);
	json_set(devices, name, device);
	return client_call(c, "PATCH", path, body, NULL, err);
}

static int run_attach(struct cli *cli, const struct args *args, struct err *err)
{
	const char *volume = args->operands[0], *name = args->operands[1], *path = args->operands[2];
	AUTO(json_free) struct json *root = NULL;
	const struct json *instance = NULL, *device = NULL;
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r == 0)
		r = instance_one(client, name, &root, &instance, err);
	if (r < 0)
		return r;
	if (find_device(json_get(instance, "devices"), volume, &device))
		return err_set(err, -EEXIST, "volume '%s' is attached to '%s' at %s already", volume, name,
			       output_word(device, "path"));
	if (json_has(json_get(instance, "devices"), volume))
		return err_set(err, -EEXIST, "'%s' has a device '%s' already, with another volume", name, volume);
	r = patch_device(client, name, volume, volume_device(volume, path, args_has(args, "readonly")), err);
	if (r < 0)
		return r;
	cli_say(cli, "%s: attached to %s at %s.\n", volume, name, path);
	return CLI_OK;
}

static const struct option_row attach_options[] = {
	{ "readonly", 'r', NULL, "the instance cannot write to it" },
	{ NULL },
};

static const struct command cmd_attach = {
	.name = "attach",
	.operands = "VOLUME INSTANCE PATH",
	.summary = "mount a volume in an instance from its next boot on",
	.help = "The instance must be stopped and have no saved state. A volume that is used for the first time gets "
		"a\n"
		"copy of what the image has at that path. Several instances may have the same volume.",
	.options = attach_options,
	.min = 3,
	.max = 3,
	.complete = COMPLETE_VOLUME,
	.run = run_attach,
};

static int run_detach(struct cli *cli, const struct args *args, struct err *err)
{
	const char *volume = args->operands[0], *name = args->operands[1], *found;
	AUTO(json_free) struct json *root = NULL;
	const struct json *instance = NULL, *device = NULL;
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r == 0)
		r = instance_one(client, name, &root, &instance, err);
	if (r < 0)
		return r;
	found = find_device(json_get(instance, "devices"), volume, &device);
	if (!found)
		return err_set(err, -ENOENT, "volume '%s' is not attached to '%s'", volume, name);
	r = patch_device(client, name, found, json_new_null(), err);
	if (r < 0)
		return r;
	cli_say(cli, "%s: detached from %s.\n", volume, name);
	return CLI_OK;
}

static const struct command cmd_detach = {
	.name = "detach",
	.operands = "VOLUME INSTANCE",
	.summary = "take a volume from a stopped instance; what is in it stays",
	.min = 2,
	.max = 2,
	.complete = COMPLETE_VOLUME,
	.run = run_detach,
};

static const struct command *const subs[] = {
	&cmd_create_volume, &cmd_list_volumes, &cmd_info_volume, &cmd_delete_volume, &cmd_attach, &cmd_detach, NULL
};

const struct command cmd_volume = {
	.name = "volume",
	.operands = "COMMAND …",
	.summary = "folders that outlive instances",
	.group = GROUP_OTHER,
	.subs = subs,
	.max = -1,
	.free_after = 1,
	.complete = COMPLETE_COMMAND,
};
