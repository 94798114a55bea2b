/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * auto.h - scope owns
 *
 * Every resource has a variable that owns it, and the end of the scope releases it. Ownership leaves a scope only
 * through TAKE_PTR() or TAKE_FD(). There is no goto for cleaning up anywhere in this code base.
 */
#include <stdlib.h>
#include <unistd.h>

static inline void auto_free(void *p)
{
	free(*(void **)p);
}

static inline void auto_close(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

/* A heap pointer freed at the end of the scope. Initialise it. */
#define autofree __attribute__((cleanup(auto_free)))

/* A descriptor closed at the end of the scope, unless negative. Initialise it to -1. */
#define autoclose __attribute__((cleanup(auto_close)))

/* AUTO(x_free) struct x *x = NULL: calls x_free_ptr(&x), which AUTO_DEFINE made from x_free(struct x *). */
#define AUTO(fn) __attribute__((cleanup(fn##_ptr)))

/* AUTO_DEFINE(struct strv *, strv_free): the clean-up for a variable of a pointer type; the function takes NULL. */
#define AUTO_DEFINE(type, fn)                                                                                          \
	static inline void fn##_ptr(__typeof__(type) *p)                                                               \
	{                                                                                                              \
		fn(*p);                                                                                                \
	}

/* AUTO_DEFINE_IN(struct strbuf, strbuf_done): the clean-up for an embedded object, passed by address. */
#define AUTO_DEFINE_IN(type, fn)                                                                                       \
	static inline void fn##_ptr(__typeof__(type) *p)                                                               \
	{                                                                                                              \
		fn(p);                                                                                                 \
	}

/* Hands the pointer over and leaves NULL behind. */
#define TAKE_PTR(p)                                                                                                    \
	({                                                                                                             \
		__typeof__(p) take_ = (p);                                                                             \
		(p) = NULL;                                                                                            \
		take_;                                                                                                 \
	})

/* Hands the descriptor over and leaves -1 behind. */
#define TAKE_FD(fd)                                                                                                    \
	({                                                                                                             \
		int take_ = (fd);                                                                                      \
		(fd) = -1;                                                                                             \
		take_;                                                                                                 \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
