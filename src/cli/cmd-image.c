/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/facts.h"
#include "cli/image.h"
#include "cli/jobs.h"
#include "cli/output.h"
#include "cli/text.h"

/* "web, old"; a new string. */
static char *aliases_of(const struct json *image)
{
	AUTO(strv_free) char **names = NULL;
	const struct json *aliases = json_get(image, "aliases");

	for (size_t i = 0; i < json_len(aliases); i++)
		strv_add(&names, output_word(json_item(aliases, i), "name"));
	return names ? strv_join(names, ", ") : xstrdup("");
}

/* ---- list, info -------------------------------------------------------------------------------------------------- */

static void add_image(struct table *table, const struct json *image, bool is_raw)
{
	autofree char *aliases = aliases_of(image);
	autofree char *size = text_bytes(json_get_int(image, "size", -1));
	autofree char *time = text_time(json_get_str(image, "uploaded_at"));
	const char *fingerprint = output_word(image, "fingerprint");

	table_add(table, aliases);
	table_addf(table, "%.*s", is_raw ? 64 : 12, fingerprint);
	table_add(table, json_str(json_at(image, "/properties/description")));
	if (is_raw)
		table_addf(table, "%lld", (long long)json_get_int(image, "size", -1));
	else
		table_add(table, size);
	table_addf(table, "%lld", (long long)json_int(json_at(image, "/stasis/instances"), 0));
	table_add(table, is_raw ? json_get_str(image, "uploaded_at") : time);
}

static int run_list(struct cli *cli, const struct args *args, struct err *err)
{
	static const struct table_column columns[] = {
		{ "ALIAS", false },    { "FINGERPRINT", false }, { "DESCRIPTION", false }, { "SIZE", true },
		{ "INSTANCES", true }, { "ADDED", false },	 { NULL, false },
	};
	AUTO(table_free) struct table *table = table_new(columns);
	AUTO(json_free) struct json *root = NULL;
	const struct json *images = NULL;
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r == 0)
		r = client_get(client, "/1.0/images?recursion=1", &root, &images, err);
	if (r < 0)
		return r;
	if (cli->format == TABLE_JSON) {
		output_json(images);
		return CLI_OK;
	}
	for (size_t i = 0; i < json_len(images); i++)
		add_image(table, json_item(images, i), cli->format == TABLE_CSV);
	if (table_rows(table) == 0 && cli->format == TABLE_PLAIN && cli->has_terminal_out)
		(void)printf(
			"There is no image yet. 'stasis image pull docker://debian:12' fetches one; 'stasis launch "
			"NAME' makes the built-in one.\n");
	else
		table_print(table, cli->format);
	return CLI_OK;
}

static const struct command cmd_list_images = {
	.name = "list",
	.summary = "show the images",
	.run = run_list,
};

/* A vector of words as one would type them; a new string or NULL. */
static char *words_of(const struct json *array)
{
	AUTO(strv_free) char **words = json_to_strv(array);

	return words && words[0] ? strv_quote(words) : NULL;
}

static void print_image(const struct json *image)
{
	AUTO(facts_free) struct facts *f = facts_new();
	autofree char *aliases = aliases_of(image);
	autofree char *size = text_bytes(json_get_int(image, "size", -1));
	autofree char *created = text_time(json_get_str(image, "created_at"));
	autofree char *added = text_time(json_get_str(image, "uploaded_at"));
	autofree char *entrypoint = words_of(json_at(image, "/stasis/entrypoint"));
	autofree char *cmd = words_of(json_at(image, "/stasis/cmd"));
	const struct json *env = json_at(image, "/stasis/env");

	facts_add(f, "Aliases", aliases);
	facts_add(f, "Fingerprint", json_get_str(image, "fingerprint"));
	facts_add(f, "Description", json_str(json_at(image, "/properties/description")));
	facts_add(f, "Architecture", json_get_str(image, "architecture"));
	facts_add(f, "Size", size);
	facts_add(f, "Made", created);
	facts_add(f, "Added", added);
	facts_add(f, "Entrypoint", entrypoint);
	facts_add(f, "Command", cmd);
	facts_add(f, "Folder", json_str(json_at(image, "/stasis/cwd")));
	facts_add(f, "User", json_str(json_at(image, "/stasis/user")));
	facts_add(f, "Stop signal", json_str(json_at(image, "/stasis/stop_signal")));
	for (size_t i = 0; i < json_len(env); i++)
		facts_add(f, "Environment", json_str(json_item(env, i)));
	facts_addf(f, "Instances", "%lld", (long long)json_int(json_at(image, "/stasis/instances"), 0));
	facts_print(f);
}

static int run_info(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	autofree char *path = client_path("images", args->operands[0], NULL);
	const struct json *image = NULL;
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r == 0)
		r = client_get(client, path, &root, &image, err);
	if (r < 0)
		return r;
	if (cli->format == TABLE_JSON)
		output_json(image);
	else
		print_image(image);
	return CLI_OK;
}

static const struct command cmd_info_image = {
	.name = "info",
	.operands = "IMAGE",
	.summary = "tell everything about an image",
	.min = 1,
	.max = 1,
	.complete = COMPLETE_IMAGE,
	.run = run_info,
};

/* ---- import, pull ------------------------------------------------------------------------------------------------ */

/* The alias as a second word, or as an option. */
static const char *alias_of(const struct args *args)
{
	return args->n_operands > 1 ? args->operands[1] : args_get(args, "alias");
}

static int import_stdin(struct job *job, const char *alias, struct json **ret, struct err *err)
{
	AUTO(strv_free) char **headers = NULL;

	if (alias && strpbrk(alias, "\r\n"))
		return err_set(err, -EINVAL, "an alias is one line");
	if (alias)
		strv_addf(&headers, "X-Stasis-alias: %s", alias);
	return job_upload(job, "/1.0/images", STDIN_FILENO, headers, ret, err);
}

/* The daemon reads the file itself: nothing is copied, and a folder works too. */
static int import_path(struct job *job, const char *path, const char *alias, struct json **ret, struct err *err)
{
	AUTO(json_free) struct json *body = json_new_object();
	autofree char *absolute = realpath(path, NULL);
	struct json *source = json_new_object();

	json_set(body, "source", source);
	if (!absolute)
		return err_sys(err, "'%s'", path);
	json_set_str(source, "type", "file");
	json_set_str(source, "path", absolute);
	if (alias)
		json_set(body, "aliases", image_aliases(alias));
	return client_call(job_client(job), "POST", "/1.0/images", body, ret, err);
}

static int import_one(struct job *job, void *arg, struct err *err)
{
	const struct args *args = arg;
	AUTO(json_free) struct json *answer = NULL, *root = NULL;
	const char *path = args->operands[0], *alias = alias_of(args), *fingerprint;
	int r;

	r = str_eq(path, "-") ? import_stdin(job, alias, &answer, err) : import_path(job, path, alias, &answer, err);
	if (r == 0)
		r = job_wait(job, answer, &root, err);
	if (r < 0)
		return r;
	fingerprint = json_str(json_at(root, "/metadata/metadata/fingerprint"));
	job_detail(job, "fingerprint", fingerprint);
	if (alias)
		job_say(job, "%s: imported as '%s'. 'stasis launch %s NAME' runs it.", path, alias, alias);
	else
		job_say(job, "%s: imported. 'stasis launch %.12s NAME' runs it.", path,
			fingerprint ? fingerprint : "IMAGE");
	return 0;
}

static int run_import(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(strv_free) char **names = strv_new(args->operands[0], NULL);

	if (str_eq(args->operands[0], "-") && isatty(STDIN_FILENO))
		return err_set(err, CLI_EUSAGE, "standard input is a terminal; an archive is expected there");
	return jobs_run(cli, names, import_one, (void *)args, err);
}

static const struct option_row import_options[] = {
	{ "alias", 'a', "ALIAS", "the name it gets here" },
	{ NULL },
};

static const struct command cmd_import = {
	.name = "import",
	.operands = "PATH|- [ALIAS]",
	.summary = "make an image from a root file system's tar, an OCI layout or a docker archive",
	.help = "What it is, is found out by looking; compressed archives are fine. '-' reads standard input.",
	.options = import_options,
	.min = 1,
	.max = 2,
	.complete = COMPLETE_FILE,
	.run = run_import,
};

static int pull_one(struct job *job, void *arg, struct err *err)
{
	const struct args *args = arg;
	autofree char *fingerprint = NULL, *took = NULL, *alias = NULL;
	uint64_t began = clock_mono_us();
	int r;

	r = image_pull(job, args->operands[0], alias_of(args), args_has(args, "insecure"), &fingerprint, err);
	if (r < 0)
		return r;
	took = text_seconds(clock_mono_us() - began);
	alias = alias_of(args) ? xstrdup(alias_of(args)) : image_alias_of(args->operands[0]);
	job_detail(job, "fingerprint", fingerprint);
	job_say(job, "%s: fetched as '%s' (%s). 'stasis launch %s NAME' runs it.", args->operands[0], alias, took,
		alias);
	return 0;
}

static int run_pull(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(strv_free) char **names = strv_new(args->operands[0], NULL);

	return jobs_run(cli, names, pull_one, (void *)args, err);
}

static const struct option_row pull_options[] = {
	{ "alias", 'a', "ALIAS", "the name it gets here (else made from the reference)" },
	{ "insecure", 0, NULL, "allow plain HTTP and unknown certificates" },
	{ NULL },
};

static const struct command cmd_pull = {
	.name = "pull",
	.operands = "REFERENCE [ALIAS]",
	.summary = "fetch an image from a registry",
	.help = "A reference is one of skopeo's: docker://debian:12, oci:/path:tag, docker-archive:/path. Without a\n"
		"transport docker:// is meant.",
	.options = pull_options,
	.min = 1,
	.max = 2,
	.run = run_pull,
};

/* ---- delete, alias ----------------------------------------------------------------------------------------------- */

static int delete_one(struct job *job, void *arg, struct err *err)
{
	autofree char *path = client_path("images", job_name(job), NULL);
	int r;

	r = job_operation(job, "DELETE", path, NULL, NULL, err);
	if (r < 0)
		return r;
	job_say(job, "%s: deleted.", job_name(job));
	return 0;
}

static int run_delete(struct cli *cli, const struct args *args, struct err *err)
{
	return jobs_run(cli, args->operands, delete_one, NULL, err);
}

static const struct command cmd_delete_image = {
	.name = "delete",
	.operands = "IMAGE…",
	.summary = "delete images that no instance needs",
	.min = 1,
	.max = -1,
	.complete = COMPLETE_IMAGE,
	.run = run_delete,
};

static int run_alias_add(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(json_free) struct json *body = json_new_object();
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r < 0)
		return r;
	json_set_str(body, "name", args->operands[0]);
	json_set_str(body, "target", args->operands[1]);
	return client_call(client, "POST", "/1.0/images/aliases", body, NULL, err);
}

static const struct command cmd_alias_add = {
	.name = "add",
	.operands = "ALIAS IMAGE",
	.summary = "give an image one more name",
	.min = 2,
	.max = 2,
	.run = run_alias_add,
};

static int run_alias_delete(struct cli *cli, const struct args *args, struct err *err)
{
	autofree char *path = client_path("images", "aliases", args->operands[0], NULL);
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	return r < 0 ? r : client_call(client, "DELETE", path, NULL, NULL, err);
}

static const struct command cmd_alias_delete = {
	.name = "delete",
	.operands = "ALIAS",
	.summary = "take a name away; the image stays",
	.min = 1,
	.max = 1,
	.complete = COMPLETE_ALIAS,
	.run = run_alias_delete,
};

static const struct command *const alias_subs[] = { &cmd_alias_add, &cmd_alias_delete, NULL };

static const struct command cmd_alias = {
	.name = "alias",
	.operands = "COMMAND …",
	.summary = "names for images",
	.subs = alias_subs,
	.max = -1,
	.free_after = 1,
	.complete = COMPLETE_COMMAND,
};

static const struct command *const subs[] = { &cmd_list_images,	 &cmd_info_image, &cmd_pull, &cmd_import,
					      &cmd_delete_image, &cmd_alias,	  NULL };

const struct command cmd_image = {
	.name = "image",
	.operands = "COMMAND …",
	.summary = "what instances are made from",
	.group = GROUP_OTHER,
	.subs = subs,
	.max = -1,
	.free_after = 1,
	.complete = COMPLETE_COMMAND,
};
