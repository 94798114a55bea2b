/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sync.h"
#include "base/ws.h"
#include "cli/client.h"
#include "cli/keys.h"
#include "cli/term.h"

enum { LEAVE_AFTER = 3 }; /* so many Ctrl-C that the other side does not heed */

struct session {
	const struct session_spec *spec;
	struct ws *streams[3]; /* 1 and 2 are NULL with a terminal */
	struct ws *control;    /* NULL: none is offered */
	int stop_fd;	       /* eventfd: becomes readable when the output has ended */
	int signal_fd;
	int end; /* enum session_end; written by the input or signal thread before it shuts the streams down */
};

static void shut_down(struct session *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->streams); i++)
		if (s->streams[i])
			ws_shutdown(s->streams[i]);
}

/* {"command":"signal","signal":2} and the like; nobody to tell is no failure. */
static void send_control(struct session *s, struct json *message)
{
	AUTO(json_free) struct json *owned = message;
	autofree char *text = json_print(owned, JSON_COMPACT);

	if (s->control)
		(void)ws_send(s->control, WS_TEXT, text, strlen(text), NULL);
}

static void send_signal(struct session *s, int signal)
{
	struct json *message = json_new_object();

	json_set_str(message, "command", "signal");
	json_set_int(message, "signal", signal);
	send_control(s, message);
}

static void send_size(struct session *s)
{
	struct json *message = json_new_object(), *args = json_new_object();
	int width, height;

	if (!term_size(STDOUT_FILENO, &width, &height)) {
		json_free(message);
		json_free(args);
		return;
	}
	json_set_strf(args, "width", "%d", width);
	json_set_strf(args, "height", "%d", height);
	json_set_str(message, "command", "window-resize");
	json_set(message, "args", args);
	send_control(s, message);
}

/* Our input is at its end: an empty text frame says so, a terminal is told by Ctrl-D. */
static void send_eof(struct session *s)
{
	if (s->spec->has_tty)
		(void)ws_send(s->streams[0], WS_BINARY, "\004", 1, NULL);
	else
		(void)ws_send(s->streams[0], WS_TEXT, "", 0, NULL);
}

/* 1 to go on. */
static int copy_input(struct session *s, struct keys *keys, struct strbuf *filtered)
{
	char buf[16384];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));
	bool is_detached = false;

	if (n < 0 && errno == EINTR)
		return 1;
	if (n <= 0) {
		send_eof(s);
		return 0;
	}
	strbuf_reset(filtered);
	if (s->spec->has_detach)
		is_detached = keys_filter(keys, buf, (size_t)n, filtered);
	else
		strbuf_add(filtered, buf, (size_t)n);
	if (filtered->len > 0 && ws_send(s->streams[0], WS_BINARY, filtered->s, filtered->len, NULL) < 0)
		return 0;
	if (!is_detached)
		return 1;
	s->end = SESSION_DETACHED;
	shut_down(s);
	return 0;
}

static void *input_thread(void *arg)
{
	struct session *s = arg;
	struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = s->stop_fd, .events = POLLIN } };
	AUTO(strbuf_done) struct strbuf filtered = STRBUF_INIT;
	struct keys keys = { 0 };

	if (s->spec->has_no_input) {
		send_eof(s);
		return NULL;
	}
	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			break;
		if (fds[0].revents && !copy_input(s, &keys, &filtered))
			break;
	}
	return NULL;
}

static void take_signal(struct session *s, int signal, int *n_ignored)
{
	if (signal == SIGWINCH) {
		send_size(s);
		return;
	}
	if (s->spec->has_signals) {
		send_signal(s, signal);
		if (++*n_ignored < LEAVE_AFTER)
			return;
	}
	s->end = s->spec->has_signals ? SESSION_LEFT : SESSION_DETACHED;
	shut_down(s);
}

static void *signal_thread(void *arg)
{
	struct session *s = arg;
	struct pollfd fds[] = { { .fd = s->signal_fd, .events = POLLIN }, { .fd = s->stop_fd, .events = POLLIN } };
	struct signalfd_siginfo info;
	int n_ignored = 0;

	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			break;
		if (fds[0].revents && read(s->signal_fd, &info, sizeof(info)) == sizeof(info))
			take_signal(s, (int)info.ssi_signo, &n_ignored);
	}
	return NULL;
}

/* Until the other side says end of file (an empty text frame) or is gone. */
static void copy_output(struct session *s, int which, int fd)
{
	AUTO(strbuf_done) struct strbuf data = STRBUF_INIT;
	bool is_lost = false;

	for (;;) {
		int type = ws_recv(s->streams[which], &data, NULL);

		if (type < 0 || type == WS_CLOSE || (type == WS_TEXT && data.len == 0 && which > 0))
			return;
		if (is_lost || file_write_all(fd, data.s, data.len, NULL) == 0)
			continue;
		is_lost = true; /* our reader has left: the process shall find out as it would in a pipe of ours */
		send_signal(s, SIGPIPE);
	}
}

static void *stderr_thread(void *arg)
{
	copy_output(arg, 2, STDERR_FILENO);
	return NULL;
}

static int connect_one(struct client *c, const char *operation, const struct json *fds, const char *name,
		       struct ws **ret, struct err *err)
{
	const char *secret = json_get_str(fds, name);
	autofree char *path = NULL;

	if (!secret)
		return 0;
	path = xasprintf("%s/websocket?secret=%s", operation, secret);
	return client_websocket(c, path, ret, err);
}

/* Control first: the process begins when its streams are connected, and must have its terminal's size by then. */
static int connect_all(struct session *s, struct client *c, const struct json *answer, struct err *err)
{
	static const char *const names[] = { "0", "1", "2" };
	const struct json *fds = json_at(answer, "/metadata/metadata/fds");
	const char *operation = json_get_str(answer, "operation");
	int r;

	if (!operation || !json_get_str(fds, "0"))
		return err_set(err, -EPROTO, "the daemon names no websockets to connect to");
	r = connect_one(c, operation, fds, "control", &s->control, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
		r = connect_one(c, operation, fds, names[i], &s->streams[i], err);
	return r;
}

/* Blocks and collects what shall not end us with the terminal still raw. */
static int catch_signals(sigset_t *ret_before)
{
	static const int signals[] = { SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		(void)sigaddset(&set, signals[i]);
	(void)sigprocmask(SIG_BLOCK, &set, ret_before);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void stop_threads(struct session *s)
{
	uint64_t one = 1;

	/* The input thread may be stuck in sending to a process that is gone. */
	ws_shutdown(s->streams[0]);
	if (write(s->stop_fd, &one, sizeof(one)) < 0)
		abort(); /* only a closed descriptor fails here */
}

/* Runs the threads; the output of stream 0 or 1 is ours. */
static int pump(struct session *s, struct err *err)
{
	pthread_t threads[3];
	size_t n = 0;
	int r;

	r = thread_start(&threads[n], "signals", signal_thread, s, err);
	n += r == 0;
	if (r == 0) {
		r = thread_start(&threads[n], "input", input_thread, s, err);
		n += r == 0;
	}
	if (r == 0 && s->streams[2]) {
		r = thread_start(&threads[n], "stderr", stderr_thread, s, err);
		n += r == 0;
	}
	if (r == 0)
		copy_output(s, s->streams[1] ? 1 : 0, STDOUT_FILENO);
	if (r == 0 && s->streams[2])
		(void)pthread_join(threads[--n], NULL);
	stop_threads(s);
	while (n > 0)
		(void)pthread_join(threads[--n], NULL);
	return r < 0 ? r : s->end;
}

static int run_connected(struct session *s, struct err *err)
{
	AUTO(term_restore) struct term_raw raw = TERM_RAW_NONE;

	if (s->spec->has_tty) {
		send_size(s);
		term_make_raw(&raw, STDIN_FILENO, TERM_RAW);
	} else if (s->spec->has_plain_output) {
		term_make_raw(&raw, STDIN_FILENO, TERM_KEYS);
	}
	return pump(s, err);
}

int session_run(struct client *c, const struct json *answer, const struct session_spec *spec, struct err *err)
{
	struct session s = { .spec = spec, .stop_fd = -1, .signal_fd = -1, .end = SESSION_CLOSED };
	autoclose int stop_fd = eventfd(0, EFD_CLOEXEC);
	autoclose int signal_fd = -1;
	sigset_t before;
	int r;

	signal_fd = catch_signals(&before);
	s.stop_fd = stop_fd;
	s.signal_fd = signal_fd;
	if (stop_fd < 0 || signal_fd < 0)
		r = err_sys(err, "eventfd");
	else
		r = connect_all(&s, c, answer, err);
	if (r == 0)
		r = run_connected(&s, err);
	for (size_t i = 0; i < ARRAY_SIZE(s.streams); i++)
		ws_free(s.streams[i]);
	ws_free(s.control);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}
