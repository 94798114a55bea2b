/* SPDX-License-Identifier: Apache-2.0 */
/* console.c - an instance's own terminal or output: attached to, or all of it so far */
#include <fcntl.h>
#include <string.h>

#include "api/handlers.h"
#include "api/k8slog.h"
#include "api/relay.h"
#include "api/session.h"
#include "api/streams.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/exec.h"
#include "engine/instance.h"
#include "engine/operation.h"

#define SLICE_US (100 * US_PER_MS)
#define CHUNK	 16384

/* ---- its output so far ------------------------------------------------------------------------------------------- */

static void produce_output(struct stream *s, void *arg)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	const int *fd = arg;
	struct k8slog log = { 0 };
	char buf[CHUNK];
	ssize_t n;

	while ((n = read(*fd, buf, sizeof(buf))) > 0) {
		k8slog_feed(&log, buf, (size_t)n, &out);
		if (stream_write(s, out.s, out.len) < 0)
			return;
		strbuf_reset(&out);
	}
	k8slog_end(&log, &out);
	(void)stream_write(s, out.s, out.len);
}

static void free_fd(void *arg)
{
	int *fd = arg;

	(void)close(*fd);
	free(fd);
}

int get_console(struct request *rq, struct reply *ret, struct err *err)
{
	int *arg, fd, r;

	r = instance_log_open(rq->engine, rq->args[0], "output.log", &fd, err);
	if (r < 0)
		return r;
	arg = xmemdup(&fd, sizeof(fd));
	return stream_start(rq, produce_output, free_fd, arg, ret, err);
}

/* ---- attached ---------------------------------------------------------------------------------------------------- */

struct job {
	struct api_context *ctx;
	char *instance;
	int width, height;
	struct session *session;
};

static void free_job(void *arg)
{
	struct job *job = arg;

	session_end(job->session);
	session_unref(job->session);
	free(job->instance);
	free(job);
}

static void on_resize(void *arg, int width, int height)
{
	const struct job *job = arg;

	(void)console_resize(job->ctx->engine, job->instance, width, height, NULL);
}

/* Until the instance ends, the client detaches, or somebody wants it to stop. */
static int attend(struct job *job, struct relay *relay, struct operation *op, struct err *err)
{
	struct relay_control control = { .resize = on_resize, .arg = job };
	bool has_control = false;
	int r;

	while (!relay_wait(relay, SLICE_US)) {
		struct ws *ws = has_control ? NULL : session_ws(job->session, "control");

		if (ws) {
			has_control = true;
			r = relay_add_control(relay, &control, ws, err);
			if (r < 0)
				return r;
		}
		if (relay_is_abandoned(relay))
			return 0;
		if (operation_is_cancelled(op))
			return err_set(err, -ECANCELED, "cancelled");
		if (atomic_load(&job->ctx->is_stopping))
			return err_set(err, -ESHUTDOWN, "the daemon stops");
	}
	return 0;
}

static int connect_relay(const struct job *job, struct relay *relay, int fd, struct err *err)
{
	autoclose int in_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct ws *ws = session_ws(job->session, "0");
	int r;

	/* conmon's packets name their stream, terminal or not. */
	r = relay_add_output(relay, fd, RELAY_CONMON, ws, err);
	if (r < 0)
		return r;
	if (in_fd < 0)
		return err_set(err, -EMFILE, "cannot copy a descriptor");
	return relay_add_input(relay, TAKE_FD(in_fd), RELAY_CONMON, ws, err);
}

static int run_job(struct operation *op, void *arg, struct err *err)
{
	struct job *job = arg;
	AUTO(relay_free) struct relay *relay = NULL;
	bool has_tty = false;
	int fd, r;

	r = session_wait(job->session, op, SESSION_CONNECT_US, err);
	if (r < 0)
		return r;
	r = console_open(job->ctx->engine, job->instance, &fd, &has_tty, err);
	if (r < 0)
		return r;
	if (has_tty && job->width > 0 && job->height > 0)
		on_resize(job, job->width, job->height);
	r = relay_new(&relay, err);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	r = connect_relay(job, relay, fd, err);
	if (r >= 0)
		r = attend(job, relay, op, err);
	session_close(job->session, /* is_polite= */ r >= 0 && !relay_is_abandoned(relay));
	return r;
}

static int decode(const struct json *j, struct job *job, struct err *err)
{
	struct {
		int64_t width, height;
		const char *type;
	} in = { 0 };
	static const struct json_field fields[] = {
		{ "force", JSON_F_IGNORE, 0, false }, /* any number may attach */
		{ "height", JSON_F_INT, offsetof(__typeof__(in), height), false },
		{ "type", JSON_F_STR, offsetof(__typeof__(in), type), false },
		{ "width", JSON_F_INT, offsetof(__typeof__(in), width), false },
	};
	int r;

	r = json_decode(j, fields, ARRAY_SIZE(fields), &in, err);
	if (r < 0)
		return r;
	if (in.type && *in.type && !str_eq(in.type, "console"))
		return err_set(err, -EINVAL, "type must be 'console', not '%s'", in.type);
	if (in.width < 0 || in.width > UINT16_MAX || in.height < 0 || in.height > UINT16_MAX)
		return err_set(err, -EINVAL, "width and height must be 0 to 65535");
	job->width = (int)in.width;
	job->height = (int)in.height;
	return 0;
}

int post_console(struct request *rq, struct reply *ret, struct err *err)
{
	static const char *const sockets[] = { "0", "control", NULL };
	AUTO(instance_info_free) struct instance_info *info = NULL;
	AUTO(session_unref) struct session *session = NULL;
	AUTO(strv_free) char **names = strv_new(rq->args[0], NULL);
	struct operation_spec spec = {
		.description = "Showing console",
		.kind = OPERATION_WEBSOCKET,
		.instances = names,
		.may_cancel = true,
		.run = run_job,
		.free_arg = free_job,
	};
	struct job in = { .ctx = rq->ctx }, *job;
	struct operation *op;
	int r;

	r = decode(rq->json, &in, err);
	if (r < 0)
		return r;
	r = instance_info(rq->engine, rq->args[0], /* live= */ false, &info, err);
	if (r < 0)
		return r;
	if (info->status != INSTANCE_RUNNING && info->status != INSTANCE_FROZEN)
		return err_set(err, -EINVAL, "'%s' is not running", info->name);
	session = session_new(rq->ctx->sessions, sockets);
	in.instance = xstrdup(rq->args[0]);
	in.session = session_ref(session);
	job = xmemdup(&in, sizeof(in));
	spec.arg = job;
	r = operation_start(rq->engine, &spec, &op, err);
	if (r < 0)
		return r;
	session_publish(session, operation_uuid(op));
	operation_set(op, "fds", session_secrets(session));
	reply_async(ret, op);
	return 0;
}
