/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync.c - mutexes, conditions, threads
 *
 * None of the pthread calls for mutexes and conditions can fail unless we misuse them, so they are asserted.
 */
#include "base/sync.h"

#include <assert.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

static void must(int r)
{
	assert(r == 0);
	(void)r;
}

void mutex_init(struct mutex *m)
{
	must(pthread_mutex_init(&m->m, NULL));
}

void mutex_done(struct mutex *m)
{
	must(pthread_mutex_destroy(&m->m));
}

void mutex_lock(struct mutex *m)
{
	must(pthread_mutex_lock(&m->m));
}

void mutex_unlock(struct mutex *m)
{
	must(pthread_mutex_unlock(&m->m));
}

void cond_init(struct cond *c)
{
	pthread_condattr_t attr;

	must(pthread_condattr_init(&attr));
	must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	must(pthread_cond_init(&c->c, &attr));
	must(pthread_condattr_destroy(&attr));
}

void cond_done(struct cond *c)
{
	must(pthread_cond_destroy(&c->c));
}

void cond_broadcast(struct cond *c)
{
	must(pthread_cond_broadcast(&c->c));
}

void cond_wait(struct cond *c, struct mutex *m)
{
	must(pthread_cond_wait(&c->c, &m->m));
}

int cond_wait_until(struct cond *c, struct mutex *m, uint64_t deadline_us)
{
	struct timespec ts = {
		.tv_sec = (time_t)(deadline_us / US_PER_S),
		.tv_nsec = (long)(deadline_us % US_PER_S) * 1000,
	};
	int r = pthread_cond_timedwait(&c->c, &m->m, &ts);

	assert(r == 0 || r == ETIMEDOUT);
	return -r;
}

struct thread_start {
	void *(*fn)(void *);
	void *arg;
	char name[16]; /* all that the kernel keeps */
};

static void *thread_main(void *p)
{
	struct thread_start start = *(struct thread_start *)p;

	free(p);
	(void)pthread_setname_np(pthread_self(), start.name);
	return start.fn(start.arg);
}

/* Signals are blocked while the thread is made, not by the thread: no signal can reach it before. */
static int start(pthread_t *ret, bool is_detached, const char *name, void *(*fn)(void *), void *arg, struct err *err)
{
	struct thread_start *s = xcalloc(1, sizeof(*s));
	sigset_t all, old;
	pthread_attr_t attr;
	int r;

	s->fn = fn;
	s->arg = arg;
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	must(pthread_attr_init(&attr));
	must(pthread_attr_setdetachstate(&attr, is_detached ? PTHREAD_CREATE_DETACHED : PTHREAD_CREATE_JOINABLE));
	(void)sigfillset(&all);
	must(pthread_sigmask(SIG_SETMASK, &all, &old));
	r = pthread_create(ret, &attr, thread_main, s);
	must(pthread_sigmask(SIG_SETMASK, &old, NULL));
	must(pthread_attr_destroy(&attr));
	if (r == 0)
		return 0;
	free(s);
	errno = r;
	return err_sys(err, "cannot start the thread '%s'", name);
}

int thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg, struct err *err)
{
	return start(ret, /* is_detached= */ false, name, fn, arg, err);
}

int thread_detach(const char *name, void *(*fn)(void *), void *arg, struct err *err)
{
	pthread_t unused;

	return start(&unused, /* is_detached= */ true, name, fn, arg, err);
}
