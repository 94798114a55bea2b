/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/checkpoint.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/facts.h"
#include "cli/instance.h"
#include "cli/jobs.h"
#include "cli/output.h"
#include "cli/text.h"

static int64_t phase(const struct json *checkpoint, const char *name)
{
	return json_get_int(json_get(checkpoint, "phases"), name, 0);
}

static int64_t file_bytes(const struct json *checkpoint)
{
	return json_get_int(checkpoint, "rootfs_bytes", 0) + json_get_int(checkpoint, "volume_bytes", 0);
}

static bool has_memory(const struct json *checkpoint)
{
	return json_get_bool(checkpoint, "stateful", false);
}

/* "0.21 s", and what is much shorter as "1.6 ms". */
static char *pause_of(const struct json *checkpoint)
{
	uint64_t us = (uint64_t)phase(checkpoint, "paused");

	return us < 10 * US_PER_MS ? xasprintf("%.1f ms", (double)us / (double)US_PER_MS) : text_seconds(us);
}

char *checkpoint_words(const struct json *checkpoint)
{
	autofree char *paused = pause_of(checkpoint);
	autofree char *memory = text_bytes(json_get_int(checkpoint, "memory_bytes", 0));
	autofree char *files = text_bytes(file_bytes(checkpoint));
	struct strbuf sb = STRBUF_INIT;

	if (phase(checkpoint, "paused") > 0)
		strbuf_addf(&sb, "paused %s, ", paused);
	if (has_memory(checkpoint))
		strbuf_addf(&sb, "%s memory, %s files", memory, files);
	else
		strbuf_addf(&sb, "%s files, no memory", files);
	return strbuf_take(&sb);
}

/* ---- list -------------------------------------------------------------------------------------------------------- */

static void add_bytes(struct table *table, int64_t n, bool is_raw)
{
	autofree char *text = text_bytes(n);

	if (is_raw)
		table_addf(table, "%lld", (long long)n);
	else
		table_add(table, text);
}

static void add_time(struct table *table, const char *rfc3339, bool is_raw)
{
	autofree char *text = text_time(rfc3339);

	table_add(table, is_raw ? rfc3339 : text);
}

static void add_checkpoint(struct table *table, const struct json *c, bool with_instance, bool is_raw)
{
	autofree char *pause = text_ms(phase(c, "paused") / (int64_t)US_PER_MS);

	if (with_instance)
		table_add(table, json_get_str(c, "instance"));
	table_add(table, json_get_str(c, "name"));
	add_time(table, json_get_str(c, "created_at"), is_raw);
	if (has_memory(c) || is_raw)
		add_bytes(table, json_get_int(c, "memory_bytes", 0), is_raw);
	else
		table_add(table, "-");
	add_bytes(table, file_bytes(c), is_raw);
	if (is_raw)
		table_addf(table, "%lld", (long long)phase(c, "paused"));
	else
		table_add(table, phase(c, "paused") > 0 ? pause : "-");
	add_time(table, json_get_str(c, "expires_at"), is_raw);
	table_add(table, json_get_str(c, "description"));
}

static void print_table(const struct cli *cli, const char *instance, const struct json *all)
{
	static const struct table_column columns[] = {
		{ "INSTANCE", false }, { "NAME", false },	 { "TAKEN", false },
		{ "MEMORY", true },    { "FILES", true },	 { "PAUSE", true },
		{ "EXPIRES", false },  { "DESCRIPTION", false }, { NULL, false },
	};
	AUTO(table_free) struct table *table = table_new(instance ? columns + 1 : columns);

	for (size_t i = 0; i < json_len(all); i++)
		add_checkpoint(table, json_item(all, i), !instance, cli->format == TABLE_CSV);
	if (table_rows(table) == 0 && cli->format == TABLE_PLAIN && cli->has_terminal_out)
		(void)printf("There is no checkpoint yet. 'stasis snapshot create %s' takes one.\n",
			     instance ? instance : "NAME");
	else
		table_print(table, cli->format);
}

int checkpoint_print_list(struct cli *cli, const char *instance, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	autofree char *plain =
		instance ? client_path("instances", instance, "checkpoints", NULL) : client_path("checkpoints", NULL);
	autofree char *path = xasprintf("%s?recursion=1", plain);
	const struct json *all = NULL;
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r == 0)
		r = client_get(client, path, &root, &all, err);
	if (r < 0)
		return r;
	if (cli->format == TABLE_JSON)
		output_json(all);
	else
		print_table(cli, instance, all);
	return CLI_OK;
}

/* ---- info -------------------------------------------------------------------------------------------------------- */

static void print_facts(const struct json *c)
{
	AUTO(facts_free) struct facts *f = facts_new();
	autofree char *taken = text_time(json_get_str(c, "created_at")), *ago = text_ago(json_get_str(c, "created_at"));
	autofree char *expires = text_time(json_get_str(c, "expires_at"));
	autofree char *memory = text_bytes(json_get_int(c, "memory_bytes", 0));
	autofree char *files = text_bytes(json_get_int(c, "rootfs_bytes", 0));
	autofree char *bytes = text_bytes(json_get_int(c, "volume_bytes", 0));
	AUTO(strv_free) char **volumes = json_to_strv(json_get(c, "volumes"));
	autofree char *names = volumes && *volumes ? strv_join(volumes, ", ") : NULL;
	int64_t n = json_get_int(c, "processes", 0);

	facts_add(f, "Name", json_get_str(c, "name"));
	facts_add(f, "Instance", json_get_str(c, "instance"));
	facts_add(f, "Description", json_get_str(c, "description"));
	facts_addf(f, "Taken", "%s (%s)", taken, ago);
	facts_add(f, "Expires", expires);
	if (has_memory(c))
		facts_addf(f, "Memory", "%s of %lld process%s%s", memory, (long long)n, n == 1 ? "" : "es",
			   json_get_bool(c, "paused", false) ? ", paused by its user" : "");
	else
		facts_add(f, "Memory", "none: it holds files only");
	facts_addf(f, "Files", "%s, captured by %s", files, json_get_bool(c, "reflink", false) ? "reflink" : "copying");
	if (names)
		facts_addf(f, "Volumes", "%s (%s)", names, bytes);
	facts_add(f, "Image", json_get_str(c, "image"));
	facts_add(f, "UUID", json_get_str(c, "uuid"));
	facts_print(f);
}

/* In the order in which they come; what lies between freeze and thaw is a part of "paused". */
static void print_phases(const struct json *c)
{
	static const struct table_column columns[] = {
		{ "PHASE", false }, { "MS", true }, { "BYTES", true }, { "WHAT", false }, { NULL, false },
	};
	const struct {
		const char *name;
		int64_t bytes; /* -1: none to speak of */
		const char *what;
	} rows[] = {
		{ "prepare", -1, "checks, room, early copies" },
		{ "freeze", -1, "until every process stood still" },
		{ "dump", has_memory(c) ? json_get_int(c, "memory_bytes", 0) : -1, "memory, by CRIU" },
		{ "capture", file_bytes(c), "files" },
		{ "paused", -1, "in all, from freeze to thaw" },
		{ "copy", has_memory(c) ? json_get_int(c, "memory_bytes", 0) : -1,
		  "memory to the disk; it runs again" },
		{ "digest", -1, "SHA-256 of everything" },
		{ "sync", -1, "through to the disk" },
		{ "total", json_get_int(c, "size", -1), "" },
	};
	AUTO(table_free) struct table *table = table_new(columns);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		table_add(table, rows[i].name);
		table_addf(table, "%.1f", (double)phase(c, rows[i].name) / (double)US_PER_MS);
		if (rows[i].bytes >= 0)
			table_addf(table, "%lld", (long long)rows[i].bytes);
		else
			table_add(table, "");
		table_add(table, rows[i].what);
	}
	(void)putchar('\n');
	table_print(table, TABLE_PLAIN);
}

int checkpoint_print_info(struct cli *cli, const char *instance, const char *which, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	autofree char *path = client_path("instances", instance, "checkpoints", which, NULL);
	const struct json *checkpoint = NULL;
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r == 0)
		r = client_get(client, path, &root, &checkpoint, err);
	if (r < 0)
		return r;
	if (cli->format == TABLE_JSON) {
		output_json(checkpoint);
		return CLI_OK;
	}
	print_facts(checkpoint);
	print_phases(checkpoint);
	return CLI_OK;
}

/* ---- delete ------------------------------------------------------------------------------------------------------ */

static int delete_one(struct job *job, void *arg, struct err *err)
{
	const char *instance = arg;
	autofree char *path = client_path("instances", instance, "checkpoints", job_name(job), NULL);
	int r;

	r = job_operation(job, "DELETE", path, NULL, NULL, err);
	if (r < 0)
		return r;
	job_say(job, "%s: checkpoint '%s' deleted.", instance, job_name(job));
	return 0;
}

/* One after the other: the instance is busy with each. */
int checkpoint_delete_all(struct cli *cli, const struct args *args, struct err *err)
{
	return jobs_run_one_by_one(cli, args->operands + 1, delete_one, args->operands[0], err);
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* "7d", "2w"; what str_to_us() knows ends with hours. */
static int parse_length(const char *text, uint64_t *ret_us, struct err *err)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = { { 'd', 86400 }, { 'w', 7 * 86400 } };
	size_t n = strlen(text);

	for (size_t i = 0; n > 1 && i < ARRAY_SIZE(units); i++) {
		autofree char *number = xstrndup(text, n - 1);
		int64_t count = 0;

		if (text[n - 1] != units[i].unit)
			continue;
		if (str_to_i64(number, 1, 36500, &count, err) < 0)
			return -EINVAL;
		*ret_us = (uint64_t)count * units[i].seconds * US_PER_S;
		return 0;
	}
	return str_to_us(text, ret_us, err);
}

/* Its first moment here. */
static bool parse_day(const char *text, uint64_t *ret_us)
{
	struct tm tm = { .tm_isdst = -1 };
	const char *end = strptime(text, "%Y-%m-%d", &tm);
	time_t t = end && !*end ? mktime(&tm) : -1;

	if (t < 0)
		return false;
	*ret_us = (uint64_t)t * US_PER_S;
	return true;
}

int checkpoint_when(const char *text, char **ret, struct err *err)
{
	char buf[CLOCK_RFC3339_SIZE];
	uint64_t us = 0;

	if (str_eq(text, "never")) {
		*ret = NULL;
		return 0;
	}
	if (!parse_day(text, &us) && clock_parse_rfc3339(text, &us) < 0) {
		if (parse_length(text, &us, NULL) < 0 || us == 0)
			return err_set(err, CLI_EUSAGE,
				       "'%s' is no time: say 12h, 7d, 2w, 2026-12-24, 2026-12-24T18:00:00Z or never",
				       text);
		us += clock_real_us();
	}
	if (us <= clock_real_us())
		return err_set(err, CLI_EUSAGE, "'%s' has passed already", text);
	*ret = xstrdup(clock_rfc3339(us, buf));
	return 0;
}

int checkpoint_check_pause(const char *text, struct err *err)
{
	uint64_t us;

	if (!text)
		return 0;
	return str_to_us(text, &us, err) < 0 ? err_wrap(err, CLI_EUSAGE, "option '--max-pause'") : 0;
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

static struct json *stats_of(const char *total, int64_t total_us, struct json *one)
{
	struct json *j = json_new_object(), *list = json_new_array();

	json_add(list, one);
	json_set_int(j, total, total_us);
	json_set(j, "container_statistics", list);
	return j;
}

struct json *checkpoint_stats(const struct json *checkpoint)
{
	struct json *one = json_new_object(), *criu = json_new_object();

	json_set_int(criu, "freezing_time", phase(checkpoint, "freeze"));
	json_set_int(criu, "frozen_time", phase(checkpoint, "paused"));
	json_set_str(one, "Id", json_get_str(checkpoint, "instance"));
	json_set_int(one, "runtime_checkpoint_duration", phase(checkpoint, "dump"));
	json_set(one, "criu_statistics", criu);
	json_set(one, "phases", json_copy(json_get(checkpoint, "phases")));
	json_set_int(one, "memory_bytes", json_get_int(checkpoint, "memory_bytes", 0));
	json_set_int(one, "file_bytes", file_bytes(checkpoint));
	return stats_of("engine_checkpoint_duration", phase(checkpoint, "total"), one);
}

struct json *checkpoint_restore_stats(const char *instance, int64_t duration_us)
{
	struct json *one = json_new_object();

	json_set_str(one, "Id", instance);
	return stats_of("engine_restore_duration", duration_us, one);
}
