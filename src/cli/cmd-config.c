/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/instance.h"
#include "cli/output.h"
#include "cli/pairs.h"

static int get_instance(struct cli *cli, const char *name, struct json **ret_root, const struct json **ret,
			struct client **ret_client, struct err *err)
{
	int r = cli_client(cli, ret_client, err);

	return r < 0 ? r : instance_one(*ret_client, name, ret_root, ret, err);
}

static int get_keys(struct client *c, struct json **ret_root, const struct json **ret, struct err *err)
{
	return client_get(c, "/1.0/config-keys", ret_root, ret, err);
}

/* The row of the table for @key; a row "user.*" stands for a family. */
static const struct json *find_key(const struct json *keys, const char *key)
{
	for (size_t i = 0; i < json_len(keys); i++) {
		const char *name = json_get_str(json_item(keys, i), "name");
		size_t len = name ? strlen(name) : 0;

		if (str_eq(name, key) || (len > 0 && name[len - 1] == '*' && strncmp(name, key, len - 1) == 0))
			return json_item(keys, i);
	}
	return NULL;
}

/* ---- get --------------------------------------------------------------------------------------------------------- */

static int run_get(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(json_free) struct json *root = NULL, *keys_root = NULL;
	const char *key = args->operands[1], *value;
	const struct json *instance = NULL, *keys = NULL, *row = NULL;
	struct client *client = NULL;
	int r;

	r = get_instance(cli, args->operands[0], &root, &instance, &client, err);
	if (r < 0)
		return r;
	value = json_get_str(json_get(instance, "expanded_config"), key);
	if (!value) {
		/* Unset: what holds then is the default, and a misspelled key must not look like an unset one. */
		r = get_keys(client, &keys_root, &keys, err);
		if (r < 0)
			return r;
		row = find_key(keys, key);
		if (!row)
			return err_set(err, -ENOENT, "there is no key '%s' ('stasis config keys' shows them)", key);
		value = json_get_str(row, "default");
	}
	if (cli->format == TABLE_JSON) {
		AUTO(json_free) struct json *out = json_new_str(value);

		output_json(out);
	} else {
		(void)printf("%s\n", value ? value : "");
	}
	return CLI_OK;
}

static const struct command cmd_get = {
	.name = "get",
	.operands = "NAME KEY",
	.summary = "print one value; the default where none is set",
	.min = 2,
	.max = 2,
	.complete = COMPLETE_NAME_KEY,
	.run = run_get,
};

/* ---- set, unset -------------------------------------------------------------------------------------------------- */

/* "boot.autostart" takes effect at once, "console.tty" at the next start: whoever sets the latter on a running instance
 * would otherwise wonder. */
static void say_when(struct cli *cli, struct client *c, const struct json *instance, const struct json *config)
{
	AUTO(json_free) struct json *root = NULL;
	AUTO(strv_free) char **later = NULL;
	autofree char *names = NULL;
	const struct json *keys = NULL;

	if (json_int(json_at(instance, "/stasis/pid"), 0) == 0 && !json_get_bool(instance, "stateful", false))
		return;
	if (get_keys(c, &root, &keys, NULL) < 0)
		return;
	for (struct json_iter it = json_iter(config); json_next(&it);)
		if (!json_get_bool(find_key(keys, it.key), "live", true))
			strv_add(&later, it.key);
	if (!later)
		return;
	names = strv_join(later, ", ");
	cli_say(cli, "%s: set; it takes effect when %s boots afresh (restart, or start --stateless).\n", names,
		instance_name(instance));
}

static int change(struct cli *cli, const char *name, struct json *config, const char *description, struct err *err)
{
	AUTO(json_free) struct json *body = json_new_object(), *root = NULL;
	autofree char *path = client_path("instances", name, NULL);
	const struct json *instance = NULL;
	struct client *client = NULL;
	int r;

	r = get_instance(cli, name, &root, &instance, &client, err);
	if (r < 0)
		return r;
	json_set(body, "config", json_copy(config));
	if (description)
		json_set_str(body, "description", description);
	r = client_call(client, "PATCH", path, body, NULL, err);
	if (r < 0)
		return r;
	say_when(cli, client, instance, config);
	return CLI_OK;
}

static int run_set(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(json_free) struct json *config = json_new_object();
	const char *description = args_get(args, "description");
	int r;

	/* NAME KEY VALUE is how LXD had it. */
	if (args->n_operands == 3 && !strchr(args->operands[1], '='))
		json_set_str(config, args->operands[1], args->operands[2]);
	else if (args->n_operands > 1) {
		r = pairs_to_json(args->operands + 1, config, err);
		if (r < 0)
			return r;
	} else if (!description) {
		return err_set(err, CLI_EUSAGE, "nothing to set: KEY=VALUE is missing");
	}
	return change(cli, args->operands[0], config, description, err);
}

static const struct option_row set_options[] = {
	{ "description", 'd', "TEXT", "also set what the instance is for" },
	{ NULL },
};

static const struct command cmd_set = {
	.name = "set",
	.operands = "NAME KEY=VALUE…",
	.summary = "set keys, all of them or, when one is wrong, none",
	.options = set_options,
	.min = 1,
	.max = -1,
	.complete = COMPLETE_NAME_PAIR,
	.run = run_set,
};

static int run_unset(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(json_free) struct json *config = json_new_object();

	for (size_t i = 1; i < args->n_operands; i++)
		json_set(config, args->operands[i], json_new_null());
	return change(cli, args->operands[0], config, NULL, err);
}

static const struct command cmd_unset = {
	.name = "unset",
	.operands = "NAME KEY…",
	.summary = "take keys back; the default holds then",
	.min = 2,
	.max = -1,
	.complete = COMPLETE_NAME_KEY,
	.run = run_unset,
};

/* ---- show, keys -------------------------------------------------------------------------------------------------- */

static const struct option_row show_options[] = {
	{ "all", 'a', NULL, "also what the image brings and what the daemon notes (image.*, volatile.*)" },
	{ NULL },
};

static int run_show(struct cli *cli, const struct args *args, struct err *err)
{
	static const struct table_column columns[] = { { "KEY", false }, { "VALUE", false }, { NULL, false } };
	AUTO(table_free) struct table *table = table_new(columns);
	AUTO(json_free) struct json *root = NULL;
	const struct json *instance = NULL, *config = NULL;
	struct client *client = NULL;
	int r;

	r = get_instance(cli, args->operands[0], &root, &instance, &client, err);
	if (r < 0)
		return r;
	config = json_get(instance, args_has(args, "all") ? "expanded_config" : "config");
	if (cli->format == TABLE_JSON) {
		output_json(config);
		return CLI_OK;
	}
	for (struct json_iter it = json_iter(config); json_next(&it);) {
		table_add(table, it.key);
		table_add(table, json_str(it.value));
	}
	if (table_rows(table) == 0 && cli->format == TABLE_PLAIN && cli->has_terminal_out)
		(void)printf("No key is set; everything is as 'stasis config keys' says.\n");
	else
		table_print(table, cli->format);
	return CLI_OK;
}

static const struct command cmd_show = {
	.name = "show",
	.operands = "NAME",
	.summary = "print what is set",
	.options = show_options,
	.min = 1,
	.max = 1,
	.complete = COMPLETE_INSTANCE,
	.run = run_show,
};

static void add_key(struct table *table, const struct json *key)
{
	AUTO(strbuf_done) struct strbuf what = STRBUF_INIT;
	const char *values = json_get_str(key, "values"), *type = json_get_str(key, "type");

	strbuf_adds(&what, json_get_str(key, "help") ? json_get_str(key, "help") : "");
	if (!json_get_bool(key, "live", true))
		strbuf_adds(&what, " (from the next boot on)");
	table_add(table, json_get_str(key, "name"));
	table_add(table, values ? values : type);
	table_add(table, output_word(key, "default"));
	table_add(table, what.s);
}

static int run_keys(struct cli *cli, const struct args *args, struct err *err)
{
	static const struct table_column columns[] = {
		{ "KEY", false }, { "VALUE", false }, { "DEFAULT", false }, { "MEANING", false }, { NULL, false }
	};
	AUTO(table_free) struct table *table = table_new(columns);
	AUTO(json_free) struct json *root = NULL;
	const char *prefix = args->n_operands > 0 ? args->operands[0] : "";
	const struct json *keys = NULL;
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r == 0)
		r = get_keys(client, &root, &keys, err);
	if (r < 0)
		return r;
	if (cli->format == TABLE_JSON) {
		output_json(keys);
		return CLI_OK;
	}
	for (size_t i = 0; i < json_len(keys); i++) {
		const char *name = json_get_str(json_item(keys, i), "name");

		if (name && str_after(name, prefix) && !json_get_bool(json_item(keys, i), "volatile", false))
			add_key(table, json_item(keys, i));
	}
	table_print(table, cli->format);
	return CLI_OK;
}

static const struct command cmd_keys = {
	.name = "keys",
	.operands = "[PREFIX]",
	.summary = "print all keys there are, with their defaults and meanings",
	.max = 1,
	.run = run_keys,
};

static const struct command *const subs[] = { &cmd_get, &cmd_set, &cmd_unset, &cmd_show, &cmd_keys, NULL };

const struct command cmd_config = {
	.name = "config",
	.operands = "COMMAND …",
	.summary = "get and set how an instance is run",
	.group = GROUP_KNOW,
	.subs = subs,
	.max = -1,
	.free_after = 1,
	.complete = COMPLETE_COMMAND,
};
