/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* state.h - PUT …/state: what is asked for, for one instance and for all */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/instance.h"

struct json;
struct operation;

enum state_action { STATE_FREEZE, STATE_RESTART, STATE_START, STATE_STOP, STATE_UNFREEZE };

struct state_request {
	enum state_action action;
	uint64_t timeout_us; /* 0: the instance's own */
	bool is_forced;
	bool is_stateful;
	const char *doing;	 /* for the claim: "stopping with state" */
	const char *description; /* for the operation, in LXD's words */
};

/* Decodes {action, timeout, force, stateful}; keeps nothing of @j. */
int state_decode(const struct json *j, struct state_request *ret, struct err *err);

/* Does it to a claimed instance. */
int state_run(struct instance *in, const struct state_request *rq, struct operation *op, struct err *err);

/* Whether an instance in @status is one that "all of them" means. */
bool state_applies(const struct state_request *rq, enum instance_status status);
