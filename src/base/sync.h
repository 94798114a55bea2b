/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* sync.h - mutexes with a scope, conditions with a deadline, threads */
#include <pthread.h>
#include <stdint.h>

#include "base/err.h"

struct mutex {
	pthread_mutex_t m;
};
struct cond {
	pthread_cond_t c; /* on CLOCK_MONOTONIC */
};

void mutex_init(struct mutex *m);
void mutex_done(struct mutex *m);
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);
void cond_init(struct cond *c);
void cond_done(struct cond *c);
void cond_broadcast(struct cond *c);
void cond_wait(struct cond *c, struct mutex *m);
int cond_wait_until(struct cond *c, struct mutex *m, uint64_t deadline_us); /* 0, or -ETIMEDOUT; clock_mono_us() time */

struct mutex_scope {
	struct mutex *m;
};
static inline struct mutex_scope mutex_scope_enter(struct mutex *m)
{
	mutex_lock(m);
	return (struct mutex_scope){ m };
}
static inline void mutex_scope_leave(struct mutex_scope *s)
{
	mutex_unlock(s->m);
}
/* SCOPED_LOCK(&m); holds the mutex to the end of the scope */
#define SCOPED_LOCK(mutex)		SCOPED_LOCK_NAMED_(mutex, __LINE__)
#define SCOPED_LOCK_NAMED_(mutex, line) SCOPED_LOCK_(mutex, line) /* expands __LINE__ before it is pasted */
#define SCOPED_LOCK_(mutex, line)                                                                                      \
	__attribute__((cleanup(mutex_scope_leave), unused)) struct mutex_scope lock_##line = mutex_scope_enter(mutex)

/* A thread with all signals blocked. thread_detach() for one nobody waits for. */
int thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg, struct err *err);
int thread_detach(const char *name, void *(*fn)(void *), void *arg, struct err *err);
