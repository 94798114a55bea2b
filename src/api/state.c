/* SPDX-License-Identifier: Apache-2.0 */
/* state.c - starting, stopping and pausing one instance */
#include "api/state.h"

#include <string.h>

#include "api/encode.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/lifecycle.h"

#define MAX_TIMEOUT_S (7 * 86400)

static const struct action {
	const char *name;
	enum state_action action;
	const char *doing, *doing_stateful, *description;
} actions[] = {
	{ "freeze", STATE_FREEZE, "pausing", "pausing", "Freezing instance" },
	{ "restart", STATE_RESTART, "restarting", "restarting with state", "Restarting instance" },
	{ "start", STATE_START, "starting", "starting", "Starting instance" },
	{ "stop", STATE_STOP, "stopping", "stopping with state", "Stopping instance" },
	{ "unfreeze", STATE_UNFREEZE, "resuming", "resuming", "Unfreezing instance" },
};

static const struct action *find_action(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (strcmp(actions[i].name, name) == 0)
			return &actions[i];
	return NULL;
}

int state_decode(const struct json *j, struct state_request *ret, struct err *err)
{
	struct {
		const char *action;
		int64_t timeout;
		bool force, stateful;
	} in = { .timeout = -1 };
	static const struct json_field fields[] = {
		{ "action", JSON_F_STR, offsetof(__typeof__(in), action), true },
		{ "force", JSON_F_BOOL, offsetof(__typeof__(in), force), false },
		{ "stateful", JSON_F_BOOL, offsetof(__typeof__(in), stateful), false },
		{ "timeout", JSON_F_INT, offsetof(__typeof__(in), timeout), false },
	};
	const struct action *a;
	int r;

	/* A start uses a saved state unless it is told not to; LXD's clients always say. */
	in.stateful = json_get_str(j, "action") && strcmp(json_get_str(j, "action"), "start") == 0;
	r = json_decode(j, fields, ARRAY_SIZE(fields), &in, err);
	if (r < 0)
		return r;
	a = find_action(in.action);
	if (!a)
		return err_set(err, -EINVAL, "action must be start, stop, restart, freeze or unfreeze, not '%s'",
			       in.action);
	if (in.timeout < -1 || in.timeout > MAX_TIMEOUT_S)
		return err_set(err, -EINVAL, "timeout must be -1 (the instance's own) to %d seconds", MAX_TIMEOUT_S);
	ret->action = a->action;
	/* LXD: no time to wait is force. */
	ret->is_forced = in.force || in.timeout == 0;
	ret->timeout_us = in.timeout > 0 ? (uint64_t)in.timeout * US_PER_S : 0;
	ret->is_stateful = in.stateful;
	ret->doing = in.stateful ? a->doing_stateful : a->doing;
	ret->description = a->description;
	return 0;
}

int state_run(struct instance *in, const struct state_request *rq, struct operation *op, struct err *err)
{
	switch (rq->action) {
	case STATE_FREEZE:
		return lifecycle_pause(in, err);
	case STATE_UNFREEZE:
		return lifecycle_resume(in, err);
	case STATE_START:
		return lifecycle_start(in, /* is_stateless= */ !rq->is_stateful, op, err);
	case STATE_RESTART:
		return lifecycle_restart(in, rq->timeout_us, rq->is_forced, rq->is_stateful, op, err);
	case STATE_STOP:
		if (rq->is_stateful)
			return lifecycle_stop_stateful(in, op, err);
		return lifecycle_stop(in, rq->timeout_us, rq->is_forced, op, err);
	}
	return err_set(err, -EINVAL, "unknown action");
}

bool state_applies(const struct state_request *rq, enum instance_status status)
{
	switch (rq->action) {
	case STATE_START: /* also of a paused one: it is resumed */
		return status == INSTANCE_STOPPED || status == INSTANCE_FROZEN || status == INSTANCE_ERROR;
	case STATE_STOP:
		return status == INSTANCE_RUNNING || status == INSTANCE_FROZEN || status == INSTANCE_ERROR;
	case STATE_RESTART:
	case STATE_FREEZE:
		return status == INSTANCE_RUNNING;
	case STATE_UNFREEZE:
		return status == INSTANCE_FROZEN;
	}
	return false;
}

/* ---- handlers ---------------------------------------------------------------------------------------------------- */

int get_state(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;
	int r;

	r = instance_info(rq->engine, rq->args[0], /* live= */ true, &info, err);
	if (r < 0)
		return r;
	reply_sync(ret, encode_instance_state(info));
	return 0;
}

struct job {
	struct state_request rq;
	struct instance *in; /* claimed */
};

static int run_job(struct operation *op, void *arg, struct err *err)
{
	struct job *job = arg;

	return state_run(job->in, &job->rq, op, err);
}

static void free_job(void *arg)
{
	struct job *job = arg;

	instance_release(job->in);
	free(job);
}

int put_state(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(strv_free) char **names = NULL;
	struct operation_spec spec = { .run = run_job, .free_arg = free_job };
	struct state_request state = { 0 };
	struct operation *op;
	struct instance *in;
	struct job *job;
	int r;

	r = state_decode(rq->json, &state, err);
	if (r < 0)
		return r;
	/* Claimed here and not in the operation: who comes second is told at once. */
	r = instance_claim(rq->engine, rq->args[0], state.doing, &in, err);
	if (r < 0)
		return r;
	names = strv_new(instance_name(in), NULL);
	job = xcalloc(1, sizeof(*job));
	*job = (struct job){ state, in };
	spec.description = state.description;
	spec.instances = names;
	spec.may_cancel = state.action == STATE_STOP || state.action == STATE_START || state.action == STATE_RESTART;
	spec.arg = job;
	r = operation_start(rq->engine, &spec, &op, err);
	if (r < 0)
		return r;
	reply_async(ret, op);
	return 0;
}
