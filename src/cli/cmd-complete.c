/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-complete.c - `stasis __complete -- WORD…`: what the last word may become
 *
 * The shells' own scripts (cmd-completion.c) know nothing of stasis; they ask this. One candidate a line, behind a tab
 * what it means. ":files" alone asks the shell to complete file names.
 */
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
#include "cli/text.h"
#include "cli/volume.h"

/* Where in the command line the cursor is. */
struct place {
	const struct command *command;	 /* NULL: an unknown one, or another program's words */
	const struct option_row *option; /* its value is being typed */
	char **operands;
	const char *word; /* so far */
	bool is_behind;	  /* a "--" */
};

static void offer(const struct place *p, const char *candidate, const char *meaning)
{
	if (!candidate || !str_after(candidate, p->word))
		return;
	if (meaning && *meaning)
		(void)printf("%s\t%s\n", candidate, meaning);
	else
		(void)printf("%s\n", candidate);
}

/* ---- finding the place ------------------------------------------------------------------------------------------- */

static const struct option_row *find_row(const struct option_row *rows, const char *name, char letter)
{
	for (; rows && rows->name; rows++)
		if ((name && str_eq(rows->name, name)) || (letter && rows->letter == letter))
			return rows;
	return NULL;
}

/* The row that a word like "--timeout" or "-fn" leaves waiting for a value, or NULL. */
static const struct option_row *row_waiting(const struct command *c, const char *word)
{
	const char *name = str_after(word, "--");
	char letter = name ? 0 : word[strlen(word) - 1];
	const struct option_row *row = find_row(c->options, name, letter);

	row = row ? row : find_row(args_global, name, letter);
	return row && row->value ? row : NULL;
}

static void take_operand(struct place *p, const char *word)
{
	if (p->command->subs) {
		const struct command *sub = command_find(p->command, word);

		if (sub || !p->command->otherwise) {
			p->command = sub;
			return;
		}
		p->command = p->command->otherwise;
	}
	strv_add(&p->operands, word);
	if (p->command->free_after > 0 && (int)strv_len(p->operands) >= p->command->free_after)
		p->command = NULL;
}

static void find_place(struct place *p, char *const *words)
{
	size_t n = strv_len(words);

	for (size_t i = 0; i + 1 < n && p->command; i++) {
		if (p->option)
			p->option = NULL;
		else if (str_eq(words[i], "--"))
			p->is_behind = true;
		else if (p->is_behind)
			continue;
		else if (words[i][0] == '-' && words[i][1])
			p->option = row_waiting(p->command->otherwise ? p->command->otherwise : p->command, words[i]);
		else
			take_operand(p, words[i]);
	}
	p->word = n > 0 ? words[n - 1] : "";
}

/* ---- what the daemon knows --------------------------------------------------------------------------------------- */

static void offer_instances(struct cli *cli, const struct place *p, enum complete kind)
{
	AUTO(json_free) struct json *root = NULL;
	const struct json *all = NULL;

	if (instance_all(cli, 1, &root, &all, NULL) < 0)
		return;
	for (size_t i = 0; i < json_len(all); i++) {
		const struct json *in = json_item(all, i);

		if (kind == COMPLETE_RUNNING && instance_is(in, "Stopped"))
			continue;
		if (kind == COMPLETE_STOPPED && instance_is(in, "Running"))
			continue;
		if (!strv_has(p->operands, instance_name(in)))
			offer(p, instance_name(in), instance_word(in));
	}
}

static int ask(struct cli *cli, const char *path, struct json **ret_root, const struct json **ret);

/* @prefix: "web/" or "" */
static void offer_checkpoints(struct cli *cli, const struct place *p, const char *instance, const char *prefix)
{
	AUTO(json_free) struct json *root = NULL;
	autofree char *plain = client_path("instances", instance, "checkpoints", NULL);
	autofree char *path = xasprintf("%s?recursion=1", plain);
	const struct json *all = NULL;

	if (ask(cli, path, &root, &all) < 0)
		return;
	for (size_t i = 0; i < json_len(all); i++) {
		const struct json *c = json_item(all, i);
		autofree char *word = xasprintf("%s%s", prefix, output_word(c, "name"));
		autofree char *taken = text_ago(json_get_str(c, "created_at"));

		if (!strv_has(p->operands ? p->operands + 1 : NULL, word))
			offer(p, word, taken);
	}
}

/* "web", and behind "web/" its checkpoints. */
static void offer_sources(struct cli *cli, const struct place *p)
{
	const char *slash = strchr(p->word, '/');
	autofree char *instance = slash ? xstrndup(p->word, (size_t)(slash - p->word)) : NULL;
	autofree char *prefix = instance ? xasprintf("%s/", instance) : NULL;

	if (slash)
		offer_checkpoints(cli, p, instance, prefix);
	else
		offer_instances(cli, p, COMPLETE_INSTANCE);
}

static int ask(struct cli *cli, const char *path, struct json **ret_root, const struct json **ret)
{
	struct client *client = NULL;

	return cli_client(cli, &client, NULL) < 0 ? -1 : client_get(client, path, ret_root, ret, NULL);
}

static void offer_images(struct cli *cli, const struct place *p)
{
	AUTO(json_free) struct json *root = NULL;
	const struct json *images = NULL;

	if (ask(cli, "/1.0/images?recursion=1", &root, &images) < 0)
		return;
	for (size_t i = 0; i < json_len(images); i++) {
		const struct json *aliases = json_get(json_item(images, i), "aliases");
		const char *meaning = json_str(json_at(json_item(images, i), "/properties/description"));

		for (size_t k = 0; k < json_len(aliases); k++)
			offer(p, json_get_str(json_item(aliases, k), "name"), meaning);
	}
}

static void offer_volumes(struct cli *cli, const struct place *p)
{
	AUTO(json_free) struct json *root = NULL;
	const struct json *volumes = NULL;

	if (ask(cli, VOLUME_URL "?recursion=1", &root, &volumes) < 0)
		return;
	for (size_t i = 0; i < json_len(volumes); i++)
		if (!strv_has(p->operands, json_get_str(json_item(volumes, i), "name")))
			offer(p, json_get_str(json_item(volumes, i), "name"), NULL);
}

static void offer_operations(struct cli *cli, const struct place *p)
{
	AUTO(json_free) struct json *root = NULL;
	const struct json *by_status = NULL;

	if (ask(cli, "/1.0/operations?recursion=1", &root, &by_status) < 0)
		return;
	for (struct json_iter it = json_iter(by_status); json_next(&it);)
		for (size_t i = 0; i < json_len(it.value); i++)
			offer(p, json_get_str(json_item(it.value, i), "id"),
			      json_get_str(json_item(it.value, i), "description"));
}

static void offer_values(const struct place *p, const struct json *key, const char *name)
{
	const char *values = json_get_str(key, "values");
	AUTO(strv_free)
	char **words = strv_split(str_eq(json_get_str(key, "type"), "bool") ? "true|false"
				  : values && strchr(values, '|')	    ? values
									    : "",
				  '|');

	for (size_t i = 0; words[i]; i++) {
		autofree char *pair = xasprintf("%s=%s", name, words[i]);

		if (*words[i])
			offer(p, pair, NULL);
	}
}

/* @with_value: "KEY=", and behind the '=' the values that the key can have. */
static void offer_keys(struct cli *cli, const struct place *p, bool with_value)
{
	AUTO(json_free) struct json *root = NULL;
	const struct json *keys = NULL;

	if (ask(cli, "/1.0/config-keys", &root, &keys) < 0)
		return;
	for (size_t i = 0; i < json_len(keys); i++) {
		const struct json *key = json_item(keys, i);
		autofree char *name = xstrdup(output_word(key, "name"));
		bool is_family = str_ends(name, "*");
		autofree char *candidate = NULL;

		if (json_get_bool(key, "volatile", false))
			continue;
		if (is_family)
			name[strlen(name) - 1] = '\0';
		candidate = xasprintf("%s%s", name, with_value && !is_family ? "=" : "");
		if (str_after(p->word, candidate) && with_value && !is_family)
			offer_values(p, key, name);
		else
			offer(p, candidate, json_get_str(key, "help"));
	}
}

/* ---- what the rows know ------------------------------------------------------------------------------------------ */

static void offer_options(const struct place *p)
{
	const struct option_row *const lists[] = { p->command->options, args_global };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		for (const struct option_row *row = lists[i]; row && row->name; row++) {
			autofree char *word = xasprintf("--%s", row->name);

			offer(p, word, row->help);
		}
	}
}

static void offer_subs(const struct place *p, const struct command *group)
{
	for (size_t i = 0; group->subs && group->subs[i]; i++)
		if (group->subs[i]->group != GROUP_HIDDEN)
			offer(p, group->subs[i]->name, group->subs[i]->summary);
}

static void offer_words(const struct place *p, const char *words)
{
	AUTO(strv_free) char **list = strv_split(words, '|');

	for (size_t i = 0; list[i]; i++)
		offer(p, list[i], NULL);
}

static void offer_kind(struct cli *cli, const struct place *p, enum complete kind)
{
	switch (kind) {
	case COMPLETE_INSTANCE:
	case COMPLETE_RUNNING:
	case COMPLETE_STOPPED:
		offer_instances(cli, p, kind);
		break;
	case COMPLETE_IMAGE:
	case COMPLETE_ALIAS:
		offer_images(cli, p);
		break;
	case COMPLETE_OPERATION:
		offer_operations(cli, p);
		break;
	case COMPLETE_VOLUME:
		offer_volumes(cli, p);
		break;
	case COMPLETE_PAIR:
		offer_keys(cli, p, /* with_value= */ true);
		break;
	case COMPLETE_NAME_KEY:
	case COMPLETE_NAME_PAIR:
		if (!p->operands)
			offer_instances(cli, p, COMPLETE_INSTANCE);
		else
			offer_keys(cli, p, kind == COMPLETE_NAME_PAIR);
		break;
	case COMPLETE_NAME_SNAP:
		if (!p->operands)
			offer_instances(cli, p, COMPLETE_INSTANCE);
		else if (p->command->max < 0 || strv_len(p->operands) == 1)
			offer_checkpoints(cli, p, p->operands[0], "");
		break;
	case COMPLETE_SOURCE:
		offer_sources(cli, p);
		break;
	case COMPLETE_FILE:
		(void)puts(":files");
		break;
	case COMPLETE_COMMAND:
		offer_subs(p, p->command == &cmd_help ? &cli_root : p->command);
		if (p->command->otherwise)
			offer_kind(cli, p, p->command->otherwise->complete);
		break;
	case COMPLETE_WORDS:
		offer_words(p, p->option ? p->option->value : p->command->operands);
		break;
	case COMPLETE_NOTHING:
		break;
	}
}

/* Several operands, but not any number, are different things; only the first is what the row says. So it is before
 * another program's words.
 */
static bool is_operand_known(const struct place *p)
{
	const struct command *c = p->command;
	int n = (int)strv_len(p->operands);

	if (p->is_behind || (c->max >= 0 && n >= c->max))
		return false;
	if (c->complete == COMPLETE_NAME_KEY || c->complete == COMPLETE_NAME_PAIR || c->complete == COMPLETE_NAME_SNAP)
		return true;
	return n == 0 || (c->max < 0 && (c->subs || c->free_after == 0));
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	struct place p = { .command = &cli_root };
	const char *equals;

	find_place(&p, args->rest);
	if (p.command && p.command->otherwise && p.word[0] == '-')
		p.command = p.command->otherwise;
	if (!p.command) {
		strv_free(p.operands);
		return CLI_OK;
	}
	equals = strchr(p.word, '=');
	if (!p.option && equals && str_after(p.word, "--")) {
		/* "--format=js": the shells complete the whole word, so file names and values alone do not fit. */
	} else if (p.option) {
		offer_kind(cli, &p, p.option->complete);
	} else if (p.word[0] == '-' && !p.is_behind) {
		offer_options(&p);
	} else if (is_operand_known(&p)) {
		offer_kind(cli, &p, p.command->complete);
	}
	strv_free(p.operands);
	return CLI_OK;
}

const struct command cmd_complete = {
	.name = "__complete",
	.operands = "-- WORD…",
	.summary = "what the last word may become (for the shells' completion)",
	.group = GROUP_HIDDEN,
	.has_rest = true,
	.run = run,
};
