/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * feat.h - one kernel feature each: made, taken through a checkpoint, then verified
 *
 * arm() makes the thing. verify() runs after a restore (the test sends SIGUSR1): it says fail() for whatever is not as
 * it was and leaves the thing armed for the next round. idle() runs every 10 ms in between; it may be NULL.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct feature {
	const char *name;
	void (*arm)(void);
	void (*verify)(void);
	void (*idle)(void);
};

extern const struct feature file_features[];	/* feat-file.c */
extern const struct feature ipc_features[];	/* feat-ipc.c */
extern const struct feature net_features[];	/* feat-net.c */
extern const struct feature proc_features[];	/* feat-proc.c */
extern const struct feature refused_features[]; /* feat-refused.c: what the pre-flight must name */

/* Notes that something is not as it was; the process goes on, the status file says the first reason. */
void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The feature cannot be made here: the status file says so, and the process only waits for its end. */
void unsupported(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* A system call that must work: ends the process with what and errno otherwise. */
int must(int result, const char *what);
#define MUST(call) must((int)(call), #call)
/* Says something on standard output and remembers it for the status file. */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Bytes whose value depends on their place. */
void pattern_fill(void *buf, size_t len, unsigned salt);
bool pattern_check(const void *buf, size_t len, unsigned salt);

void sleep_ms(unsigned ms);
/* Waits until *@value has moved on from what it is now; false after 5 s. */
bool moves_on(const volatile uint64_t *value);
/* Memory that children share. */
void *shared_memory(size_t len);
/* Forks; the child dies with its parent and never returns from @run. */
pid_t spawn(void (*run)(void *arg), void *arg);
