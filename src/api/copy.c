/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy.c - a new instance from another one
 *
 * Always from a checkpoint: from one that exists, or from one that is made for it and deleted afterwards, so that the
 * copy's memory and files are those of one instant. What is not to be started keeps the memory as its saved state.
 */
#include <stdio.h>
#include <string.h>

#include "api/checkpoints.h"
#include "api/decode.h"
#include "api/encode.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/config.h"
#include "engine/operation.h"

#define LEFTOVER_US (24 * 3600 * US_PER_S) /* what a crash leaves of a copy's checkpoint goes away by itself */

struct job {
	struct engine *engine;
	struct instance *in;  /* claimed: the source, while its checkpoint is made; NULL: there is one */
	char *source, *name;  /* instances */
	char uuid[UUID_SIZE]; /* of the checkpoint */
	char **config;	      /* of the copy; NULL: the source's */
	char *description;
	bool is_stateless, is_ephemeral, is_started, ignore_volumes;
};

static void free_job(void *arg)
{
	struct job *job = arg;

	if (!job)
		return;
	instance_release(job->in);
	free(job->source);
	free(job->name);
	strv_free(job->config);
	free(job->description);
	free(job);
}
AUTO_DEFINE(struct job *, free_job)

/* ---- the operation ----------------------------------------------------------------------------------------------- */

static int take(struct job *job, struct operation *op, struct err *err)
{
	struct checkpoint_options o = {
		.description = "made for a copy",
		.is_stateless = job->is_stateless,
		.ignore_volumes = job->ignore_volumes,
		.expires_us = clock_real_us() + LEFTOVER_US,
		.tcp_established = -1,
		.file_locks = -1,
	};
	char uuid[UUID_SIZE], name[32];
	int r;

	uuid_new(uuid);
	(void)snprintf(name, sizeof(name), "copy-%.8s", uuid);
	o.name = name;
	r = checkpoint_create(job->in, &o, op, job->uuid, err);
	instance_release(TAKE_PTR(job->in)); /* the source is free as soon as it can be */
	return r;
}

static int clone(const struct job *job, struct operation *op, struct err *err)
{
	AUTO(instance_release) struct instance *in = NULL;
	struct import_options o = {
		.name = job->name,
		.is_stopped = !job->is_started,
		.is_stateless = job->is_stateless,
		.ignore_volumes = job->ignore_volumes,
	};
	int r;

	r = checkpoint_clone(job->engine, job->source, job->uuid, &o, op, &in, err);
	if (r < 0 || (!job->config && !job->is_ephemeral && !*job->description))
		return r;
	r = instance_update(in, job->config, job->description, job->is_ephemeral, err);
	return r < 0 ? err_wrap(err, r, "the copy is there, but its configuration could not be set") : 0;
}

static int run(struct operation *op, void *arg, struct err *err)
{
	struct job *job = arg;
	bool is_own = job->in;
	struct err why = ERR_INIT;
	int r = 0;

	if (is_own)
		r = take(job, op, err);
	if (r < 0)
		return r;
	r = clone(job, op, err);
	if (is_own && checkpoint_delete(job->engine, job->source, job->uuid, &why) < 0)
		log_warn("cannot delete the checkpoint made for a copy of '%s': %s", job->source, why.text);
	return r;
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

/* What a client sends back of the source's own keys is no request. */
static int decode_config(const struct json *j, char ***ret, struct err *err)
{
	AUTO(strv_free) char **given = NULL, **kept = NULL;
	int r;

	r = decode_map(j, "config", &given, err);
	if (r < 0)
		return r;
	for (char **c = given; c && *c; c++) {
		autofree char *key = xstrndup(*c, strcspn(*c, "="));

		if (encode_is_volatile(*c) || str_after(*c, "volatile.") || str_after(*c, "image."))
			continue;
		r = config_check(key, *c + strlen(key) + 1, err);
		if (r < 0)
			return r;
		strv_add(&kept, *c);
	}
	*ret = TAKE_PTR(kept);
	return 0;
}

static int check_new_name(struct request *rq, const char *name, struct err *err)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;
	int r;

	if (!name || !*name)
		return err_set(err, -EINVAL, "a copy needs a name");
	r = instance_check_name(name, err);
	if (r < 0)
		return r;
	if (instance_info(rq->engine, name, /* live= */ false, &info, NULL) == 0)
		return err_set(err, -EEXIST, "there is an instance '%s' already", name);
	return 0;
}

/* "web/snap0": that checkpoint is looked for. "web": it is claimed, for one to be made. */
static int find_source(struct request *rq, const char *source, struct job *job, struct err *err)
{
	AUTO(checkpoint_info_free) struct checkpoint_info *info = NULL;
	const char *slash = source ? strchr(source, '/') : NULL;
	int r;

	if (!source || !*source)
		return err_set(err, -EINVAL, "source.source is missing: an instance, or instance/checkpoint");
	job->source = slash ? xstrndup(source, (size_t)(slash - source)) : xstrdup(source);
	if (!slash)
		return instance_claim(rq->engine, job->source, "being copied", &job->in, err);
	r = checkpoint_find(rq->engine, job->source, slash + 1, &info, err);
	if (r < 0)
		return r;
	memcpy(job->uuid, info->uuid, sizeof(job->uuid));
	return 0;
}

int copy_start(struct request *rq, const struct copy *c, struct reply *ret, struct err *err)
{
	AUTO(free_job) struct job *job = xcalloc(1, sizeof(*job));
	AUTO(strv_free) char **names = NULL;
	struct operation_spec spec = {
		.description = "Copying instance",
		.may_cancel = true,
		.run = run,
		.free_arg = free_job,
	};
	struct operation *op;
	int r;

	job->engine = rq->engine;
	job->is_stateless = c->is_stateless;
	job->is_ephemeral = c->is_ephemeral;
	job->is_started = c->is_started;
	job->ignore_volumes = c->ignore_volumes;
	job->description = xstrdup(c->description ? c->description : "");
	r = check_new_name(rq, c->name, err);
	if (r >= 0)
		r = decode_config(c->config, &job->config, err);
	if (r >= 0)
		r = find_source(rq, c->source, job, err);
	if (r < 0)
		return r;
	job->name = xstrdup(c->name);
	names = strv_new(job->name, NULL);
	spec.instances = names;
	spec.arg = TAKE_PTR(job);
	r = operation_start(rq->engine, &spec, &op, err);
	if (r < 0)
		return r;
	reply_async(ret, op);
	return 0;
}
