/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/watch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/checkpoint.h"
#include "engine/container.h"
#include "engine/operation.h"
#include "engine/saved.h"
#include "engine/state.h"

#define RETRY_US	US_PER_S
#define LONGEST_WAIT_US (3600 * US_PER_S)

struct watched {
	struct list link;
	int fd;
	char uuid[UUID_SIZE];
};

struct watcher {
	struct engine *engine;
	int epoll_fd, wake_fd;
	pthread_t thread;
	uint64_t expiry_us; /* real time at which the next checkpoint expires; the thread's own */
	bool is_ending;	    /* under the engine's mutex, as is the list */
	struct list watched;
};

void watch_add(struct instance *in)
{
	struct watcher *w = in->engine->watcher;
	struct watched *one = xcalloc(1, sizeof(*one));
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = one };

	one->fd = fcntl(in->conmon_fd, F_DUPFD_CLOEXEC, 3);
	(void)memcpy(one->uuid, in->row.uuid, sizeof(one->uuid));
	mutex_lock(&in->engine->mutex);
	list_append(&w->watched, &one->link);
	mutex_unlock(&in->engine->mutex);
	(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, one->fd, &ev);
}

void watch_poke(struct engine *e)
{
	(void)eventfd_write(e->watcher->wake_fd, 1);
}

static int clean(struct operation *op, void *arg, struct err *err)
{
	(void)op;
	return container_ended(arg, /* may_delete= */ true, err);
}

static void release(void *arg)
{
	instance_release(arg);
}

void watch_clean(struct instance *in)
{
	char *const names[] = { in->row.name, NULL };
	const struct operation_spec spec = { .description = "Cleaning up after instance",
					     .instances = names,
					     .run = clean,
					     .free_arg = release,
					     .arg = in };
	AUTO(operation_unref) struct operation *op = NULL;

	(void)operation_start(in->engine, &spec, &op, NULL);
}

static struct instance *find_locked(struct engine *e, const char *uuid)
{
	list_each (node, &e->instances) {
		struct instance *in = list_of(node, struct instance, link);

		if (strcmp(in->row.uuid, uuid) == 0)
			return in;
	}
	return NULL;
}

static void on_end(struct watcher *w, struct watched *one)
{
	struct instance *in;
	bool is_free;

	mutex_lock(&w->engine->mutex);
	list_remove(&one->link);
	in = find_locked(w->engine, one->uuid);
	/* a restart may have been quicker: then this is the end of an earlier conmon */
	if (in && in->conmon_fd >= 0 && container_conmon_has_ended(in))
		in->has_ended = true;
	else
		in = NULL;
	is_free = in && !in->doing;
	if (is_free)
		in->doing = WATCH_CLEANING;
	mutex_unlock(&w->engine->mutex);
	/* the instance holds a duplicate, so closing alone would not take it out of the epoll set */
	(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, one->fd, NULL);
	(void)close(one->fd);
	free(one);
	if (is_free)
		watch_clean(in);
}

static bool is_proven(const struct instance *in)
{
	return in->prove_at_us && in->prove_at_us <= clock_mono_us();
}

/* Continued containers whose time has come: what they came from is not needed any more. */
static void see_proven(struct engine *e)
{
	struct instance **list = instance_claim_all(e, is_proven, "removing the state that it was continued from");

	for (size_t i = 0; list[i]; i++) {
		struct err err = ERR_INIT;

		if (!list[i]->has_ended && saved_remove_previous(list[i], &err) < 0)
			instance_note(list[i], "cannot remove the previous state: %s", err.text);
		mutex_lock(&e->mutex);
		list[i]->prove_at_us = 0;
		mutex_unlock(&e->mutex);
		instance_release(list[i]);
	}
	free(list);
}

static uint64_t until_expiry(const struct watcher *w)
{
	uint64_t now = clock_real_us();

	return w->expiry_us <= now ? 0 : w->expiry_us - now;
}

/* Never longer than an hour: the host's clock may be set. */
static int next_timeout_ms(struct watcher *w)
{
	struct engine *e = w->engine;
	uint64_t now = clock_mono_us(), wait = until_expiry(w);
	uint64_t next = now + (wait < LONGEST_WAIT_US ? wait : LONGEST_WAIT_US);
	SCOPED_LOCK(&e->mutex);

	list_each (node, &e->instances) {
		struct instance *in = list_of(node, struct instance, link);
		uint64_t at = in->prove_at_us;

		if (at && in->doing && at < now + RETRY_US)
			at = now + RETRY_US; /* claimed: look again later */
		if (at && at < next)
			next = at;
	}
	return next <= now ? 0 : (int)((next - now) / US_PER_MS + 1);
}

static bool is_ending(struct watcher *w)
{
	SCOPED_LOCK(&w->engine->mutex);

	return w->is_ending;
}

static void *watch_thread(void *arg)
{
	struct watcher *w = arg;
	struct epoll_event events[64];

	while (!is_ending(w)) {
		int n = epoll_wait(w->epoll_fd, events, ARRAY_SIZE(events), next_timeout_ms(w));

		for (int i = 0; i < n; i++) {
			eventfd_t ignored;

			if (events[i].data.ptr)
				on_end(w, events[i].data.ptr);
			else if (eventfd_read(w->wake_fd, &ignored) == 0)
				w->expiry_us = 0; /* something has changed: look again */
		}
		if (is_ending(w))
			break;
		see_proven(w->engine);
		if (until_expiry(w) == 0)
			w->expiry_us = checkpoint_expire(w->engine);
	}
	return NULL;
}

int watch_start(struct engine *e, struct watcher **ret, struct err *err)
{
	struct watcher *w = xcalloc(1, sizeof(*w));
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	int r;

	w->engine = e;
	w->expiry_us = UINT64_MAX; /* start-up pokes when it is done */
	list_init(&w->watched);
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epoll_fd < 0 || w->wake_fd < 0 || epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &ev) < 0) {
		free(w);
		return err_sys(err, "epoll");
	}
	r = thread_start(&w->thread, "watch", watch_thread, w, err);
	if (r < 0) {
		free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void watch_stop(struct watcher *w)
{
	if (!w)
		return;
	mutex_lock(&w->engine->mutex);
	w->is_ending = true;
	mutex_unlock(&w->engine->mutex);
	(void)eventfd_write(w->wake_fd, 1);
	(void)pthread_join(w->thread, NULL);
	list_each_safe (node, &w->watched) {
		struct watched *one = list_of(node, struct watched, link);

		list_remove(&one->link);
		(void)close(one->fd);
		free(one);
	}
	(void)close(w->epoll_fd);
	(void)close(w->wake_fd);
	free(w);
}
