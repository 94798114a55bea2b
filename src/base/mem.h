/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * mem.h - small allocations that cannot fail
 *
 * Out of memory ends the process: the daemon's truth is on disk and recovery repairs (doc/design.md, Crash). Whatever a
 * peer can make large is bounded before it is allocated.
 */
#include <stddef.h>

/* Ends the process; for libraries that report out of memory in their own way. */
_Noreturn void mem_exhausted(void);

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t size) __attribute__((returns_nonnull));
void *xreallocarray(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrdup_null(const char *s); /* NULL stays NULL */
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
void *xmemdup(const void *p, size_t n) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));
