/* SPDX-License-Identifier: Apache-2.0 */
/* operations.c - looking at long jobs, waiting for them, cancelling them, connecting their websockets */
#include "engine/operation.h"

#include <ctype.h>

#include "api/encode.h"
#include "api/handlers.h"
#include "api/session.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

#define SLICE_US   (250 * US_PER_MS) /* how soon a waiting request sees that its client has gone */
#define MAX_WAIT_S (365 * 86400)

/* LXD groups them: {"running": [...], "success": [...]}. */
static void add_grouped(struct json *groups, struct operation *op, bool is_full)
{
	AUTO(operation_info_done) struct operation_info info = { 0 };
	autofree char *url = xasprintf("/1.0/operations/%s", operation_uuid(op));
	autofree char *group = NULL;

	operation_get(op, &info);
	group = xstrdup(encode_operation_status(info.status));
	group[0] = (char)tolower((unsigned char)group[0]);
	if (!json_get(groups, group))
		json_set(groups, group, json_new_array());
	json_add(json_get(groups, group), is_full ? encode_operation(op) : json_new_str(url));
}

int get_operations(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(operation_list_free) struct operation **list = NULL;
	struct json *groups;
	int64_t recursion = 0;
	int r;

	r = request_query_int(rq, "recursion", 0, 2, &recursion, err);
	if (r < 0)
		return r;
	list = operation_list(rq->engine);
	groups = json_new_object();
	for (size_t i = 0; list && list[i]; i++)
		add_grouped(groups, list[i], recursion > 0);
	reply_sync(ret, groups);
	return 0;
}

int get_operation(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(operation_unref) struct operation *op = NULL;
	int r;

	r = operation_find(rq->engine, rq->args[0], &op, err);
	if (r < 0)
		return r;
	reply_sync(ret, encode_operation(op));
	return 0;
}

int get_operation_wait(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(operation_unref) struct operation *op = NULL;
	uint64_t deadline = UINT64_MAX;
	int64_t timeout = -1;
	int r;

	r = request_query_int(rq, "timeout", -1, MAX_WAIT_S, &timeout, err);
	if (r < 0)
		return r;
	r = operation_find(rq->engine, rq->args[0], &op, err);
	if (r < 0)
		return r;
	if (timeout >= 0)
		deadline = clock_mono_us() + (uint64_t)timeout * US_PER_S;
	while (true) {
		uint64_t now = clock_mono_us();
		uint64_t slice = deadline <= now ? 0 : deadline - now < SLICE_US ? deadline - now : SLICE_US;

		if (operation_wait(op, slice) || slice == 0 || request_is_gone(rq))
			break;
	}
	reply_sync(ret, encode_operation(op));
	return 0;
}

int get_operation_websocket(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(operation_unref) struct operation *op = NULL;
	struct session_slot *slot;
	int r;

	r = operation_find(rq->engine, rq->args[0], &op, err);
	if (r < 0)
		return r;
	/* First of all: a request that is no handshake must not use up the secret. */
	r = request_check_websocket(rq, err);
	if (r < 0)
		return r;
	r = sessions_claim(rq->ctx->sessions, rq->args[0], uri_query(&rq->uri, "secret"), &slot, err);
	if (r < 0)
		return r;
	reply_upgrade(ret, slot);
	return 0;
}

int delete_operation(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(operation_unref) struct operation *op = NULL;
	int r;

	r = operation_find(rq->engine, rq->args[0], &op, err);
	if (r < 0)
		return r;
	r = operation_cancel(op, err);
	if (r < 0)
		return r;
	reply_sync(ret, NULL);
	return 0;
}
