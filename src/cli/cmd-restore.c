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
#include "cli/instance.h"
#include "cli/jobs.h"
#include "cli/output.h"
#include "cli/text.h"

struct restoring {
	const struct args *args;
	int fd;		    /* the archive */
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
	AUTO(strv_free) char **headers = headers_of(t->args);
	AUTO(json_free) struct json *answer = NULL, *root = NULL, *instance_root = NULL;
	const struct json *instance = NULL, *done;
	uint64_t began = clock_mono_us();
	autofree char *took = NULL;
	int r;

	r = job_upload(job, "/1.0/instances", t->fd, headers, &answer, err);
	if (r == 0)
		r = job_wait(job, answer, &root, err);
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

static int open_archive(const char *path, int *ret_fd, struct err *err)
{
	struct stat st;

	if (str_eq(path, "-")) {
		if (isatty(STDIN_FILENO))
			return err_set(err, CLI_EUSAGE, "standard input is a terminal; an archive is expected there");
		*ret_fd = STDIN_FILENO;
		return 0;
	}
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*ret_fd < 0)
		return err_sys(err, "'%s'", path);
	if (fstat(*ret_fd, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set(err, -EISDIR, "'%s' is a folder; an archive is expected", path);
	return 0;
}

static int check_words(const struct args *args, struct err *err)
{
	const char *name = args_get(args, "name"), *image = args_get(args, "image");

	if (!args_has(args, "import"))
		return err_set(err, CLI_EUSAGE,
			       "restore from what? --import FILE, or 'stasis snapshot restore NAME SNAPSHOT'");
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
		r = open_archive(args_get(args, "import"), &t.fd, err);
	if (r == 0) {
		names = strv_new(args_has(args, "name") ? args_get(args, "name") : args_get(args, "import"), NULL);
		r = jobs_run(cli, names, restore_one, &t, err);
	}
	if (t.stats)
		output_json(t.stats);
	if (t.fd > STDIN_FILENO)
		(void)close(t.fd);
	json_free(t.stats);
	return r;
}

static const struct option_row options[] = {
	{ "import", 'i', "FILE", "the archive; '-' is standard input", COMPLETE_FILE },
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
	.operands = "--import FILE",
	.summary = "make an instance from an archive and continue it",
	.help = "The archive is one of 'stasis checkpoint --export' or of Podman. All or nothing: if it fails there "
		"is\n"
		"no new instance, and it can be tried again. Restored a second time under another --name it is a "
		"clone\n"
		"with files of its own.",
	.group = GROUP_LIFE,
	.options = options,
	.run = run,
};
