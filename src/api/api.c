/* SPDX-License-Identifier: Apache-2.0 */
/* api.c - starting and stopping, in an order in which nobody waits for somebody who waits */
#include "api/api.h"

#include <string.h>

#include "api/httpd.h"
#include "api/listen.h"
#include "api/request.h"
#include "api/session.h"
#include "api/streams.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/engine.h"

struct api {
	struct api_context ctx;
	struct httpd *httpd;
	char *socket;
};

static void api_free(struct api *a)
{
	if (!a)
		return;
	streams_free(a->ctx.streams);
	sessions_free(a->ctx.sessions);
	free(a->socket);
	free(a);
}
AUTO_DEFINE(struct api *, api_free)

int api_start(struct engine *e, struct api **ret, struct err *err)
{
	AUTO(api_free) struct api *a = xcalloc(1, sizeof(*a));
	const struct settings *s = engine_settings(e);
	int fd, r;

	a->ctx.engine = e;
	a->ctx.sessions = sessions_new();
	a->ctx.streams = streams_new();
	atomic_init(&a->ctx.is_stopping, false);
	fd = listen_unix(s->socket, s->socket_group, err);
	if (fd < 0)
		return fd;
	a->socket = xstrdup(s->socket);
	r = httpd_start(fd, &a->ctx, &a->httpd, err);
	if (r < 0) {
		(void)unlink(a->socket);
		return r;
	}
	log_info("listening on %s", a->socket);
	*ret = TAKE_PTR(a);
	return 0;
}

void api_stop(struct api *a)
{
	if (!a)
		return;
	/* First the name, so that who comes now hears that there is no daemon. */
	if (unlink(a->socket) < 0)
		log_debug("cannot remove %s: %s", a->socket, strerror(errno));
	httpd_quiesce(a->httpd);
	/* Then everybody who waits: they see this within a fraction of a second. */
	atomic_store(&a->ctx.is_stopping, true);
	sessions_stop(a->ctx.sessions);
	httpd_stop(a->httpd);
	api_free(a);
}
