/* SPDX-License-Identifier: Apache-2.0 */
/* streams.c - producer threads; each holds a copy of the client's socket, to see it hang up while there is nothing to
 * say
 */
#include "api/streams.h"

#include <fcntl.h>
#include <poll.h>

#include "api/request.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sync.h"

struct stream {
	struct streams *all;
	struct api_context *ctx;
	void (*produce)(struct stream *s, void *arg);
	void (*free_arg)(void *arg);
	void *arg;
	int out_fd, client_fd;
};

struct streams {
	struct mutex mutex;
	struct cond cond;
	int n_running;
};

struct streams *streams_new(void)
{
	struct streams *all = xcalloc(1, sizeof(*all));

	mutex_init(&all->mutex);
	cond_init(&all->cond);
	return all;
}

void streams_free(struct streams *all)
{
	if (!all)
		return;
	mutex_lock(&all->mutex);
	while (all->n_running > 0)
		cond_wait(&all->cond, &all->mutex);
	mutex_unlock(&all->mutex);
	cond_done(&all->cond);
	mutex_done(&all->mutex);
	free(all);
}

static void count(struct streams *all, int n)
{
	SCOPED_LOCK(&all->mutex);
	all->n_running += n;
	cond_broadcast(&all->cond);
}

static void stream_free(struct stream *s)
{
	if (!s)
		return;
	if (s->free_arg)
		s->free_arg(s->arg);
	if (s->out_fd >= 0)
		(void)close(s->out_fd);
	if (s->client_fd >= 0)
		(void)close(s->client_fd);
	free(s);
}
AUTO_DEFINE(struct stream *, stream_free)

static void *stream_thread(void *arg)
{
	struct stream *s = arg;
	struct streams *all = s->all;

	s->produce(s, s->arg);
	stream_free(s);
	count(all, -1);
	return NULL;
}

int stream_start(const struct request *rq, void (*produce)(struct stream *s, void *arg), void (*free_arg)(void *arg),
		 void *arg, struct reply *ret, struct err *err)
{
	AUTO(stream_free) struct stream *s = xcalloc(1, sizeof(*s));
	autoclose int in_fd = -1;
	int fds[2], r;

	*s = (struct stream){ rq->ctx->streams, rq->ctx, produce, free_arg, arg, -1, -1 };
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	in_fd = fds[0];
	s->out_fd = fds[1];
	s->client_fd = fcntl(rq->socket_fd, F_DUPFD_CLOEXEC, 0);
	if (s->client_fd < 0)
		return err_sys(err, "cannot copy a descriptor");
	count(s->all, 1);
	r = thread_detach("stream", stream_thread, s, err);
	if (r < 0) {
		count(s->all, -1);
		return r;
	}
	(void)TAKE_PTR(s);
	reply_pipe(ret, TAKE_FD(in_fd));
	return 0;
}

int stream_write(struct stream *s, const void *data, size_t len)
{
	return file_write_all(s->out_fd, data, len, NULL) < 0 ? -EPIPE : 0;
}

bool stream_is_over(struct stream *s, int timeout_ms)
{
	struct pollfd p[2] = { { .fd = s->out_fd }, { .fd = s->client_fd } };

	if (atomic_load(&s->ctx->is_stopping))
		return true;
	return poll(p, ARRAY_SIZE(p), timeout_ms) > 0 && ((p[0].revents | p[1].revents) & (POLLHUP | POLLERR));
}
