/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.c - POST …/exec: a command whose streams are websockets
 *
 * The operation waits for the client's websockets, starts the command, lets a relay move bytes, and ends with the exit
 * code in its metadata. A client that goes away takes its command with it.
 */
#include "engine/exec.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "api/decode.h"
#include "api/handlers.h"
#include "api/relay.h"
#include "api/session.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/instance.h"
#include "engine/operation.h"

#define SLICE_US (100 * US_PER_MS) /* how soon a client that went away is noticed */

struct job {
	struct engine *engine;
	struct api_context *ctx; /* only while there is a session: that is what the api waits for when it stops */
	char *instance;
	char **command, **env;
	char *cwd;
	struct exec_request rq;	 /* its pointers are those above */
	struct session *session; /* NULL: nobody is to see or feed it */
};

static void free_job(void *arg)
{
	struct job *job = arg;

	if (!job)
		return;
	if (job->session)
		session_end(job->session);
	session_unref(job->session);
	free(job->instance);
	strv_free(job->command);
	strv_free(job->env);
	free(job->cwd);
	free(job);
}
AUTO_DEFINE(struct job *, free_job)

/* ---- the request ------------------------------------------------------------------------------------------------- */

struct body {
	struct json *command, *environment;
	const char *cwd;
	int64_t user, group, width, height;
	bool interactive, wait_for_websocket, record_output;
};

static int decode_body(const struct json *j, struct body *ret, struct err *err)
{
	static const struct json_field fields[] = {
		{ "command", JSON_F_JSON, offsetof(struct body, command), true },
		{ "cwd", JSON_F_STR, offsetof(struct body, cwd), false },
		{ "environment", JSON_F_JSON, offsetof(struct body, environment), false },
		{ "group", JSON_F_INT, offsetof(struct body, group), false },
		{ "height", JSON_F_INT, offsetof(struct body, height), false },
		{ "interactive", JSON_F_BOOL, offsetof(struct body, interactive), false },
		{ "record-output", JSON_F_BOOL, offsetof(struct body, record_output), false },
		{ "user", JSON_F_INT, offsetof(struct body, user), false },
		{ "wait-for-websocket", JSON_F_BOOL, offsetof(struct body, wait_for_websocket), false },
		{ "width", JSON_F_INT, offsetof(struct body, width), false },
	};

	*ret = (struct body){ .user = -1, .group = -1 };
	return json_decode(j, fields, ARRAY_SIZE(fields), ret, err);
}

static int check_body(const struct body *b, struct err *err)
{
	if (b->record_output)
		return err_set(err, -EOPNOTSUPP, "record-output is not supported");
	if (b->interactive && !b->wait_for_websocket)
		return err_set(err, -EINVAL, "interactive needs wait-for-websocket");
	if (b->user < -1 || b->user > UINT32_MAX - 1 || b->group < -1 || b->group > UINT32_MAX - 1)
		return err_set(err, -EINVAL, "user and group must be 0 to 4294967294");
	if (b->width < 0 || b->width > UINT16_MAX || b->height < 0 || b->height > UINT16_MAX)
		return err_set(err, -EINVAL, "width and height must be 0 to 65535");
	if (b->cwd && *b->cwd && *b->cwd != '/')
		return err_set(err, -EINVAL, "cwd must be an absolute path");
	return 0;
}

static int make_job(struct request *rq, struct job *job, bool *ret_has_client, struct err *err)
{
	struct body b;
	int r;

	r = decode_body(rq->json, &b, err);
	if (r >= 0)
		r = check_body(&b, err);
	if (r >= 0)
		r = decode_strv(b.command, "command", &job->command, err);
	if (r >= 0)
		r = decode_map(b.environment, "environment", &job->env, err);
	if (r < 0)
		return r;
	if (strv_len(job->command) == 0 || !*job->command[0])
		return err_set(err, -EINVAL, "command must name a program");
	job->engine = rq->engine;
	job->ctx = rq->ctx;
	job->instance = xstrdup(rq->args[0]);
	job->cwd = b.cwd && *b.cwd ? xstrdup(b.cwd) : NULL;
	job->rq = (struct exec_request){
		.command = job->command,
		.env = job->env,
		.cwd = job->cwd,
		.uid = b.user,
		.gid = b.group,
		.has_tty = b.interactive,
		.width = (int)b.width,
		.height = (int)b.height,
	};
	*ret_has_client = b.wait_for_websocket;
	return 0;
}

/* So that the request fails and not the operation; exec_start() decides. */
static int check_running(struct request *rq, struct err *err)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;
	int r;

	r = instance_info(rq->engine, rq->args[0], /* live= */ false, &info, err);
	if (r < 0)
		return r;
	if (info->status == INSTANCE_FROZEN)
		return err_set(err, -EBUSY, "'%s' is paused: resume it first", info->name);
	if (info->status != INSTANCE_RUNNING)
		return err_set(err, -EINVAL, "'%s' is not running", info->name);
	return 0;
}

/* ---- the operation ----------------------------------------------------------------------------------------------- */

static void on_resize(void *arg, int width, int height)
{
	exec_resize(arg, width, height);
}

static void on_signal(void *arg, int signal)
{
	(void)exec_signal(arg, signal, NULL);
}

static struct ws *websocket(const struct job *job, const char *name)
{
	return job->session ? session_ws(job->session, name) : NULL;
}

/* Copies: the session itself keeps one, to set its size. */
static int relay_terminal(const struct job *job, struct relay *relay, const struct exec *x, struct err *err)
{
	autoclose int in_fd = fcntl(exec_fd(x, 0), F_DUPFD_CLOEXEC, 0);
	autoclose int out_fd = fcntl(exec_fd(x, 0), F_DUPFD_CLOEXEC, 0);
	int r;

	if (in_fd < 0 || out_fd < 0)
		return err_set(err, -EMFILE, "cannot copy a descriptor");
	r = relay_add_output(relay, TAKE_FD(out_fd), RELAY_TTY, websocket(job, "0"), err);
	if (r < 0)
		return r;
	return relay_add_input(relay, TAKE_FD(in_fd), RELAY_TTY, websocket(job, "0"), err);
}

static int relay_streams(const struct job *job, struct relay *relay, struct exec *x, struct err *err)
{
	int stdin_fd = exec_take_fd(x, 0);
	int r;

	if (job->session)
		r = relay_add_input(relay, stdin_fd, RELAY_PIPE, websocket(job, "0"), err);
	else
		r = close(stdin_fd);
	if (r >= 0)
		r = relay_add_output(relay, exec_take_fd(x, 1), RELAY_PIPE, websocket(job, "1"), err);
	if (r >= 0)
		r = relay_add_output(relay, exec_take_fd(x, 2), RELAY_PIPE, websocket(job, "2"), err);
	return r < 0 ? r : 0;
}

/* The control websocket may connect late or never. */
static int relay_late_control(const struct job *job, struct relay *relay, struct exec *x, bool *has_control,
			      struct err *err)
{
	struct relay_control control = { on_resize, on_signal, x };
	struct ws *ws = *has_control ? NULL : websocket(job, "control");

	if (!ws)
		return 0;
	*has_control = true;
	return relay_add_control(relay, &control, ws, err);
}

/* 0 while it makes sense to go on. */
static int check_client(const struct job *job, struct relay *relay, const struct operation *op, struct err *err)
{
	if (operation_is_cancelled(op))
		return err_set(err, -ECANCELED, "cancelled");
	if (!job->session)
		return 0;
	if (relay_is_abandoned(relay))
		return err_set(err, -ECONNRESET, "the client has gone");
	if (atomic_load(&job->ctx->is_stopping))
		return err_set(err, -ESHUTDOWN, "the daemon stops");
	return 0;
}

/* Until the command has ended and the client has all of its output. */
static int attend(const struct job *job, struct relay *relay, struct exec *x, struct operation *op, int *ret_code,
		  struct err *err)
{
	bool has_control = false;
	int r;

	do {
		r = relay_late_control(job, relay, x, &has_control, err);
		if (r < 0)
			return r;
		r = check_client(job, relay, op, err);
		if (r < 0)
			return r;
		r = exec_wait(x, SLICE_US, ret_code, err);
	} while (r == 0);
	if (r < 0)
		return r;
	relay_finish(relay);
	while (!relay_wait(relay, SLICE_US)) {
		r = check_client(job, relay, op, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int run_job(struct operation *op, void *arg, struct err *err)
{
	struct job *job = arg;
	AUTO(exec_free) struct exec *x = NULL;
	AUTO(relay_free) struct relay *relay = NULL;
	int code = -1, r = 0;

	if (job->session)
		r = session_wait(job->session, op, SESSION_CONNECT_US, err);
	if (r < 0)
		return r;
	r = exec_start(job->engine, job->instance, &job->rq, &x, err);
	if (r < 0)
		return r;
	r = relay_new(&relay, err);
	if (r >= 0)
		r = job->rq.has_tty ? relay_terminal(job, relay, x, err) : relay_streams(job, relay, x, err);
	if (r >= 0)
		r = attend(job, relay, x, op, &code, err);
	/* Before the relay lets go of its input, and before anybody else does. */
	if (r < 0)
		(void)exec_signal(x, SIGKILL, NULL);
	/* Threads of the relay end when their websockets do. */
	if (job->session)
		session_close(job->session, /* is_polite= */ r >= 0);
	if (r < 0)
		return r;
	operation_set(op, "return", json_new_int(code));
	return 0;
}

/* ---- the handler ------------------------------------------------------------------------------------------------- */

int post_exec(struct request *rq, struct reply *ret, struct err *err)
{
	static const char *const streams[] = { "0", "1", "2", "control", NULL };
	static const char *const terminal[] = { "0", "control", NULL };
	AUTO(free_job) struct job *job = xcalloc(1, sizeof(*job));
	AUTO(session_unref) struct session *session = NULL;
	AUTO(strv_free) char **names = strv_new(rq->args[0], NULL);
	struct operation_spec spec = { .description = "Executing command", .may_cancel = true, .instances = names };
	struct operation *op;
	bool has_client = false;
	int r;

	r = make_job(rq, job, &has_client, err);
	if (r < 0)
		return r;
	r = check_running(rq, err);
	if (r < 0)
		return r;
	if (has_client) {
		job->session = session_new(rq->ctx->sessions, job->rq.has_tty ? terminal : streams);
		session = session_ref(job->session);
		spec.kind = OPERATION_WEBSOCKET;
	}
	spec.run = run_job;
	spec.free_arg = free_job;
	spec.arg = TAKE_PTR(job);
	r = operation_start(rq->engine, &spec, &op, err);
	if (r < 0)
		return r;
	if (session) {
		session_publish(session, operation_uuid(op));
		operation_set(op, "fds", session_secrets(session));
	}
	reply_async(ret, op);
	return 0;
}
