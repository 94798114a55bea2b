/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - the pre-flight: can this instance be checkpointed, and if not why */
#include "api/handlers.h"
#include "base/json.h"
#include "engine/lifecycle.h"

static struct json *encode_obstacle(const struct obstacle *o)
{
	struct json *j = json_new_object();

	json_set_int(j, "pid", o->pid);
	json_set_str(j, "command", o->command);
	json_set_str(j, "resource", o->resource);
	json_set_str(j, "remedy", o->remedy);
	json_set_bool(j, "fatal", o->is_fatal);
	return j;
}

int get_check(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(check_report_free) struct check_report *report = NULL;
	struct json *j, *obstacles;
	bool can_checkpoint = true;
	int r;

	r = lifecycle_check(rq->engine, rq->args[0], &report, err);
	if (r < 0)
		return r;
	j = json_new_object();
	obstacles = json_new_array();
	for (size_t i = 0; i < report->n_obstacles; i++) {
		can_checkpoint &= !report->obstacles[i].is_fatal;
		json_add(obstacles, encode_obstacle(&report->obstacles[i]));
	}
	json_set_bool(j, "can_checkpoint", can_checkpoint);
	json_set_int(j, "processes", report->processes);
	json_set_int(j, "threads", report->threads);
	json_set_int(j, "memory", (int64_t)report->memory_bytes);
	json_set(j, "obstacles", obstacles);
	reply_sync(ret, j);
	return 0;
}
