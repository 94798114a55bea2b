/* SPDX-License-Identifier: Apache-2.0 */
/*
 * httpd.c - HTTP by libmicrohttpd 0.9.75 and 1.0
 *
 * What there is to know about the library, found by trying:
 * - it unescapes the target before we see it, so that %2F becomes a separator: the raw one comes by the URI log
 * call-back, which is also where a request begins;
 * - a reply can be queued when the headers are in or when the body has ended, not between;
 * - the idle time-out is checked after our call-back too, and our own thinking counts as the client's silence: it is
 *   switched off while we are at work, and switching it on again begins a new count;
 * - an upgraded connection must be given back before MHD_stop_daemon(), and comes non-blocking.
 */
#include "api/httpd.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "api/producer.h"
#include "api/request.h"
#include "api/session.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sync.h"
#include "base/ws.h"

#define STOP_US	       (10 * US_PER_S) /* for the owners of upgraded connections to let go */
#define PRODUCER_BLOCK 65536

struct httpd {
	struct MHD_Daemon *daemon;
	struct api_context *ctx;
	int listen_fd; /* ours after httpd_quiesce(), else -1 */
	struct mutex mutex;
	struct cond cond;
	struct list upgraded; /* guarded by mutex */
	int n_upgraded;	      /* guarded by mutex; also those that are being given back */
};

struct upgraded {
	struct httpd *httpd;
	struct list link;
	struct MHD_UpgradeResponseHandle *handle;
	int fd;
};

/* ---- upgraded connections ---------------------------------------------------------------------------------------- */

int upgraded_fd(const struct upgraded *u)
{
	return u->fd;
}

void upgraded_free(struct upgraded *u)
{
	struct httpd *h;

	if (!u)
		return;
	h = u->httpd;
	/* Off the list first: the descriptor's number may be somebody else's as soon as it is given back. */
	mutex_lock(&h->mutex);
	list_remove(&u->link);
	mutex_unlock(&h->mutex);
	(void)MHD_upgrade_action(u->handle, MHD_UPGRADE_ACTION_CLOSE);
	mutex_lock(&h->mutex);
	h->n_upgraded--;
	cond_broadcast(&h->cond);
	mutex_unlock(&h->mutex);
	free(u);
}

/* Called by the library behind the 101; from here the connection is the session's. */
static void on_upgrade(void *cls, struct MHD_Connection *connection, void *req_cls, const char *extra_in,
		       size_t extra_in_size, MHD_socket sock, struct MHD_UpgradeResponseHandle *handle)
{
	struct httpd *h = cls;
	struct request *rq = req_cls;
	struct upgraded *u = xcalloc(1, sizeof(*u));

	*u = (struct upgraded){ .httpd = h, .handle = handle, .fd = sock };
	mutex_lock(&h->mutex);
	list_append(&h->upgraded, &u->link);
	h->n_upgraded++;
	mutex_unlock(&h->mutex);
	/* A client that sends frames before it has seen our 101 breaks the protocol. */
	if (extra_in_size > 0 || fcntl(sock, F_SETFL, fcntl(sock, F_GETFL) & ~O_NONBLOCK) < 0) {
		upgraded_free(u);
		return;
	}
	session_attach(TAKE_PTR(rq->reply.slot), u);
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */

static void set_timeout(struct MHD_Connection *connection, unsigned int seconds)
{
	(void)MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
	if (value)
		(void)MHD_add_response_header(response, name, value);
}

static struct MHD_Response *make_upgrade(struct httpd *h, const struct request *rq)
{
	autofree char *accept = ws_accept_key(rq->headers.ws_key);
	struct MHD_Response *response = MHD_create_response_for_upgrade(on_upgrade, h);

	if (response) {
		add_header(response, MHD_HTTP_HEADER_UPGRADE, "websocket");
		add_header(response, MHD_HTTP_HEADER_SEC_WEBSOCKET_ACCEPT, accept);
	}
	return response;
}

/* A body without a length is chunked: one that is cut lacks its last chunk, and the client knows. */
static ssize_t on_produce(void *cls, uint64_t pos, char *buf, size_t max)
{
	/* Blocks for as long as the operation thinks: the client's time-out begins anew with each piece. */
	ssize_t n = producer_read(cls, buf, max);

	return n > 0 ? n : n == 0 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void on_produced(void *cls)
{
	producer_free(cls);
}

/* The library takes over body, descriptor and producer. */
static struct MHD_Response *make_response(struct httpd *h, struct request *rq)
{
	struct reply *re = &rq->reply;

	switch (re->kind) {
	case REPLY_TEXT:
		return MHD_create_response_from_buffer(re->body_len, TAKE_PTR(re->body), MHD_RESPMEM_MUST_FREE);
	case REPLY_FILE:
		return MHD_create_response_from_fd64(re->fd_size, TAKE_FD(re->fd));
	case REPLY_PIPE:
		return MHD_create_response_from_pipe(TAKE_FD(re->fd));
	case REPLY_PRODUCER:
		return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PRODUCER_BLOCK, on_produce,
							 TAKE_PTR(re->producer), on_produced);
	case REPLY_UPGRADE:
		return make_upgrade(h, rq);
	case REPLY_NONE:
		break;
	}
	return NULL;
}

static enum MHD_Result send_reply(struct httpd *h, struct MHD_Connection *connection, struct request *rq)
{
	struct reply *re = &rq->reply;
	struct MHD_Response *response;
	enum MHD_Result result;

	if (re->kind == REPLY_NONE)
		reply_fail(re, 500, "the handler gave no answer");
	response = make_response(h, rq);
	if (!response)
		return MHD_NO;
	add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, re->content_type);
	add_header(response, MHD_HTTP_HEADER_ETAG, re->etag);
	add_header(response, MHD_HTTP_HEADER_LOCATION, re->location);
	add_header(response, MHD_HTTP_HEADER_ALLOW, re->allow);
	add_header(response, "X-Stasis-operation", re->stasis_operation);
	add_header(response, MHD_HTTP_HEADER_CONNECTION, rq->is_hopeless ? "close" : NULL);
	result = MHD_queue_response(connection, (unsigned int)re->status, response);
	MHD_destroy_response(response);
	return result;
}

/* How long the client may take to read; a follower of a log may go for a walk. */
static unsigned int reply_idle_s(const struct reply *re)
{
	if (re->kind == REPLY_PIPE)
		return 0;
	return re->kind == REPLY_FILE || re->kind == REPLY_PRODUCER ? HTTPD_FILE_IDLE_S : HTTPD_IDLE_S;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void find_peer(struct MHD_Connection *connection, struct request *rq)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (!info)
		return;
	rq->socket_fd = info->connect_fd;
	if (getsockopt(rq->socket_fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return;
	rq->peer.pid = cred.pid;
	rq->peer.uid = cred.uid;
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static void begin(struct MHD_Connection *connection, struct request *rq, const char *method)
{
	struct request_headers headers = {
		.content_length = header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH),
		.content_type = header(connection, MHD_HTTP_HEADER_CONTENT_TYPE),
		.transfer_encoding = header(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING),
		.if_match = header(connection, MHD_HTTP_HEADER_IF_MATCH),
		.alias = header(connection, "X-Stasis-alias"),
		.name = header(connection, "X-Stasis-name"),
		.image = header(connection, "X-Stasis-image"),
		.ignore_rootfs = header(connection, "X-Stasis-ignore-rootfs"),
		.ignore_volumes = header(connection, "X-Stasis-ignore-volumes"),
		.stopped = header(connection, "X-Stasis-stopped"),
		.connection = header(connection, MHD_HTTP_HEADER_CONNECTION),
		.upgrade = header(connection, MHD_HTTP_HEADER_UPGRADE),
		.ws_key = header(connection, MHD_HTTP_HEADER_SEC_WEBSOCKET_KEY),
		.ws_version = header(connection, MHD_HTTP_HEADER_SEC_WEBSOCKET_VERSION),
	};

	find_peer(connection, rq);
	request_begin(rq, method, &headers);
}

/* Called when the headers are in, for each piece of body, and when it has ended. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
				  const char *version, const char *upload_data, size_t *upload_data_size,
				  void **req_cls)
{
	struct httpd *h = cls;
	struct request *rq = *req_cls;
	int r;

	if (!rq)
		return MHD_NO;
	set_timeout(connection, 0);
	if (!*rq->method) {
		begin(connection, rq, method);
		if (rq->is_hopeless)
			return send_reply(h, connection, rq);
	} else if (*upload_data_size > 0) {
		r = request_body(rq, upload_data, *upload_data_size);
		if (r < 0)
			return MHD_NO;
		*upload_data_size = 0;
	} else {
		request_end(rq);
		set_timeout(connection, reply_idle_s(&rq->reply));
		return send_reply(h, connection, rq);
	}
	set_timeout(connection, HTTPD_IDLE_S);
	return MHD_YES;
}

static void *on_request_line(void *cls, const char *uri, struct MHD_Connection *connection)
{
	struct httpd *h = cls;

	return request_new(h->ctx, uri);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **req_cls,
			 enum MHD_RequestTerminationCode how)
{
	struct request *rq = *req_cls;

	if (!rq)
		return;
	log_debug("%s %s: %d in %.1f ms, pid %d uid %d%s", *rq->method ? rq->method : "?", rq->target, rq->reply.status,
		  (double)(clock_mono_us() - rq->started_us) / (double)US_PER_MS, (int)rq->peer.pid, (int)rq->peer.uid,
		  how == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "" : ", broken off");
	request_free(rq);
	*req_cls = NULL;
}

static void on_log(void *cls, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_log(void *cls, const char *fmt, va_list ap)
{
	char text[256];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("http: %s", text);
}

/* ---- start and stop ---------------------------------------------------------------------------------------------- */

static struct MHD_Daemon *start_daemon(struct httpd *h, int listen_fd)
{
	unsigned int flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
			     MHD_USE_ITC | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem options[] = {
		{ MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, h },
		{ MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_request_line, h },
		{ MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL },
		{ MHD_OPTION_CONNECTION_LIMIT, HTTPD_MAX_CONNECTIONS, NULL },
		{ MHD_OPTION_CONNECTION_TIMEOUT, HTTPD_IDLE_S, NULL },
	/* A message that has two lengths is refused: readers would disagree on where it ends. */
#if MHD_VERSION >= 0x01000000
		{ MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, NULL },
#else
		{ MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL },
#endif
		{ MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL },
		{ MHD_OPTION_END, 0, NULL },
	};

	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
				MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

int httpd_start(int listen_fd, struct api_context *ctx, struct httpd **ret, struct err *err)
{
	struct httpd *h = xcalloc(1, sizeof(*h));
	sigset_t all, old;

	h->ctx = ctx;
	h->listen_fd = -1;
	mutex_init(&h->mutex);
	cond_init(&h->cond);
	list_init(&h->upgraded);
	/* The library's threads inherit the mask: signals are main's, and a broken pipe is an error, not a death. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	h->daemon = start_daemon(h, listen_fd);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!h->daemon) {
		(void)close(listen_fd);
		httpd_stop(h);
		return err_set(err, -EIO, "cannot start the HTTP server");
	}
	*ret = h;
	return 0;
}

void httpd_quiesce(struct httpd *h)
{
	h->listen_fd = MHD_quiesce_daemon(h->daemon);
}

/* Cuts them; their owners notice and give them back. */
static void end_upgraded(struct httpd *h)
{
	uint64_t deadline = clock_mono_us() + STOP_US;
	SCOPED_LOCK(&h->mutex);

	list_each (node, &h->upgraded)
		(void)shutdown(list_of(node, struct upgraded, link)->fd, SHUT_RDWR);
	while (h->n_upgraded > 0)
		if (cond_wait_until(&h->cond, &h->mutex, deadline) < 0)
			break;
}

void httpd_stop(struct httpd *h)
{
	if (!h)
		return;
	if (h->daemon) {
		end_upgraded(h);
		MHD_stop_daemon(h->daemon);
	}
	if (h->listen_fd >= 0)
		(void)close(h->listen_fd);
	cond_done(&h->cond);
	mutex_done(&h->mutex);
	free(h);
}
