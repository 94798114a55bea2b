/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/instance.h"
#include "cli/output.h"
#include "cli/text.h"

static const struct option_row options[] = {
	{ "columns", 'c', "NAME,…", "which columns, in this order (see below)" },
	{ NULL },
};

/* What a column shows: @is_raw is for programs (bytes, RFC 3339). A new string. */
struct column {
	const char *name, *head;
	bool is_right, is_live; /* live: needs the slower question */
	char *(*show)(const struct json *instance, bool is_raw);
};

static char *number_or_dash(int64_t n)
{
	return n > 0 ? xasprintf("%lld", (long long)n) : xstrdup("-");
}

static char *bytes_or_raw(int64_t n, bool is_raw)
{
	return is_raw && n >= 0 ? xasprintf("%lld", (long long)n) : text_bytes(n);
}

static char *time_or_raw(const char *time, bool is_raw)
{
	return is_raw ? xstrdup(text_is_past(time) ? time : "-") : text_time(time);
}

static char *show_name(const struct json *in, bool is_raw)
{
	return xstrdup(instance_name(in));
}

static char *show_state(const struct json *in, bool is_raw)
{
	return xstrdup(instance_word(in));
}

static char *show_stateful(const struct json *in, bool is_raw)
{
	return xstrdup(json_get_bool(in, "stateful", false) ? "yes" : "no");
}

static char *show_image(const struct json *in, bool is_raw)
{
	const char *description = json_str(json_at(in, "/stasis/image_description"));
	const char *fingerprint = json_str(json_at(in, "/stasis/image"));

	if (description && *description)
		return xstrdup(description);
	return fingerprint ? xstrndup(fingerprint, 12) : xstrdup("-");
}

static char *show_fingerprint(const struct json *in, bool is_raw)
{
	const char *fingerprint = json_str(json_at(in, "/stasis/image"));

	return fingerprint ? xstrndup(fingerprint, is_raw ? 64 : 12) : xstrdup("-");
}

static char *show_pid(const struct json *in, bool is_raw)
{
	return number_or_dash(json_int(json_at(in, "/stasis/pid"), 0));
}

static char *show_created(const struct json *in, bool is_raw)
{
	return time_or_raw(json_get_str(in, "created_at"), is_raw);
}

static char *show_used(const struct json *in, bool is_raw)
{
	return time_or_raw(json_get_str(in, "last_used_at"), is_raw);
}

static char *show_started(const struct json *in, bool is_raw)
{
	return time_or_raw(json_str(json_at(in, "/stasis/started_at")), is_raw);
}

static char *show_saved(const struct json *in, bool is_raw)
{
	return time_or_raw(json_str(json_at(in, "/stasis/state/created_at")), is_raw);
}

static char *show_size(const struct json *in, bool is_raw)
{
	return bytes_or_raw(json_int(json_at(in, "/stasis/state/bytes"), -1), is_raw);
}

static char *show_memory(const struct json *in, bool is_raw)
{
	return bytes_or_raw(json_int(json_at(in, "/state/memory/usage"), -1), is_raw);
}

static char *show_disk(const struct json *in, bool is_raw)
{
	return bytes_or_raw(json_int(json_at(in, "/state/disk/root/usage"), -1), is_raw);
}

static char *show_processes(const struct json *in, bool is_raw)
{
	return number_or_dash(json_int(json_at(in, "/state/processes"), 0));
}

static char *show_cpu(const struct json *in, bool is_raw)
{
	int64_t ns = json_int(json_at(in, "/state/cpu/usage"), -1);

	if (ns < 0)
		return xstrdup("-");
	return is_raw ? xasprintf("%lld", (long long)ns) : text_seconds((uint64_t)ns / 1000);
}

static char *show_exit(const struct json *in, bool is_raw)
{
	const struct json *code = json_at(in, "/stasis/exit_code");

	return json_type(code) == JSON_INT ? xasprintf("%lld", (long long)json_int(code, 0)) : xstrdup("-");
}

static char *show_busy(const struct json *in, bool is_raw)
{
	return xstrdup(json_bool(json_at(in, "/stasis/busy"), false) ? "yes" : "no");
}

static char *show_ephemeral(const struct json *in, bool is_raw)
{
	return xstrdup(json_get_bool(in, "ephemeral", false) ? "yes" : "no");
}

static char *show_description(const struct json *in, bool is_raw)
{
	return xstrdup_null(json_get_str(in, "description"));
}

static char *show_uuid(const struct json *in, bool is_raw)
{
	return xstrdup_null(json_str(json_at(in, "/stasis/uuid")));
}

static char *show_error(const struct json *in, bool is_raw)
{
	return xstrdup_null(json_str(json_at(in, "/stasis/last_error")));
}

/* Sorted by name. */
static const struct column columns[] = {
	{ "busy", "BUSY", false, false, show_busy },
	{ "cpu", "CPU", true, true, show_cpu },
	{ "created", "CREATED", false, false, show_created },
	{ "description", "DESCRIPTION", false, false, show_description },
	{ "disk", "DISK", true, true, show_disk },
	{ "ephemeral", "EPHEMERAL", false, false, show_ephemeral },
	{ "error", "ERROR", false, false, show_error },
	{ "exit", "EXIT", true, false, show_exit },
	{ "fingerprint", "FINGERPRINT", false, false, show_fingerprint },
	{ "image", "IMAGE", false, false, show_image },
	{ "memory", "MEMORY", true, true, show_memory },
	{ "name", "NAME", false, false, show_name },
	{ "pid", "PID", true, false, show_pid },
	{ "processes", "PROCESSES", true, true, show_processes },
	{ "saved", "SAVED", false, false, show_saved },
	{ "size", "SIZE", true, false, show_size },
	{ "started", "STARTED", false, false, show_started },
	{ "state", "STATE", false, false, show_state },
	{ "stateful", "STATEFUL", false, false, show_stateful },
	{ "used", "USED", false, false, show_used },
	{ "uuid", "UUID", false, false, show_uuid },
};

static int find_columns(const char *names, const struct column ***ret, size_t *ret_n, struct err *err)
{
	AUTO(strv_free) char **words = strv_split(names, ',');
	AUTO(strv_free) char **known = NULL;
	autofree const struct column **chosen = xcalloc(strv_len(words) + 1, sizeof(const struct column *));
	autofree char *all = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		strv_add(&known, columns[i].name);
	for (size_t i = 0; words[i]; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(columns); k++)
			if (strcasecmp(words[i], columns[k].name) == 0)
				chosen[i] = &columns[k];
		if (!chosen[i]) {
			all = strv_join(known, ", ");
			return err_set(err, CLI_EUSAGE, "no column '%s'; there are %s", words[i], all);
		}
	}
	*ret_n = strv_len(words);
	*ret = TAKE_PTR(chosen);
	return 0;
}

/* "web*" is a pattern of names; "state=running" and other column=pattern words look at that column. */
static bool matches(const struct json *instance, char *const *filters)
{
	bool has_names = false, is_named = false;

	for (size_t i = 0; filters && filters[i]; i++) {
		const char *equals = strchr(filters[i], '=');

		if (!equals) {
			has_names = true;
			is_named = is_named || fnmatch(filters[i], instance_name(instance), 0) == 0;
			continue;
		}
		for (size_t k = 0; k < ARRAY_SIZE(columns); k++) {
			autofree char *shown = NULL;

			if (strncmp(columns[k].name, filters[i], (size_t)(equals - filters[i])) != 0 ||
			    columns[k].name[equals - filters[i]])
				continue;
			shown = columns[k].show(instance, /* is_raw= */ true);
			if (fnmatch(equals + 1, shown ? shown : "", FNM_CASEFOLD) != 0)
				return false;
		}
	}
	return !has_names || is_named;
}

static int check_filters(char *const *filters, bool *ret_is_live, struct err *err)
{
	for (size_t i = 0; filters && filters[i]; i++) {
		const struct column **found = NULL;
		autofree char *name = xstrndup(filters[i], strcspn(filters[i], "="));
		size_t n;
		int r;

		if (!strchr(filters[i], '='))
			continue;
		r = find_columns(name, &found, &n, err);
		if (r < 0)
			return r;
		*ret_is_live = *ret_is_live || found[0]->is_live;
		free(found);
	}
	return 0;
}

static void print_table(const struct cli *cli, const struct json *all, char *const *filters,
			const struct column *const *chosen, size_t n)
{
	autofree struct table_column *heads = xcalloc(n + 1, sizeof(*heads));
	AUTO(table_free) struct table *table = NULL;

	for (size_t i = 0; i < n; i++)
		heads[i] = (struct table_column){ chosen[i]->head, chosen[i]->is_right };
	table = table_new(heads);
	for (size_t k = 0; k < json_len(all); k++) {
		if (!matches(json_item(all, k), filters))
			continue;
		for (size_t i = 0; i < n; i++) {
			autofree char *shown = chosen[i]->show(json_item(all, k), cli->format == TABLE_CSV);

			table_add(table, shown);
		}
	}
	if (table_rows(table) == 0 && cli->format == TABLE_PLAIN && cli->has_terminal_out)
		(void)printf("There is no instance%s. 'stasis launch NAME' makes one.\n",
			     filters ? " that matches" : "");
	else
		table_print(table, cli->format);
}

static void print_json(const struct json *all, char *const *filters)
{
	AUTO(json_free) struct json *out = json_new_array();

	for (size_t i = 0; i < json_len(all); i++)
		if (matches(json_item(all, i), filters))
			json_add(out, json_copy(json_item(all, i)));
	output_json(out);
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	const char *names = args_get(args, "columns");
	AUTO(json_free) struct json *root = NULL;
	autofree const struct column **chosen = NULL;
	const struct json *all = NULL;
	size_t n;
	bool is_live = cli->format == TABLE_JSON;
	int r;

	r = find_columns(names ? names : "name,state,stateful,image,pid,created", &chosen, &n, err);
	if (r < 0)
		return r;
	r = check_filters(args->operands, &is_live, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		is_live = is_live || chosen[i]->is_live;
	r = instance_all(cli, is_live ? 2 : 1, &root, &all, err);
	if (r < 0)
		return r;
	if (cli->format == TABLE_JSON)
		print_json(all, args->operands);
	else
		print_table(cli, all, args->operands, chosen, n);
	return CLI_OK;
}

const struct command cmd_list = {
	.name = "list",
	.operands = "[PATTERN…] [COLUMN=PATTERN…]",
	.summary = "show the instances",
	.help = "Patterns are those of the shell: 'web*' for names, 'state=running' or 'stateful=yes' for any column.\n"
		"\n"
		"Columns: name, state, stateful (has a saved state), image, pid, created; and busy, cpu, description,\n"
		"disk, ephemeral, error (of the last operation), exit (code of the last run), fingerprint, memory,\n"
		"processes, saved (when the state was saved), size (of the saved state), started, used, uuid.\n"
		"\n"
		"  stasis list state=running --columns name,memory\n"
		"  stasis list --format csv -c name",
	.group = GROUP_KNOW,
	.options = options,
	.max = -1,
	.complete = COMPLETE_INSTANCE,
	.run = run,
};
