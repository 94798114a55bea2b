/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * proc.h - run another program
 *
 * Children are made by posix_spawn only (the daemon has threads), with every signal at its default, an empty mask and
 * only the descriptors named here. Waiting is by pidfd, with a deadline.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/err.h"
#include "base/str.h"

struct proc_fd {
	int from; /* ours */
	int to;	  /* the child's number, >= 0; 0, 1 and 2 replace the default /dev/null */
};

struct proc_spec {
	char *const *argv; /* argv[0] is looked up in PATH of @env (or ours) */
	char *const *env;  /* NULL: ours */
	const char *cwd;   /* NULL: ours */
	const struct proc_fd *fds;
	size_t n_fds;
	bool new_session; /* setsid() */
};

/* .argv = PROC_ARGV("crun", "state", id): lives as long as the block it stands in */
#define PROC_ARGV(...) ((char *const *)(const char *const[]){ __VA_ARGS__, NULL })

struct proc {
	pid_t pid;
	int pidfd; /* -1 when there is no child */
};

#define PROC_NONE                                                                                                      \
	{                                                                                                              \
		.pidfd = -1                                                                                            \
	}

/* Starts the program. The child is to be waited for with proc_wait(); proc_done() kills and reaps one that was not. */
int proc_start(struct proc *p, const struct proc_spec *spec, struct err *err);
void proc_done(struct proc *p);
AUTO_DEFINE_IN(struct proc, proc_done)

/* Waits at most @timeout_us (UINT64_MAX: for ever) and gives the wait status as waitpid(2) does.
 * Returns 1 when the child has ended, 0 at the deadline (the child runs on). */
int proc_wait(struct proc *p, uint64_t timeout_us, int *ret_status, struct err *err);

/*
 * proc_run() - run to the end and keep what it says
 *
 * Drains stdout and stderr while the program runs (both into @out, at most @out_max bytes, the rest is counted as read
 * and dropped;
 * @out may be NULL), kills it at the deadline (-ETIMEDOUT). A status other than 0 is -EPROTO with
 * "<program> failed: <last line that it printed>"; *ret_code, where asked for, gets the exit code (128+n for a signal)
 * and then only failures to run it are errors.
 */
int proc_run(const struct proc_spec *spec, uint64_t timeout_us, struct strbuf *out, size_t out_max, int *ret_code,
	     struct err *err);

/* Opens a pidfd on @pid if that process still is the one that started at @start_time (field 22 of /proc/PID/stat; 0:
 * any). */
int proc_open(pid_t pid, uint64_t start_time, struct err *err);

/* Field 22 of /proc/PID/stat. -ESRCH when it is gone. */
int proc_start_time(pid_t pid, uint64_t *ret, struct err *err);

/* Waits until the process behind @pidfd has ended: 1, or 0 at the deadline. */
int proc_wait_pidfd(int pidfd, uint64_t timeout_us);
