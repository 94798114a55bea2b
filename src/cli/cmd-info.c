/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/facts.h"
#include "cli/instance.h"
#include "cli/output.h"
#include "cli/term.h"
#include "cli/text.h"

static const struct option_row options[] = {
	{ "show-log", 0, NULL, "also the instance's history, with CRIU's explanations" },
	{ NULL },
};

/* "why not" is the most important line of this command; it gets the little colour there is. */
static void print_checkpoints(const struct json *checkpoint)
{
	bool works = json_get_bool(checkpoint, "works", false);
	const char *reason = json_get_str(checkpoint, "reason");
	autofree char *took = text_ms(json_get_int(checkpoint, "proof_ms", 0));
	autofree char *why = text_safe(reason && *reason ? reason : "the daemon does not say why");
	const char *off = term_style(STDOUT_FILENO, TERM_PLAIN);

	if (works)
		(void)printf("%sCheckpoints work: yes%s, proven in %s.\n", term_style(STDOUT_FILENO, TERM_GREEN), off,
			     took);
	else
		(void)printf("%sCheckpoints work: no%s. %s\n", term_style(STDOUT_FILENO, TERM_RED), off, why);
}

static int info_server(struct cli *cli, struct client *c, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	AUTO(facts_free) struct facts *f = facts_new();
	const struct json *server = NULL, *env = NULL, *checkpoint = NULL;
	int r;

	r = client_get(c, "/1.0", &root, &server, err);
	if (r < 0)
		return r;
	if (cli->format == TABLE_JSON) {
		output_json(server);
		return CLI_OK;
	}
	env = json_get(server, "environment");
	checkpoint = json_get(env, "checkpoint");
	print_checkpoints(checkpoint);
	facts_add(f, "Daemon", json_get_str(env, "server_version"));
	facts_add(f, "Socket", cli->socket);
	facts_addf(f, "Runtime", "%s %s", output_word(env, "driver"), output_word(env, "driver_version"));
	facts_addf(f, "CRIU", "%s (%s)", output_word(checkpoint, "criu_version"), output_word(checkpoint, "criu_path"));
	facts_add(f, "conmon", json_get_str(env, "conmon_version"));
	facts_addf(f, "Kernel", "%s %s", output_word(env, "kernel"), output_word(env, "kernel_version"));
	facts_add(f, "Storage", json_get_str(env, "storage"));
	facts_add(f, "Cgroups", json_get_str(checkpoint, "cgroups"));
	facts_add(f, "Warning", json_get_str(checkpoint, "warnings"));
	facts_print(f);
	return CLI_OK;
}

static void add_state(struct facts *f, const struct json *in)
{
	autofree char *since = text_ago(json_str(json_at(in, "/stasis/started_at")));
	int64_t pid = json_int(json_at(in, "/stasis/pid"), 0);
	const struct json *code = json_at(in, "/stasis/exit_code");

	if (pid > 0)
		facts_addf(f, "State", "%s (process %lld, started %s)", instance_word(in), (long long)pid, since);
	else if (json_type(code) == JSON_INT && !json_get_bool(in, "stateful", false))
		facts_addf(f, "State", "%s (exit code %lld)", instance_word(in), (long long)json_int(code, 0));
	else
		facts_add(f, "State", instance_word(in));
	if (json_bool(json_at(in, "/stasis/busy"), false))
		facts_add(f, "Busy", "yes: 'stasis operation list' says with what");
	facts_add(f, "Last error", json_str(json_at(in, "/stasis/last_error")));
}

static void add_saved(struct facts *f, const char *name, const struct json *state, const char *instance)
{
	autofree char *size = text_bytes(json_get_int(state, "bytes", -1));
	autofree char *time = text_time(json_get_str(state, "created_at"));
	autofree char *ago = text_ago(json_get_str(state, "created_at"));
	autofree char *frozen = text_ms(json_get_int(state, "frozen_ms", 0));
	autofree char *dump = text_ms(json_get_int(state, "dump_ms", 0));
	autofree char *copy = text_ms(json_get_int(state, "copy_ms", 0));
	autofree char *sync = text_ms(json_get_int(state, "sync_ms", 0));
	int64_t n = json_get_int(state, "processes", 0);

	if (json_type(state) != JSON_OBJECT)
		return;
	facts_addf(f, name, "%s of %lld process%s, saved %s (%s)", size, (long long)n, n == 1 ? "" : "es", time, ago);
	if (!instance)
		return; /* used: how it was made matters no more */
	facts_addf(f, name, "memory %s, files %s, to disk %s; held still %s in all", dump, copy, sync, frozen);
	facts_addf(f, name, "'stasis start %s' continues it", instance);
}

static void add_usage(struct facts *f, const struct json *state)
{
	int64_t processes = json_get_int(state, "processes", 0);
	int64_t cpu = json_int(json_at(state, "/cpu/usage"), 0);
	autofree char *memory = text_bytes(json_int(json_at(state, "/memory/usage"), 0));
	autofree char *disk = text_bytes(json_int(json_at(state, "/disk/root/usage"), 0));
	autofree char *seconds = text_seconds(cpu > 0 ? (uint64_t)cpu / 1000 : 0);

	if (processes > 0) {
		facts_addf(f, "Processes", "%lld", (long long)processes);
		facts_add(f, "Memory", memory);
		facts_add(f, "Processor", seconds);
	}
	facts_addf(f, "Disk", "%s of its own", disk);
}

static void add_config(struct facts *f, const struct json *config)
{
	for (struct json_iter it = json_iter(config); json_next(&it);)
		facts_addf(f, "Configuration", "%s=%s", it.key, json_str(it.value) ? json_str(it.value) : "");
}

static void add_volumes(struct facts *f, const struct json *devices)
{
	for (struct json_iter it = json_iter(devices); json_next(&it);)
		if (json_get_str(it.value, "source"))
			facts_addf(f, "Volume", "%s at %s%s", json_get_str(it.value, "source"),
				   output_word(it.value, "path"),
				   str_eq(json_get_str(it.value, "readonly"), "true") ? " (read-only)" : "");
}

static void print_instance(const struct json *in)
{
	AUTO(facts_free) struct facts *f = facts_new();
	autofree char *created = text_time(json_get_str(in, "created_at"));
	autofree char *used = text_time(json_get_str(in, "last_used_at"));
	const char *fingerprint = json_str(json_at(in, "/stasis/image"));

	facts_add(f, "Name", instance_name(in));
	facts_add(f, "Description", json_get_str(in, "description"));
	add_state(f, in);
	add_saved(f, "Saved state", json_at(in, "/stasis/state"), instance_name(in));
	add_saved(f, "Used state", json_at(in, "/stasis/previous"), NULL);
	facts_addf(f, "Image", "%s (%.12s)", output_word(json_get(in, "stasis"), "image_description"),
		   fingerprint ? fingerprint : "-");
	facts_add(f, "Architecture", json_get_str(in, "architecture"));
	facts_add(f, "Created", created);
	facts_add(f, "Last used", used);
	if (json_get_bool(in, "ephemeral", false))
		facts_add(f, "Ephemeral", "yes: deleted when it stops");
	add_usage(f, json_get(in, "state"));
	add_volumes(f, json_get(in, "devices"));
	add_config(f, json_get(in, "config"));
	facts_add(f, "UUID", json_str(json_at(in, "/stasis/uuid")));
	facts_print(f);
}

/* CRIU quotes what it finds in images and processes: nothing of it may steer the terminal. */
static int print_log(struct client *c, const char *name, struct err *err)
{
	autofree char *path = client_path("instances", name, "logs", "stasis.log", NULL);
	AUTO(strbuf_done) struct strbuf log = STRBUF_INIT;
	autofree char *shown = NULL;
	int r;

	r = client_read(c, path, output_collect, &log, err);
	if (r == -ENOENT) {
		(void)puts("\nThe log is empty so far.");
		return CLI_OK;
	}
	if (r < 0)
		return r;
	shown = text_safe_lines(log.s);
	(void)printf("\n%s", shown);
	return CLI_OK;
}

static int info_instance(struct cli *cli, struct client *c, const struct args *args, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	autofree char *plain = client_path("instances", args->operands[0], NULL);
	autofree char *path = xasprintf("%s?recursion=1", plain);
	const struct json *instance = NULL;
	int r;

	r = client_get(c, path, &root, &instance, err);
	if (r < 0)
		return r;
	if (cli->format == TABLE_JSON) {
		output_json(instance);
		return CLI_OK;
	}
	print_instance(instance);
	return args_has(args, "show-log") ? print_log(c, args->operands[0], err) : CLI_OK;
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	struct client *client = NULL;
	int r;

	if (args->n_operands == 0 && args_has(args, "show-log"))
		return err_set(err, CLI_EUSAGE, "whose log? stasis info --show-log NAME");
	r = cli_client(cli, &client, err);
	if (r < 0)
		return r;
	return args->n_operands == 0 ? info_server(cli, client, err) : info_instance(cli, client, args, err);
}

const struct command cmd_info = {
	.name = "info",
	.operands = "[NAME]",
	.summary = "tell everything about an instance, or about the daemon and this host",
	.help = "Without a name: whether checkpoints work on this host, which the daemon finds out by making one when\n"
		"it starts, and with what.",
	.group = GROUP_KNOW,
	.options = options,
	.max = 1,
	.complete = COMPLETE_INSTANCE,
	.run = run,
};
