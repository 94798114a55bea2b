/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd-checkpoint.c - checkpoints, and above all: one into a file or image
 *
 * `checkpoint NAME --export FILE` is several requests: the checkpoint is made, read as an archive and deleted again.
 * The file is opened first, so that nothing stands still for an archive that cannot be written. An image (--image) is
 * written by the daemon.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "base/uuid.h"
#include "cli/checkpoint.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/image.h"
#include "cli/instance.h"
#include "cli/jobs.h"
#include "cli/outfile.h"
#include "cli/output.h"
#include "cli/text.h"

enum {
	PACKED = 4,	       /* a compressed archive is hardly ever smaller than this part of what is in it */
	LEFTOVER_S = 24 * 3600 /* what an interrupted export leaves goes away by itself */
};

struct taking {
	const struct args *args;
	const char *file; /* NULL: none, "-": standard output */
	char *image;	  /* NULL: none */
	struct outfile out;
	char *name;	    /* of the checkpoint */
	struct json *root;  /* the operation's answer */
	struct json *stats; /* to be printed */
	struct err *err;    /* of the sink */
};

static const struct json *taken(const struct taking *t)
{
	return json_at(t->root, "/metadata/metadata/checkpoint");
}

static bool is_file(const struct taking *t)
{
	return t->file && !str_eq(t->file, "-");
}

static bool is_kept(const struct taking *t)
{
	return (!t->file && !t->image) || args_has(t->args, "keep") || args_has(t->args, "name");
}

/* ---- before anything stands still -------------------------------------------------------------------------------- */

static int check_room(struct job *job, struct taking *t, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	autofree char *path = client_path("instances", job_name(job), "state", NULL);
	const struct json *state = NULL;
	int64_t bytes;
	int r;

	r = client_get(job_client(job), path, &root, &state, err);
	if (r < 0)
		return r;
	bytes = json_int(json_at(state, "/memory/usage"), 0) + json_int(json_at(state, "/disk/root/usage"), 0);
	if (!str_eq(args_get(t->args, "compress"), "none"))
		bytes /= PACKED;
	return outfile_check_room(&t->out, bytes > 0 ? (uint64_t)bytes : 0, err);
}

static int prepare(struct job *job, struct taking *t, struct err *err)
{
	int r;

	if (!is_file(t))
		return 0;
	r = outfile_open(&t->out, t->file, err);
	return r < 0 ? r : check_room(job, t, err);
}

static int stop(struct job *job, struct err *err)
{
	AUTO(json_free) struct json *root = NULL, *body = json_new_object();
	autofree char *path = client_path("instances", job_name(job), "state", NULL);
	const struct json *instance = NULL;
	int r;

	r = instance_one(job_client(job), job_name(job), &root, &instance, err);
	if (r < 0 || instance_is(instance, "Stopped"))
		return r;
	json_set_str(body, "action", "stop");
	json_set_bool(body, "stateful", true);
	r = job_operation(job, "PUT", path, body, NULL, err);
	if (r == 0)
		job_hint(job, "'%s' is stopped, its state is saved: 'stasis start %s' continues it", job_name(job),
			 job_name(job));
	return r;
}

/* ---- the checkpoint ---------------------------------------------------------------------------------------------- */

/* Nobody knows it but us, and nobody is to find it later. */
static void name_leftover(struct json *body)
{
	char when[CLOCK_RFC3339_SIZE];
	char uuid[UUID_SIZE];

	uuid_new(uuid);
	json_set_strf(body, "name", "export-%.8s", uuid);
	json_set_str(body, "description", "made for an export");
	json_set_str(body, "expires_at", clock_rfc3339(clock_real_us() + LEFTOVER_S * US_PER_S, when));
}

static struct json *request_of(const struct taking *t)
{
	static const struct {
		const char *option, *member;
	} flags[] = {
		{ "file-locks", "file_locks" },
		{ "ignore-rootfs", "ignore_rootfs" },
		{ "ignore-volumes", "ignore_volumes" },
		{ "tcp-established", "tcp_established" },
	};
	struct json *body = json_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (args_has(t->args, flags[i].option))
			json_set_bool(body, flags[i].member, true);
	if (args_has(t->args, "max-pause"))
		json_set_str(body, "max_pause", args_get(t->args, "max-pause"));
	if (args_has(t->args, "name"))
		json_set_str(body, "name", args_get(t->args, "name"));
	else if (!is_kept(t))
		name_leftover(body);
	return body;
}

static int take(struct job *job, struct taking *t, struct err *err)
{
	AUTO(json_free) struct json *body = request_of(t);
	autofree char *path = client_path("instances", job_name(job), "checkpoints", NULL);
	int r;

	r = job_operation(job, "POST", path, body, &t->root, err);
	if (r < 0)
		return r;
	t->name = xstrdup_null(json_get_str(taken(t), "name"));
	return t->name ? 0 : err_set(err, -EPROTO, "the daemon does not say how the checkpoint is called");
}

/* ---- the archive ------------------------------------------------------------------------------------------------- */

static int sink(void *arg, const char *data, size_t n)
{
	struct taking *t = arg;

	if (is_file(t))
		return outfile_write(&t->out, data, n, t->err);
	return file_write_all(STDOUT_FILENO, data, n, t->err);
}

static int export(struct job *job, struct taking *t, struct err *err)
{
	const char *compress = args_get(t->args, "compress");
	autofree char *plain = client_path("instances", job_name(job), "checkpoints", t->name, "export", NULL);
	autofree char *path = xasprintf("%s?compression=%s%s%s", plain, compress ? compress : "zstd",
					args_has(t->args, "ignore-rootfs") ? "&ignore_rootfs=true" : "",
					args_has(t->args, "ignore-volumes") ? "&ignore_volumes=true" : "");
	int r;

	t->err = err;
	r = job_produce(job, path, sink, t, err);
	if (r == 0 && is_file(t))
		r = outfile_commit(&t->out, err);
	return r;
}

/* ---- the image --------------------------------------------------------------------------------------------------- */

static int write_image(struct job *job, const struct taking *t, struct err *err)
{
	autofree char *path = client_path("instances", job_name(job), "checkpoints", t->name, "image", NULL);
	AUTO(json_free) struct json *body = json_new_object();

	json_set_str(body, "reference", t->image);
	json_set_bool(body, "insecure", args_has(t->args, "insecure"));
	json_set_bool(body, "ignore_rootfs", args_has(t->args, "ignore-rootfs"));
	json_set_bool(body, "ignore_volumes", args_has(t->args, "ignore-volumes"));
	if (args_has(t->args, "compress"))
		json_set_str(body, "compression", args_get(t->args, "compress"));
	return job_operation(job, "POST", path, body, NULL, err);
}

static void drop(struct job *job, const struct taking *t)
{
	autofree char *path = client_path("instances", job_name(job), "checkpoints", t->name, NULL);
	struct err err = ERR_INIT;

	if (job_operation(job, "DELETE", path, NULL, NULL, &err) < 0)
		cli_complain("the checkpoint '%s' made for this could not be deleted: %s", t->name, err.text);
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static void tell(struct job *job, const struct taking *t)
{
	autofree char *words = checkpoint_words(taken(t));
	autofree char *size = text_bytes((int64_t)t->out.n_written);
	autofree char *stopped = args_has(t->args, "stop")
					 ? xasprintf(" It is stopped; 'stasis start %s' continues it.", job_name(job))
					 : xstrdup("");

	job_detail(job, "checkpoint", is_kept(t) ? t->name : NULL);
	if (t->stats || str_eq(t->file, "-"))
		return;
	if (!t->file && t->image)
		job_say(job, "%s: written to %s (%s). 'stasis restore --import %s' makes an instance of it.%s",
			job_name(job), t->image, words, t->image, stopped);
	else if (!t->file)
		job_say(job, "%s: checkpoint '%s' taken (%s). 'stasis snapshot restore %s %s' goes back to it.%s",
			job_name(job), t->name, words, job_name(job), t->name, stopped);
	else
		job_say(job,
			"%s: exported to %s (%s; %s). 'stasis restore --import %s --name NEW' makes an instance of "
			"it.%s",
			job_name(job), t->file, size, words, t->file, stopped);
}

static int checkpoint_one(struct job *job, void *arg, struct err *err)
{
	struct taking *t = arg;
	int r;

	r = prepare(job, t, err);
	if (r == 0 && args_has(t->args, "stop"))
		r = stop(job, err);
	if (r == 0)
		r = take(job, t, err);
	if (r < 0)
		return r;
	if (t->file)
		r = export(job, t, err);
	if (r == 0 && t->image)
		r = write_image(job, t, err);
	if (!is_kept(t))
		drop(job, t);
	if (r < 0)
		return r;
	if (args_has(t->args, "print-stats"))
		t->stats = checkpoint_stats(taken(t));
	tell(job, t);
	return 0;
}

static int check_words(const struct args *args, struct err *err)
{
	const char *compress = args_get(args, "compress");
	int r = checkpoint_check_pause(args_get(args, "max-pause"), err);

	if (r < 0)
		return r;
	if (args_has(args, "stop") && args_has(args, "leave-running"))
		return err_set(err, CLI_EUSAGE, "--stop and --leave-running contradict each other");
	if (compress && !args_has(args, "export") && !args_has(args, "image"))
		return err_set(err, CLI_EUSAGE, "--compress is for --export and --image");
	if (args_has(args, "insecure") && !args_has(args, "image"))
		return err_set(err, CLI_EUSAGE, "--insecure is for --image");
	if (compress && !str_eq(compress, "zstd") && !str_eq(compress, "gzip") && !str_eq(compress, "none"))
		return err_set(err, CLI_EUSAGE, "--compress must be zstd, gzip or none, not '%s'", compress);
	if (str_eq(args_get(args, "export"), "-") && isatty(STDOUT_FILENO))
		return err_set(err, CLI_EUSAGE, "standard output is a terminal: an archive is no text");
	if (str_eq(args_get(args, "export"), "-") && args_has(args, "print-stats"))
		return err_set(err, CLI_EUSAGE, "--print-stats and an archive cannot both go to standard output");
	return 0;
}

/* Known before anything stands still: where the daemon writes images to. */
static int find_image(const struct args *args, char **ret, struct err *err)
{
	static const char *const places[] = { "docker://", "oci:", "oci-archive:", "containers-storage:" };
	const char *image = args_get(args, "image");

	for (size_t i = 0; image && i < ARRAY_SIZE(places); i++)
		if (str_after(image, places[i]))
			return image_absolute(image, ret, err);
	if (!image)
		return 0;
	return err_set(err, CLI_EUSAGE,
		       "'%s' is no place for an image: docker://HOST/NAME:TAG, oci:FOLDER:TAG, oci-archive:FILE or "
		       "containers-storage:NAME",
		       image);
}

static int run_create(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(strv_free) char **names = strv_new(args->operands[0], NULL);
	struct taking t = { .args = args, .file = args_get(args, "export"), .out = OUTFILE_NONE };
	int r = check_words(args, err);

	if (r == 0)
		r = find_image(args, &t.image, err);
	if (r < 0)
		return r;
	if (str_eq(t.file, "-"))
		cli->format = TABLE_PLAIN; /* standard output is the archive's */
	r = jobs_run(cli, names, checkpoint_one, &t, err);
	if (t.stats)
		output_json(t.stats);
	outfile_done(&t.out);
	json_free(t.stats);
	json_free(t.root);
	free(t.name);
	free(t.image);
	return r;
}

static const struct option_row create_options[] = {
	{ "export", 'e', "FILE", "write it to this file as an archive; '-' is standard output", COMPLETE_FILE },
	{ "image", 0, "REFERENCE",
	  "write it as an OCI image: docker://HOST/NAME:TAG, oci:FOLDER:TAG, oci-archive:FILE" },
	{ "insecure", 0, NULL, "to a registry by plain HTTP or with an unknown certificate" },
	{ "leave-running", 'R', NULL, "the instance runs on (that is what it does anyway)" },
	{ "stop", 0, NULL, "stop it with its state first; nothing runs in between" },
	{ "compress", 'c', "zstd|gzip|none", "how the archive is packed (else zstd, in an image gzip)",
	  COMPLETE_WORDS },
	{ "ignore-rootfs", 0, NULL, "without the files that differ from the image" },
	{ "ignore-volumes", 0, NULL, "without the content of volumes" },
	{ "tcp-established", 0, NULL, "with open TCP connections, whatever its configuration says" },
	{ "file-locks", 0, NULL, "with file locks, whatever its configuration says" },
	{ "max-pause", 0, "TIME", "give up when it would stand still for longer: 500ms, 2s" },
	{ "name", 'n', "CHECKPOINT", "call it so, and keep it" },
	{ "keep", 'k', NULL, "keep the checkpoint that was made for an archive or image" },
	{ "print-stats", 0, NULL, "print what it took as JSON, in microseconds" },
	{ NULL },
};

static const struct command cmd_create_checkpoint = {
	.name = "create",
	.operands = "NAME",
	.summary = "take one; the same as 'stasis checkpoint NAME'",
	.help = "Memory, files and volumes are those of one instant, and the instance runs on. With --export it "
		"becomes\n"
		"an archive as Podman's, which appears under its name when it is whole; a file that was there before\n"
		"stays until then. With --image it becomes an OCI image, which Podman restores, too. The checkpoint "
		"itself\n"
		"is deleted afterwards, unless --keep or --name say otherwise.",
	.options = create_options,
	.min = 1,
	.max = 1,
	.complete = COMPLETE_RUNNING,
	.run = run_create,
};

static int run_list(struct cli *cli, const struct args *args, struct err *err)
{
	return checkpoint_print_list(cli, args->n_operands > 0 ? args->operands[0] : NULL, err);
}

static const struct command cmd_list_checkpoints = {
	.name = "list",
	.operands = "[NAME]",
	.summary = "show an instance's checkpoints, or all",
	.max = 1,
	.complete = COMPLETE_INSTANCE,
	.run = run_list,
};

static int run_info(struct cli *cli, const struct args *args, struct err *err)
{
	return checkpoint_print_info(cli, args->operands[0], args->operands[1], err);
}

static const struct command cmd_info_checkpoint = {
	.name = "info",
	.operands = "NAME CHECKPOINT",
	.summary = "tell everything about one, with its time line",
	.min = 2,
	.max = 2,
	.complete = COMPLETE_NAME_SNAP,
	.run = run_info,
};

static const struct command cmd_delete_checkpoint = {
	.name = "delete",
	.operands = "NAME CHECKPOINT…",
	.summary = "delete some; the instance is not touched",
	.min = 2,
	.max = -1,
	.complete = COMPLETE_NAME_SNAP,
	.run = checkpoint_delete_all,
};

static const struct command *const subs[] = { &cmd_create_checkpoint, &cmd_list_checkpoints, &cmd_info_checkpoint,
					      &cmd_delete_checkpoint, NULL };

const struct command cmd_checkpoint = {
	.name = "checkpoint",
	.operands = "NAME [OPTION…] | COMMAND …",
	.summary = "an instance at one instant, kept here or in a file",
	.help = "'stasis checkpoint NAME' takes one. Snapshots are checkpoints, too: 'stasis snapshot' shows and\n"
		"restores the same ones.",
	.group = GROUP_LIFE,
	.subs = subs,
	.otherwise = &cmd_create_checkpoint,
	.max = -1,
	.free_after = 1,
	.complete = COMPLETE_COMMAND,
};
