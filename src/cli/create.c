/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/create.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/image.h"
#include "cli/jobs.h"
#include "cli/pairs.h"
#include "cli/text.h"
#include "cli/volume.h"

struct create {
	const char *image; /* NULL: the built-in one */
	const char *name;  /* NULL: the daemon makes one up */
	struct json *config, *devices;
	const struct args *args;
	bool is_started, is_name_wanted;
};

/*
 * One word is the name, and the image is the built-in one: `stasis launch web` must work on a fresh machine. Two words
 * are image and name. With --image every word is a name, and none is needed.
 */
static int read_words(struct create *c, struct err *err)
{
	char *const *words = c->args->operands;
	size_t n = c->args->n_operands;

	c->image = args_get(c->args, "image");
	if (c->image && n > 1)
		return err_set(err, CLI_EUSAGE, "'%s' is one word too many: --image already names the image", words[1]);
	if (n == 2) {
		c->image = words[0];
		c->name = words[1];
	} else if (n == 1) {
		c->name = words[0];
	}
	if (c->name && strpbrk(c->name, ":/"))
		return err_set(err, CLI_EUSAGE,
			       "'%s' is no name for an instance; as an image it comes before the name: %s %s NAME",
			       c->name, c->args->command->name, c->name);
	return 0;
}

static struct json *request_of(const struct create *c, const char *image)
{
	struct json *body = json_new_object(), *source = json_new_object();

	json_set_str(source, "type", "image");
	json_set_str(source, "alias", image ? image : "busybox");
	json_set(body, "source", source);
	json_set_str(body, "type", "container");
	if (c->name)
		json_set_str(body, "name", c->name);
	json_set(body, "config", json_copy(c->config));
	json_set(body, "devices", json_copy(c->devices));
	if (args_has(c->args, "description"))
		json_set_str(body, "description", args_get(c->args, "description"));
	json_set_bool(body, "ephemeral", args_has(c->args, "ephemeral"));
	json_set_bool(body, "start", c->is_started);
	if (c->args->rest)
		json_set(body, "command", json_new_strv(c->args->rest));
	return body;
}

/* "web" from the operation's {"resources":{"instances":["/1.0/instances/web"]}}. */
static const char *name_made(const struct json *answer)
{
	const char *url = json_str(json_at(answer, "/metadata/resources/instances/0"));

	return url ? path_base(url) : NULL;
}

/* The image as the daemon knows it, a new string. A reference is fetched, unless what came from it is here already. */
static int fetch_if_needed(struct job *job, const char *image, char **ret, struct err *err)
{
	int r;

	if (!image || !image_is_reference(image)) {
		*ret = xstrdup_null(image);
		return 0;
	}
	r = image_find_reference(job_client(job), image, ret, err);
	if (r != 0)
		return r;
	return image_pull(job, image, NULL, /* is_insecure= */ false, ret, err);
}

/* "redis" alone is a name, but whoever knows other engines may have meant the image. */
static bool is_also_image(const struct create *c, struct job *job)
{
	autofree char *path = c->name && !c->image ? client_path("images", "aliases", c->name, NULL) : NULL;

	return path && client_call(job_client(job), "GET", path, NULL, NULL, NULL) == 0;
}

static void tell(const struct create *c, struct job *job, const char *name, const char *took)
{
	if (c->is_name_wanted)
		(void)printf("%s\n", name);
	if (!str_eq(name, "busybox") && is_also_image(c, job))
		job_say(job, "%s: %s from the built-in busybox (%s). The image '%s' is used by 'stasis %s %s NAME'.",
			name, c->is_started ? "running" : "created", took, name, c->args->command->name, name);
	else if (c->is_started)
		job_say(job, "%s: running (%s).", name, took);
	else
		job_say(job, "%s: created. 'stasis start %s' starts it.", name, name);
}

/* With the volumes that are missing; if it fails, those that were made for it go again. */
static int post_instance(struct job *job, const struct create *c, const struct json *body, struct json **ret,
			 struct err *err)
{
	AUTO(strv_free) char **made = NULL;
	int r;

	r = volume_make_missing(job_client(job), c->devices, &made, err);
	if (r == 0)
		r = client_call(job_client(job), "POST", "/1.0/instances", body, ret, err);
	for (size_t i = 0; r < 0 && made && made[i]; i++)
		(void)volume_delete(job_client(job), made[i], NULL);
	return r;
}

static int create_one(struct job *job, void *arg, struct err *err)
{
	const struct create *c = arg;
	AUTO(json_free) struct json *answer = NULL, *body = NULL;
	autofree char *image = NULL;
	autofree char *took = NULL;
	const char *name;
	uint64_t began;
	int r;

	r = fetch_if_needed(job, c->image, &image, err);
	if (r < 0)
		return r;
	began = clock_mono_us();
	body = request_of(c, image);
	r = post_instance(job, c, body, &answer, err);
	if (r < 0)
		return r;
	name = name_made(answer);
	name = name ? name : c->name ? c->name : "?";
	job_rename(job, name);
	r = job_wait(job, answer, NULL, err);
	if (r < 0) {
		job_hint(job,
			 "'%s' was created all the same: 'stasis info --show-log %s' tells more, 'stasis delete %s' "
			 "removes it",
			 name, name, name);
		return r;
	}
	took = text_seconds(clock_mono_us() - began);
	tell(c, job, name, took);
	return 0;
}

int create_run(struct cli *cli, const struct args *args, bool is_started, struct err *err)
{
	AUTO(json_free) struct json *config = json_new_object(), *devices = json_new_object();
	AUTO(strv_free) char **names = NULL;
	struct create c = { .args = args, .config = config, .devices = devices, .is_started = is_started };
	int r;

	r = read_words(&c, err);
	if (r < 0)
		return r;
	r = pairs_to_json(args_all(args, "config"), config, err);
	if (r == 0)
		r = volume_words_to_devices(args_all(args, "volume"), devices, err);
	if (r < 0)
		return r;
	if (args_has(args, "tty"))
		json_set_str(config, "console.tty", "true");
	if (args->has_rest && !args->rest)
		return err_set(err, CLI_EUSAGE, "behind '--' a command is expected");
	/* A name that was made up is a result, which --quiet does not hide. */
	c.is_name_wanted = !c.name && cli->is_quiet && cli->format != TABLE_JSON;
	names = strv_new(c.name ? c.name : c.image ? c.image : "busybox", NULL);
	return jobs_run(cli, names, create_one, &c, err);
}
