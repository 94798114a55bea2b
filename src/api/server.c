/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - what this daemon is and can do; the host's going down and coming up */
#include <string.h>
#include <sys/utsname.h>

#include "api/handlers.h"
#include "base/json.h"
#include "engine/config.h"
#include "engine/operation.h"

/*
 * Only what is kept: a client that reads a name here uses it. Never instance_bulk_state_change, whatever PUT
 * /1.0/instances can do: LXD's clients then start all instances with "stateful": false, which throws saved states away.
 */
static const char *const extensions[] = {
	"console",
	"container_cpu_time",
	"container_exec_signal_handling",
	"container_exec_user_group_cwd",
	"container_full",
	"container_host_shutdown_timeout",
	"container_last_used_at",
	"container_stop_priority",
	"etag",
	"image_create_aliases",
	"instance_create_start",
	"instance_get_full",
	"instances",
	"operation_description",
	"patch",
	"snapshot_expiry",
	"snapshot_expiry_creation",
	"stasis_bulk_state",
	"stasis_check",
	"stasis_checkpoint_archives",
	"stasis_checkpoints",
	"stasis_config_keys",
	"stasis_create_command",
	"stasis_host_actions",
	"stasis_image_file",
	"stasis_logs_follow",
	"storage",
};

int get_root(struct request *rq, struct reply *ret, struct err *err)
{
	struct json *j = json_new_array();

	json_add_str(j, "/1.0");
	reply_sync(ret, j);
	return 0;
}

static struct json *encode_checkpoint(const struct host_info *host)
{
	struct json *j = json_new_object();

	json_set_bool(j, "works", host->can_checkpoint);
	json_set_str(j, "reason", host->reason);
	json_set_str(j, "criu_version", host->criu_version);
	json_set_str(j, "criu_path", host->criu_path);
	json_set_int(j, "proof_ms", (int64_t)(host->proof_us / 1000));
	json_set_str(j, "warnings", host->warnings);
	json_set_str(j, "cgroups", host->cgroups);
	return j;
}

static struct json *encode_environment(const struct host_info *host)
{
	struct json *j = json_new_object(), *architectures = json_new_array();
	struct utsname uts = { 0 };

	(void)uname(&uts);
	json_add_str(architectures, uts.machine);
	json_set(j, "addresses", json_new_array());
	json_set(j, "architectures", architectures);
	json_set_str(j, "certificate", "");
	json_set_str(j, "driver", "crun");
	json_set_str(j, "driver_version", host->crun_version);
	json_set_str(j, "kernel", uts.sysname);
	json_set_str(j, "kernel_architecture", uts.machine);
	json_set_str(j, "kernel_version", host->kernel);
	json_set_str(j, "project", "default");
	json_set_str(j, "server", "stasis");
	json_set_bool(j, "server_clustered", false);
	json_set_str(j, "server_name", uts.nodename);
	json_set_int(j, "server_pid", getpid());
	json_set_str(j, "server_version", STASIS_VERSION);
	json_set_str(j, "storage", "overlay");
	json_set_str(j, "storage_version", "1");
	json_set_str(j, "conmon_version", host->conmon_version);
	json_set_str(j, "driver_path", host->crun_path);
	json_set(j, "checkpoint", encode_checkpoint(host));
	return j;
}

int get_server(struct request *rq, struct reply *ret, struct err *err)
{
	struct json *j = json_new_object(), *names = json_new_array();
	struct host_info host = { 0 };

	engine_host_info(rq->engine, &host);
	for (size_t i = 0; i < ARRAY_SIZE(extensions); i++)
		json_add_str(names, extensions[i]);
	json_set(j, "api_extensions", names);
	json_set_str(j, "api_status", "stable");
	json_set_str(j, "api_version", "1.0");
	json_set_str(j, "auth", "trusted");
	json_set(j, "auth_methods", json_new_array());
	json_set_str(j, "auth_user_method", "unix");
	json_set_bool(j, "public", false);
	json_set(j, "config", json_new_object());
	json_set(j, "environment", encode_environment(&host));
	reply_sync(ret, j);
	return 0;
}

/* ---- configuration keys ------------------------------------------------------------------------------------------ */

static const char *type_name(enum config_type type)
{
	static const char *const names[] = {
		[CONFIG_STRING] = "string", [CONFIG_BOOL] = "bool",	[CONFIG_INT] = "int",
		[CONFIG_TIME] = "time",	    [CONFIG_SIZE] = "size",	[CONFIG_ENUM] = "enum",
		[CONFIG_WORDS] = "words",   [CONFIG_SIGNAL] = "signal",
	};

	return (size_t)type < ARRAY_SIZE(names) && names[type] ? names[type] : "string";
}

int get_config_keys(struct request *rq, struct reply *ret, struct err *err)
{
	struct json *list = json_new_array();

	for (const struct config_key *k = config_table(); k->name; k++) {
		struct json *j = json_new_object();

		json_set_str(j, "name", k->name);
		json_set_str(j, "type", type_name(k->type));
		json_set_str(j, "default", k->fallback);
		json_set_str(j, "values", k->values);
		json_set_bool(j, "live", k->is_live);
		json_set_bool(j, "volatile", k->is_volatile);
		json_set_str(j, "help", k->help);
		json_add(list, j);
	}
	reply_sync(ret, list);
	return 0;
}

/* ---- the host goes down, comes up -------------------------------------------------------------------------------- */

static int run_shutdown(struct operation *op, void *arg, struct err *err)
{
	return engine_shutdown(arg, op, err);
}

static int run_boot(struct operation *op, void *arg, struct err *err)
{
	return engine_boot(arg, op, err);
}

int put_shutdown(struct request *rq, struct reply *ret, struct err *err)
{
	struct operation_spec spec = { .description = "Taking all instances down",
				       .run = run_shutdown,
				       .arg = rq->engine };
	struct operation *op;
	int r;

	r = operation_start(rq->engine, &spec, &op, err);
	if (r == 0)
		reply_async(ret, op);
	return r;
}

int put_boot(struct request *rq, struct reply *ret, struct err *err)
{
	struct operation_spec spec = { .description = "Starting instances", .run = run_boot, .arg = rq->engine };
	struct operation *op;
	int r;

	r = operation_start(rq->engine, &spec, &op, err);
	if (r == 0)
		reply_async(ret, op);
	return r;
}
