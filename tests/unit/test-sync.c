/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sync.h"

#include <signal.h>

#include "base/clock.h"
#include "test.h"

struct shared {
	struct mutex a, b;
	struct cond changed;
	int n, n_done;
	int done_goal;
	char name[16];
	bool are_signals_blocked;
};

static void shared_init(struct shared *s)
{
	*s = (struct shared){ 0 };
	mutex_init(&s->a);
	mutex_init(&s->b);
	cond_init(&s->changed);
}

static void shared_done(struct shared *s)
{
	cond_done(&s->changed);
	mutex_done(&s->b);
	mutex_done(&s->a);
}

static void *count_up(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < 10000; i++) {
		SCOPED_LOCK(&s->a);
		s->n++;
	}
	SCOPED_LOCK(&s->a);
	s->n_done++;
	cond_broadcast(&s->changed);
	return NULL;
}

TEST(a_lock_is_held_to_the_end_of_the_scope)
{
	struct shared s;
	pthread_t t[4];

	shared_init(&s);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		CHECK_INT(thread_start(&t[i], "count", count_up, &s, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		pthread_join(t[i], NULL);
	CHECK_INT(s.n, 40000);
	shared_done(&s);
}

TEST(two_locks_in_one_scope)
{
	struct shared s;

	shared_init(&s);
	{
		SCOPED_LOCK(&s.a);
		SCOPED_LOCK(&s.b);
		CHECK(pthread_mutex_trylock(&s.a.m) != 0);
		CHECK(pthread_mutex_trylock(&s.b.m) != 0);
	}
	CHECK(pthread_mutex_trylock(&s.a.m) == 0);
	CHECK(pthread_mutex_trylock(&s.b.m) == 0);
	mutex_unlock(&s.a);
	mutex_unlock(&s.b);
	shared_done(&s);
}

TEST(detached_threads_and_conditions)
{
	struct shared s;

	shared_init(&s);
	for (int i = 0; i < 4; i++)
		CHECK_INT(thread_detach("count", count_up, &s, NULL), 0);
	{
		SCOPED_LOCK(&s.a);
		while (s.n_done < 4)
			cond_wait(&s.changed, &s.a);
		CHECK_INT(s.n, 40000);
	}
	shared_done(&s);
}

TEST(a_deadline)
{
	struct shared s;
	uint64_t before = clock_mono_us();
	int r = 0;

	shared_init(&s);
	{
		SCOPED_LOCK(&s.a);
		while (r == 0)
			r = cond_wait_until(&s.changed, &s.a, before + 50 * US_PER_MS);
		CHECK_INT(r, -ETIMEDOUT);
		CHECK_INT(cond_wait_until(&s.changed, &s.a, 0), -ETIMEDOUT);
		CHECK(pthread_mutex_trylock(&s.a.m) != 0); /* held again after the wait */
	}
	CHECK(clock_mono_us() - before >= 50 * US_PER_MS);
	CHECK(clock_mono_us() - before < 5 * US_PER_S);
	shared_done(&s);
}

static void *look(void *arg)
{
	struct shared *s = arg;
	sigset_t set;

	pthread_getname_np(pthread_self(), s->name, sizeof(s->name));
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	s->are_signals_blocked = sigismember(&set, SIGTERM) && sigismember(&set, SIGUSR1) && sigismember(&set, SIGCHLD);
	return NULL;
}

TEST(names_and_signals)
{
	struct shared s;
	sigset_t set;
	pthread_t t;

	shared_init(&s);
	CHECK_INT(thread_start(&t, "a-name-that-is-far-too-long", look, &s, NULL), 0);
	pthread_join(t, NULL);
	CHECK_STR(s.name, "a-name-that-is-");
	CHECK(s.are_signals_blocked);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	CHECK(!sigismember(&set, SIGTERM)); /* the starter's own are as before */
	shared_done(&s);
}
