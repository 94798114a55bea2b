/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.c - threads that each move one direction
 *
 * The process's side is non-blocking and always polled together with `over`, an eventfd that says that the process has
 * ended; the client's side blocks in ws_send() or ws_recv() until session_close() shuts the socket.
 */
#include "api/relay.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sync.h"
#include "base/ws.h"

#define MAX_THREADS 5
#define CHUNK	    8192	  /* conmon takes packets of up to this size */
#define MAX_LEFT    (1024 * 1024) /* read after the process's end: more comes from somebody who goes on writing */

struct lane {
	struct relay *relay;
	pthread_t thread;
	int fd;
	enum relay_kind kind;
	struct ws *ws;
	struct relay_control control;
};

struct relay {
	int over;
	size_t n_lanes;
	struct lane lanes[MAX_THREADS];
	struct mutex mutex; /* guards what follows */
	struct cond cond;
	bool has_outputs;
	int n_outputs; /* that run */
	int n_heard;   /* that the client has not hung up on */
	bool is_abandoned;
};

int relay_new(struct relay **ret, struct err *err)
{
	autoclose int over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct relay *r;

	if (over < 0)
		return err_sys(err, "eventfd");
	r = xcalloc(1, sizeof(*r));
	r->over = TAKE_FD(over);
	mutex_init(&r->mutex);
	cond_init(&r->cond);
	*ret = r;
	return 0;
}

void relay_finish(struct relay *r)
{
	/* Never read, so it stays readable for all; adding 1 cannot overflow. */
	(void)eventfd_write(r->over, 1);
}

bool relay_is_abandoned(struct relay *r)
{
	SCOPED_LOCK(&r->mutex);
	/* Seen from the one thread that adds them: when the first hangs up, there may be more to come. */
	return r->is_abandoned || (r->has_outputs && r->n_heard == 0);
}

bool relay_wait(struct relay *r, uint64_t timeout_us)
{
	uint64_t deadline = clock_mono_us() + timeout_us;
	SCOPED_LOCK(&r->mutex);

	while (r->n_outputs > 0)
		if (cond_wait_until(&r->cond, &r->mutex, deadline) < 0)
			return r->n_outputs == 0;
	return true;
}

void relay_free(struct relay *r)
{
	if (!r)
		return;
	relay_finish(r);
	for (size_t i = 0; i < r->n_lanes; i++)
		(void)pthread_join(r->lanes[i].thread, NULL);
	(void)close(r->over);
	cond_done(&r->cond);
	mutex_done(&r->mutex);
	free(r);
}

static void set_abandoned(struct relay *r)
{
	SCOPED_LOCK(&r->mutex);
	r->is_abandoned = true;
	cond_broadcast(&r->cond);
}

static int add_lane(struct relay *r, const struct lane *lane, const char *name, void *(*fn)(void *), struct err *err)
{
	struct lane *new_lane = &r->lanes[r->n_lanes];
	int ret;

	assert(r->n_lanes < MAX_THREADS);
	*new_lane = *lane;
	new_lane->relay = r;
	if (lane->fd >= 0 && fcntl(lane->fd, F_SETFL, fcntl(lane->fd, F_GETFL) | O_NONBLOCK) < 0) {
		ret = err_sys(err, "cannot make a descriptor non-blocking");
		(void)close(lane->fd);
		return ret;
	}
	ret = thread_start(&new_lane->thread, name, fn, new_lane, err);
	if (ret < 0) {
		if (lane->fd >= 0)
			(void)close(lane->fd);
		return ret;
	}
	r->n_lanes++;
	return 0;
}

/* ---- from the process to the client ------------------------------------------------------------------------------ */

/* One piece: 1, 0 at the end, or -EPIPE when the client has hung up. */
static int pass_on(struct lane *l, size_t *n_bytes)
{
	char buf[CHUNK + 1];
	ssize_t n = read(l->fd, buf, sizeof(buf));
	size_t skip = l->kind == RELAY_CONMON ? 1 : 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 1;
	/* A terminal whose last user has gone says EIO. */
	if (n <= 0)
		return 0;
	*n_bytes += (size_t)n;
	if (!l->ws || (size_t)n <= skip)
		return 1;
	return ws_send(l->ws, WS_BINARY, buf + skip, (size_t)n - skip, NULL) < 0 ? -EPIPE : 1;
}

static bool run_output(struct lane *l)
{
	struct pollfd p[3] = {
		{ .fd = l->fd, .events = POLLIN },
		{ .fd = l->relay->over, .events = POLLIN },
		{ .fd = l->ws ? ws_fd(l->ws) : -1, .events = 0 },
	};
	size_t n_left = 0, n = 0;

	while (true) {
		int r = 1;

		if (poll(p, ARRAY_SIZE(p), -1) < 0)
			continue;
		if (p[2].revents & (POLLHUP | POLLERR))
			return false;
		if (p[0].revents)
			r = pass_on(l, p[1].revents ? &n_left : &n);
		else if (p[1].revents)
			return true;
		if (r <= 0 || n_left > MAX_LEFT)
			return r >= 0;
	}
}

static void *output_thread(void *arg)
{
	struct lane *l = arg;
	struct relay *r = l->relay;
	bool is_heard = run_output(l);

	/* A program that goes on writing is to get its SIGPIPE. */
	(void)close(l->fd);
	if (is_heard && l->ws)
		(void)ws_send(l->ws, WS_TEXT, "", 0, NULL);

	SCOPED_LOCK(&r->mutex);
	r->n_outputs--;
	r->n_heard -= !is_heard;
	cond_broadcast(&r->cond);
	return NULL;
}

int relay_add_output(struct relay *r, int fd, enum relay_kind kind, struct ws *to, struct err *err)
{
	struct lane lane = { .fd = fd, .kind = kind, .ws = to };
	int ret;

	mutex_lock(&r->mutex);
	r->has_outputs = true;
	r->n_outputs++;
	r->n_heard++;
	mutex_unlock(&r->mutex);
	ret = add_lane(r, &lane, "relay-out", output_thread, err);
	if (ret < 0) {
		mutex_lock(&r->mutex);
		r->n_outputs--;
		r->n_heard--;
		mutex_unlock(&r->mutex);
	}
	return ret;
}

/* ---- from the client to the process ------------------------------------------------------------------------------ */

/* All of it; a negative errno when the process does not listen any more. */
static int feed(struct lane *l, const char *data, size_t len)
{
	struct pollfd p[2] = {
		{ .fd = l->fd, .events = POLLOUT },
		{ .fd = l->relay->over, .events = POLLIN },
	};

	while (len > 0) {
		ssize_t n;

		if (poll(p, ARRAY_SIZE(p), -1) < 0)
			continue;
		if (p[1].revents)
			return -ECANCELED;
		n = write(l->fd, data, len < CHUNK ? len : CHUNK);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static void end_of_file(struct lane *l)
{
	switch (l->kind) {
	case RELAY_PIPE:
		(void)close(l->fd);
		l->fd = -1;
		break;
	case RELAY_CONMON:
		(void)shutdown(l->fd, SHUT_WR);
		break;
	case RELAY_TTY: /* has no end but ^D, which is the client's to send */
		break;
	}
}

static void wait_for_end(struct relay *r)
{
	struct pollfd p = { .fd = r->over, .events = POLLIN };

	while (poll(&p, 1, -1) < 1)
		continue;
}

static void *input_thread(void *arg)
{
	AUTO(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct lane *l = arg;
	bool has_ended = false;

	while (true) {
		int type = ws_recv(l->ws, &text, NULL);

		if (type != WS_TEXT && type != WS_BINARY)
			break;
		if (type == WS_TEXT && text.len == 0) {
			has_ended = true;
			if (l->fd >= 0)
				end_of_file(l);
		} else if (l->fd >= 0 && feed(l, text.s, text.len) < 0) {
			(void)close(l->fd);
			l->fd = -1;
		}
	}
	if (!has_ended || l->kind != RELAY_PIPE) {
		/* Half an input must not look like all of it: the process is killed before it sees an end. */
		set_abandoned(l->relay);
		wait_for_end(l->relay);
	}
	if (l->fd >= 0)
		(void)close(l->fd);
	return NULL;
}

int relay_add_input(struct relay *r, int fd, enum relay_kind kind, struct ws *from, struct err *err)
{
	struct lane lane = { .fd = fd, .kind = kind, .ws = from };

	return add_lane(r, &lane, "relay-in", input_thread, err);
}

/* ---- control ----------------------------------------------------------------------------------------------------- */

/* LXD's clients send numbers as text. */
static int64_t number(const struct json *j)
{
	int64_t n = json_int(j, -1);

	if (json_str(j) && str_to_i64(json_str(j), 0, UINT16_MAX, &n, NULL) < 0)
		n = -1;
	return n;
}

static int obey(const struct relay_control *c, const struct json *j, struct err *err)
{
	const char *command = json_get_str(j, "command");
	int64_t width, height, signal;

	if (str_eq(command, "window-resize")) {
		width = number(json_at(j, "/args/width"));
		height = number(json_at(j, "/args/height"));
		if (width < 1 || height < 1 || width > UINT16_MAX || height > UINT16_MAX)
			return err_set(err, -EINVAL, "args.width and args.height must be 1 to 65535");
		c->resize(c->arg, (int)width, (int)height);
		return 0;
	}
	if (str_eq(command, "signal") && c->signal) {
		signal = number(json_get(j, "signal"));
		if (signal < 1 || signal > 64)
			return err_set(err, -EINVAL, "signal must be 1 to 64");
		c->signal(c->arg, (int)signal);
		return 0;
	}
	return err_set(err, -EINVAL, "unknown command '%s'", command ? command : "");
}

static void *control_thread(void *arg)
{
	AUTO(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct lane *l = arg;

	while (true) {
		AUTO(json_free) struct json *j = NULL;
		struct err err = ERR_INIT;
		int type = ws_recv(l->ws, &text, NULL);
		int r;

		if (type != WS_TEXT && type != WS_BINARY)
			break;
		/* There is no way to answer; what is not understood is said in the log. */
		r = json_parse(text.s, text.len, &j, &err);
		if (r == 0)
			r = obey(&l->control, j, &err);
		if (r < 0)
			log_debug("control websocket: %s", err.text);
	}
	set_abandoned(l->relay);
	return NULL;
}

int relay_add_control(struct relay *r, const struct relay_control *control, struct ws *from, struct err *err)
{
	struct lane lane = { .fd = -1, .ws = from, .control = *control };

	return add_lane(r, &lane, "relay-control", control_thread, err);
}
