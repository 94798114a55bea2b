/* SPDX-License-Identifier: Apache-2.0 */
/* producer.c - the reading end of an operation's pipe, with an eye on the client's socket */
#include "api/producer.h"

#include <fcntl.h>
#include <poll.h>

#include "api/request.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/operation.h"

#define POLL_MS	 200	       /* so soon a stopping daemon is noticed */
#define PIPE_LEN 1048576       /* archives are large: fewer switches between writer and reader */
#define END_US	 US_PER_S * 10 /* from a job's last byte to its result */

struct producer {
	struct api_context *ctx;
	struct operation *op;
	int fd;
	int socket_fd; /* the connection's, which outlives us */
};

void producer_free(struct producer *p)
{
	if (!p)
		return;
	/* First the word, then the deed: the job shall know that its broken pipe is a cancellation. */
	if (p->op)
		(void)operation_cancel(p->op, NULL);
	if (p->fd >= 0)
		(void)close(p->fd);
	operation_unref(p->op);
	free(p);
}

char *producer_url(const struct producer *p)
{
	return xasprintf("/1.0/operations/%s", operation_uuid(p->op));
}

/* 1 when there is something to read, or the end. */
static int wait_readable(const struct producer *p)
{
	struct pollfd fds[2] = { { .fd = p->fd, .events = POLLIN }, { .fd = p->socket_fd } };

	while (true) {
		if (atomic_load(&p->ctx->is_stopping))
			return -ESHUTDOWN;
		if (poll(fds, ARRAY_SIZE(fds), POLL_MS) <= 0)
			continue;
		if (fds[1].revents & (POLLHUP | POLLERR))
			return -EPIPE;
		if (fds[0].revents)
			return 1;
	}
}

/* The job has closed its end: was that the end of what it had to say? */
static int result(struct producer *p, struct err *err)
{
	AUTO(operation_info_done) struct operation_info info = { 0 };

	(void)operation_wait(p->op, END_US);
	operation_get(p->op, &info);
	if (info.status == OPERATION_SUCCESS)
		return 0;
	return err_set(err, info.error_code < 0 ? info.error_code : -EIO, "%s", info.error);
}

ssize_t producer_read(struct producer *p, void *buf, size_t size)
{
	struct err err = ERR_INIT;
	ssize_t n;
	int r;

	r = wait_readable(p);
	if (r < 0)
		return r;
	do
		n = read(p->fd, buf, size);
	while (n < 0 && errno == EINTR);
	if (n != 0)
		return n < 0 ? -errno : n;
	r = result(p, &err);
	if (r < 0)
		log_warn("operation %s failed after a part of its output was sent: %s", operation_uuid(p->op),
			 err.text);
	return r;
}

/* Nothing but an end without a byte before it can be a failure already. */
static int wait_first_byte(struct producer *p, struct err *err)
{
	struct pollfd fd = { .fd = p->fd, .events = POLLIN };
	int r = wait_readable(p);

	if (r < 0)
		return err_set(err, r, "nobody waits for it any more");
	if (poll(&fd, 1, 0) > 0 && (fd.revents & POLLIN))
		return 0;
	return result(p, err);
}

int producer_start(const struct request *rq, const struct operation_spec *spec, int *out_fd, struct producer **ret,
		   struct err *err)
{
	AUTO(producer_free) struct producer *p = xcalloc(1, sizeof(*p));
	int fds[2], r;

	*p = (struct producer){ .ctx = rq->ctx, .fd = -1, .socket_fd = rq->socket_fd };
	if (pipe2(fds, O_CLOEXEC) < 0) {
		r = err_sys(err, "cannot make a pipe");
		if (spec->free_arg)
			spec->free_arg(spec->arg);
		return r;
	}
	(void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_LEN);
	p->fd = fds[0];
	*out_fd = fds[1];
	r = operation_start(rq->engine, spec, &p->op, err);
	if (r >= 0)
		r = wait_first_byte(p, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}
