/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * jobs.h - the same thing done to several names at the same time
 *
 * Each name has blocking code of its own, run by one of a few threads. The main thread meanwhile shows progress on a
 * terminal, prints what has become of each name in the order of the names, and listens for Ctrl-C: the first cancels
 * the operations that run and starts no more, the second leaves (the daemon goes on with what it does).
 */
#include "base/auto.h"
#include "base/err.h"
#include "cli/cli.h"

struct json;
struct job;

/* Runs @fn for each name and returns the exit code: CLI_OK, CLI_FAILED when any failed (each has been complained
 * about, with a summary), CLI_UNREACHABLE, or CLI_INTERRUPTED.
 * With --format json the results are printed as one array in the end. */
int jobs_run(struct cli *cli, char *const *names, int (*fn)(struct job *job, void *arg, struct err *err), void *arg,
	     struct err *err);

/* The same, but never two at once: where all of them work on one thing. */
int jobs_run_one_by_one(struct cli *cli, char *const *names, int (*fn)(struct job *job, void *arg, struct err *err),
			void *arg, struct err *err);

/* For the job: */
const char *job_name(const struct job *job);
struct client *job_client(struct job *job);

/* Sends a request that starts an operation and waits for its end; *ret_root (may be NULL) as in client_wait(). A
 * request that is answered at once is fine too. */
int job_operation(struct job *job, const char *method, const char *path, const struct json *body,
		  struct json **ret_root, struct err *err);
/* The same for an answer that already came. */
int job_wait(struct job *job, const struct json *answer, struct json **ret_root, struct err *err);

/* GET of what an operation writes while we read (client_produce()); Ctrl-C cancels it. */
int job_produce(struct job *job, const char *path, int (*sink)(void *arg, const char *data, size_t n), void *arg,
		struct err *err);
/* POST of everything that @fd gives (client_upload()), with progress where its size is known; Ctrl-C breaks it off. */
int job_upload(struct job *job, const char *path, int fd, char *const *headers, struct json **ret, struct err *err);
/* What is done without an operation, or beside one: "12.5 MiB". Shown behind its name while the job runs. */
void job_progress(struct job *job, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* From now on it is reported under this name. */
void job_rename(struct job *job, const char *name);

/* One more member of its object where results are printed as JSON. */
void job_detail(struct job *job, const char *key, const char *value);

/* What is to be told when it has worked: "web: running (0.12 s)." */
void job_say(struct job *job, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What helps when it has failed, told behind the failure: "'stasis info --show-log web' …". */
void job_hint(struct job *job, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
