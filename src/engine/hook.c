/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/hook.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "engine/state.h"

struct hook {
	struct instance *in;
	char *path;
	int listen_fd, stop_fd, peer_fd;
	hook_answer answer;
	void *ctx;
	pthread_t thread;
	bool is_joined, was_asked;
	int result;
	struct err err;
};

/* One line, the action's name; 0 at the end of the connection. */
static size_t read_line(int fd, char *buf, size_t size)
{
	size_t n = 0;

	while (n < size - 1 && read(fd, buf + n, 1) == 1) {
		if (buf[n] == '\n') {
			buf[n] = 0;
			return n;
		}
		n++;
	}
	return 0;
}

static void serve(struct hook *h)
{
	char action[64];

	h->peer_fd = accept4(h->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (h->peer_fd < 0)
		return;
	if (read_line(h->peer_fd, action, sizeof(action))) {
		h->was_asked = true;
		h->result = h->answer(action, h, h->ctx, &h->err);
		(void)send(h->peer_fd, h->result < 0 ? "n" : "y", 1, MSG_NOSIGNAL);
	}
	(void)close(TAKE_FD(h->peer_fd));
}

static void *hook_thread(void *arg)
{
	struct hook *h = arg;
	struct pollfd p[2] = { { .fd = h->stop_fd, .events = POLLIN }, { .fd = h->listen_fd, .events = POLLIN } };

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (p[0].revents)
			return NULL;
		if (p[1].revents)
			serve(h);
	}
}

static int listen_at(const char *path, struct err *err)
{
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(err, -ENAMETOOLONG, "the path '%s' is too long for a socket", path);
	(void)memcpy(sa.sun_path, path, strlen(path));
	(void)unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 4) < 0)
		return err_sys(err, "'%s'", path);
	return TAKE_FD(fd);
}

int hook_open(struct instance *in, hook_answer answer, void *ctx, struct hook **ret, struct err *err)
{
	AUTO(hook_close) struct hook *h = xcalloc(1, sizeof(*h));
	int r;

	h->is_joined = true; /* until there is a thread */
	h->in = in;
	h->answer = answer;
	h->ctx = ctx;
	h->peer_fd = h->stop_fd = -1;
	h->path = instance_bundle_path(in, "hook.sock");
	h->listen_fd = listen_at(h->path, err);
	if (h->listen_fd < 0)
		return h->listen_fd;
	h->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (h->stop_fd < 0)
		return err_sys(err, "eventfd");
	r = thread_start(&h->thread, "hook", hook_thread, h, err);
	if (r < 0)
		return r;
	h->is_joined = false;
	*ret = TAKE_PTR(h);
	return 0;
}

char **hook_env(const struct hook *h, const char *done)
{
	autofree char *kill_file = cgroup_file(&h->in->cg, CGROUP_PAYLOAD, "cgroup.kill");
	char **env = strv_copy(h->in->engine->tools.env);

	strv_env_set(&env, "STASIS_HOOK_SOCKET", h->path);
	strv_env_set(&env, "STASIS_HOOK_DONE", done);
	strv_env_set(&env, "STASIS_HOOK_KILL", kill_file);
	return env;
}

int hook_is_waiting(const struct hook *h)
{
	char byte;

	return recv(h->peer_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

int hook_end(struct hook *h, int *ret_result, struct err *ret_err)
{
	if (!h->is_joined) {
		(void)eventfd_write(h->stop_fd, 1);
		(void)pthread_join(h->thread, NULL);
		h->is_joined = true;
	}
	*ret_result = h->result;
	if (ret_err && h->result < 0)
		*ret_err = h->err;
	return h->was_asked;
}

void hook_close(struct hook *h)
{
	int ignored;

	if (!h)
		return;
	(void)hook_end(h, &ignored, NULL);
	if (h->listen_fd >= 0)
		(void)close(h->listen_fd);
	if (h->stop_fd >= 0)
		(void)close(h->stop_fd);
	(void)unlink(h->path);
	free(h->path);
	free(h);
}
