/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/checkpoint.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/image.h"
#include "cli/instance.h"
#include "cli/jobs.h"
#include "cli/output.h"
#include "cli/text.h"

struct restoring {
	const struct args *args;
	int fd;		    /* the archive */
	char *reference;    /* of an image, in its place */
	struct json *stats; /* to be printed */
};

static char **headers_of(const struct args *args)
{
	char **headers = NULL;

	if (args_has(args, "name"))
		strv_addf(&headers, "X-Stasis-name: %s", args_get(args, "name"));
	if (args_has(args, "image"))
		strv_addf(&headers, "X-Stasis-image: %s", args_get(args, "image"));
	if (args_has(args, "ignore-rootfs"))
		strv_add(&headers, "X-Stasis-ignore-rootfs: true");
	if (args_has(args, "ignore-volumes"))
		strv_add(&headers, "X-Stasis-ignore-volumes: true");
	return headers;
}

static struct json *body_of(const struct restoring *t)
{
	struct json *body = json_new_object(), *source = json_new_object();

	json_set_str(source, "type", "checkpoint-image");
	json_set_str(source, "reference", t->reference);
	json_set_bool(source, "insecure", args_has(t->args, "insecure"));
	json_set_bool(source, "ignore_rootfs", args_has(t->args, "ignore-rootfs"));
	json_set_bool(source, "ignore_volumes", args_has(t->args, "ignore-volumes"));
	json_set(body, "source", source);
	if (args_has(t->args, "name"))
		json_set_str(body, "name", args_get(t->args, "name"));
	if (args_has(t->args, "image"))
		json_set_str(body, "image", args_get(t->args, "image"));
	return body;
}

static int fetch(struct job *job, const struct restoring *t, struct json **ret_root, struct err *err)
{
	AUTO(json_free) struct json *body = body_of(t);

	return job_operation(job, "POST", "/1.0/instances", body, ret_root, err);
}

static int upload(struct job *job, const struct restoring *t, struct json **ret_root, struct err *err)
{
	AUTO(strv_free) char **headers = headers_of(t->args);
	AUTO(json_free) struct json *answer = NULL;
	int r = job_upload(job, "/1.0/instances", t->fd, headers, &answer, err);

	return r < 0 ? r : job_wait(job, answer, ret_root, err);
}

static void tell(struct job *job, const struct json *instance, const char *took)
{
	const char *name = job_name(job);

	if (instance_is(instance, "Running"))
		job_say(job, "%s: running where the checkpoint left it (%s).", name, took);
	else if (instance_is(instance, "Frozen"))
		job_say(job,
			"%s: where the checkpoint left it, and paused as it was (%s). 'stasis resume %s' lets it go "
			"on.",
			name, took, name);
	else
		job_say(job, "%s: restored, %s (%s). 'stasis start %s' starts it.", name, instance_word(instance), took,
			name);
}

static int restore_one(struct job *job, void *arg, struct err *err)
{
	struct restoring *t = arg;
	AUTO(json_free) struct json *root = NULL, *instance_root = NULL;
	const struct json *instance = NULL, *done;
	uint64_t began = clock_mono_us();
	autofree char *took = NULL;
	int r;

	r = t->reference ? fetch(job, t, &root, err) : upload(job, t, &root, err);
	if (r < 0)
		return r;
	took = text_seconds(clock_mono_us() - began);
	done = json_at(root, "/metadata/metadata");
	if (!json_get_str(done, "instance"))
		return err_set(err, -EPROTO, "the daemon does not say how the instance is called");
	job_rename(job, json_get_str(done, "instance"));
	if (args_has(t->args, "print-stats")) {
		t->stats = checkpoint_restore_stats(job_name(job), json_get_int(done, "duration_us", 0));
		return 0;
	}
	r = instance_one(job_client(job), job_name(job), &instance_root, &instance, err);
	if (r == 0)
		tell(job, instance, took);
	return r;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* What has a transport is an image, and so is a folder, which must be an OCI layout. Anything else is an archive. */
static int find_source(const char *import, struct restoring *t, struct err *err)
{
	autofree char *layout = xasprintf("oci:%s", import);

	if (is_folder(import))
		return image_absolute(layout, &t->reference, err);
	if (image_is_reference(import))
		return image_absolute(import, &t->reference, err);
	if (args_has(t->args, "insecure"))
		return err_set(err, CLI_EUSAGE, "--insecure is for images from a registry");
	if (str_eq(import, "-")) {
		if (isatty(STDIN_FILENO))
			return err_set(err, CLI_EUSAGE, "standard input is a terminal; an archive is expected there");
		t->fd = STDIN_FILENO;
		return 0;
	}
	t->fd = open(import, O_RDONLY | O_CLOEXEC);
	return t->fd < 0 ? err_sys(err, "'%s'", import) : 0;
}

static int check_words(const struct args *args, struct err *err)
{
	const char *name = args_get(args, "name"), *image = args_get(args, "image");

	if (!args_has(args, "import"))
		return err_set(
			err, CLI_EUSAGE,
			"restore from what? --import FILE or REFERENCE, or 'stasis snapshot restore NAME SNAPSHOT'");
	if (args_has(args, "publish"))
		return err_set(
			err, CLI_EUSAGE,
			"--publish is not there yet: ports come with networks, which stasis does not have so far");
	if ((name && strpbrk(name, "\r\n")) || (image && strpbrk(image, "\r\n")))
		return err_set(err, CLI_EUSAGE, "a name is one word");
	return 0;
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(strv_free) char **names = NULL;
	struct restoring t = { .args = args, .fd = -1 };
	int r = check_words(args, err);

	if (r == 0)
		r = find_source(args_get(args, "import"), &t, err);
	if (r == 0) {
		names = strv_new(args_has(args, "name") ? args_get(args, "name") : args_get(args, "import"), NULL);
		r = jobs_run(cli, names, restore_one, &t, err);
	}
	if (t.stats)
		output_json(t.stats);
	if (t.fd > STDIN_FILENO)
		(void)close(t.fd);
	json_free(t.stats);
	free(t.reference);
	return r;
}

static const struct option_row options[] = {
	{ "import", 'i', "FILE|REFERENCE",
	  "the archive ('-' is standard input), or an image: docker://…, oci:…, oci-archive:…", COMPLETE_FILE },
	{ "insecure", 0, NULL, "from a registry by plain HTTP or with an unknown certificate" },
	{ "name", 'n', "NAME", "what the instance is called (else as the archive says)" },
	{ "image", 0, "IMAGE", "that it was made from, where the archive does not tell", COMPLETE_IMAGE },
	{ "ignore-rootfs", 0, NULL, "with the image's files only, not those of the archive" },
	{ "ignore-volumes", 0, NULL, "without the archive's volumes" },
	{ "ignore-static-ip", 0, NULL, "without its address (stasis gives none so far)" },
	{ "ignore-static-mac", 0, NULL, "without its MAC address (stasis gives none so far)" },
	{ "tcp-established", 0, NULL, "with open TCP connections (which are restored anyway where there are any)" },
	{ "publish", 'p', "PORTS", "not yet: comes with networks" },
	{ "keep", 'k', NULL, "keep CRIU's logs (which are kept anyway: 'stasis info --show-log')" },
	{ "print-stats", 0, NULL, "print what it took as JSON, in microseconds" },
	{ NULL },
};

const struct command cmd_restore = {
	.name = "restore",
	.operands = "--import FILE|REFERENCE",
	.summary = "make an instance from an archive or checkpoint image and continue it",
	.help = "The archive is one of 'stasis checkpoint --export' or of Podman, the image one of --image, or of "
		"Podman.\n"
		"All or nothing: if it fails there is no new instance, and it can be tried again. Restored a second "
		"time\n"
		"under another --name it is a clone with files of its own.",
	.group = GROUP_LIFE,
	.options = options,
	.run = run,
};
