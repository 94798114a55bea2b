/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/jobs.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "base/sync.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/progress.h"

enum { TICK_MS = 120 };

struct job {
	struct jobs *jobs;
	char *name;
	struct json *details;  /* for --format json; an object or NULL */
	struct client *client; /* of the thread that runs it */
	char *operation;       /* while one runs */
	char *progress;	       /* of what is no operation */
	char *told, *hint;
	struct err err;
	int result;
	bool is_done;
};

struct jobs {
	struct cli *cli;
	int (*fn)(struct job *job, void *arg, struct err *err);
	void *arg;
	struct job *all;
	size_t n, next, n_printed;
	bool is_one_by_one;
	struct mutex mutex; /* next, is_cancelled; of each job: operation, progress, is_done */
	bool is_cancelled;
	int done_fd; /* eventfd: one more is done */
	int signal_fd;
	struct progress progress;
};

const char *job_name(const struct job *job)
{
	return job->name;
}

struct client *job_client(struct job *job)
{
	return job->client;
}

void job_rename(struct job *job, const char *name)
{
	SCOPED_LOCK(&job->jobs->mutex);

	free(job->name);
	job->name = xstrdup(name);
}

void job_detail(struct job *job, const char *key, const char *value)
{
	if (!job->details)
		job->details = json_new_object();
	json_set_str(job->details, key, value);
}

void job_hint(struct job *job, const char *fmt, ...)
{
	struct strbuf sb = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&sb, fmt, ap);
	va_end(ap);
	free(job->hint);
	job->hint = strbuf_take(&sb);
}

void job_say(struct job *job, const char *fmt, ...)
{
	struct strbuf sb = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&sb, fmt, ap);
	va_end(ap);
	free(job->told);
	job->told = strbuf_take(&sb);
}

static bool set_operation(struct job *job, const char *operation)
{
	SCOPED_LOCK(&job->jobs->mutex);

	free(job->operation);
	job->operation = xstrdup_null(operation);
	return job->jobs->is_cancelled;
}

int job_wait(struct job *job, const struct json *answer, struct json **ret_root, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	const struct json *metadata = NULL;
	const char *operation = json_get_str(answer, "operation");
	int r;

	if (!operation || !*operation)
		return 0;
	if (set_operation(job, operation))
		(void)client_call(job->client, "DELETE", operation, NULL, NULL, NULL); /* Ctrl-C came in between */
	r = client_wait(job->client, operation, &root, &metadata, err);
	(void)set_operation(job, NULL);
	if (r < 0)
		return r;
	if (ret_root)
		*ret_root = TAKE_PTR(root);
	return 0;
}

int job_operation(struct job *job, const char *method, const char *path, const struct json *body,
		  struct json **ret_root, struct err *err)
{
	AUTO(json_free) struct json *answer = NULL;
	int r;

	r = client_call(job->client, method, path, body, &answer, err);
	if (r < 0)
		return r;
	return job_wait(job, answer, ret_root, err);
}

void job_progress(struct job *job, const char *fmt, ...)
{
	struct strbuf sb = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&sb, fmt, ap);
	va_end(ap);
	SCOPED_LOCK(&job->jobs->mutex);
	free(job->progress);
	job->progress = strbuf_take(&sb);
}

static void end_progress(struct job *job)
{
	SCOPED_LOCK(&job->jobs->mutex);

	free(TAKE_PTR(job->progress));
}

static bool is_cancelled(struct jobs *jobs)
{
	SCOPED_LOCK(&jobs->mutex);

	return jobs->is_cancelled;
}

struct producing {
	struct job *job;
	int (*sink)(void *arg, const char *data, size_t n);
	void *arg;
	uint64_t n_bytes, shown_us;
	struct err *err;
};

static int on_begin(void *arg, const char *operation)
{
	const struct producing *p = arg;

	return set_operation(p->job, operation) ? err_set(p->err, -ECANCELED, "cancelled") : 0;
}

static int on_produced(void *arg, const char *data, size_t n)
{
	struct producing *p = arg;
	uint64_t now = clock_mono_us();
	char size[32];

	p->n_bytes += n;
	if (now - p->shown_us > TICK_MS * US_PER_MS) {
		job_progress(p->job, "%s", str_from_bytes(p->n_bytes, size, sizeof(size)));
		p->shown_us = now;
	}
	return p->sink(p->arg, data, n);
}

int job_produce(struct job *job, const char *path, int (*sink)(void *arg, const char *data, size_t n), void *arg,
		struct err *err)
{
	struct producing p = { .job = job, .sink = sink, .arg = arg, .err = err };
	int r = client_produce(job->client, path, on_begin, on_produced, &p, err);

	(void)set_operation(job, NULL);
	end_progress(job);
	return r;
}

struct uploading {
	struct job *job;
	uint64_t total, shown_us;
	struct err *err;
};

static int on_sent(void *arg, uint64_t n)
{
	struct uploading *u = arg;
	uint64_t now = clock_mono_us();
	char size[32];

	if (is_cancelled(u->job->jobs))
		return err_set(u->err, -ECANCELED, "cancelled");
	if (now - u->shown_us <= TICK_MS * US_PER_MS)
		return 0;
	u->shown_us = now;
	if (u->total > 0)
		job_progress(u->job, "Sending: %d%%", (int)(n < u->total ? n * 100 / u->total : 100));
	else
		job_progress(u->job, "Sending: %s", str_from_bytes(n, size, sizeof(size)));
	return 0;
}

int job_upload(struct job *job, const char *path, int fd, char *const *headers, struct json **ret, struct err *err)
{
	struct uploading u = { .job = job, .err = err };
	struct stat st;
	int r;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		u.total = (uint64_t)st.st_size;
	r = client_upload(job->client, path, fd, headers, on_sent, &u, ret, err);
	end_progress(job);
	return r;
}

static struct job *take_next(struct jobs *jobs)
{
	SCOPED_LOCK(&jobs->mutex);

	return jobs->next < jobs->n ? &jobs->all[jobs->next++] : NULL;
}

static void set_done(struct job *job)
{
	uint64_t one = 1;
	SCOPED_LOCK(&job->jobs->mutex);

	job->is_done = true;
	if (write(job->jobs->done_fd, &one, sizeof(one)) < 0)
		abort(); /* only a closed descriptor fails here */
}

static void *work(void *arg)
{
	struct jobs *jobs = arg;
	AUTO(client_free) struct client *client = NULL;
	struct err err = ERR_INIT;
	struct job *job;
	int r = client_new(jobs->cli->socket, &client, &err);

	while ((job = take_next(jobs))) {
		job->client = client;
		if (r < 0) {
			job->result = r;
			job->err = err;
		} else if (is_cancelled(jobs)) {
			job->result = err_set(&job->err, -ECANCELED, "not begun, because of Ctrl-C");
		} else {
			job->result = jobs->fn(job, jobs->arg, &job->err);
		}
		set_done(job);
	}
	return NULL;
}

/* The daemon mostly names the instance itself: "there is no instance 'web'". */
static void complain(const struct job *job)
{
	autofree char *quoted = xasprintf("'%s'", job->name);

	if (strstr(job->err.text, quoted))
		cli_complain("%s", job->err.text);
	else
		cli_complain("%s: %s", job->name, job->err.text);
	if (job->hint)
		cli_complain("%s", job->hint);
}

/* Prints what is done, up to the first that is not. */
static void print_done(struct jobs *jobs)
{
	SCOPED_LOCK(&jobs->mutex);

	for (; jobs->n_printed < jobs->n && jobs->all[jobs->n_printed].is_done; jobs->n_printed++) {
		const struct job *job = &jobs->all[jobs->n_printed];

		progress_clear(&jobs->progress);
		if (job->result < 0)
			complain(job);
		else if (job->told)
			cli_say(jobs->cli, "%s\n", job->told);
		(void)fflush(stdout);
	}
}

/* What to show: the first that runs. Its name, its operation and what it says of itself (either can be NULL), new
 * strings. */
static bool find_running(struct jobs *jobs, char **ret_operation, char **ret_progress, char **ret_label)
{
	SCOPED_LOCK(&jobs->mutex);

	for (size_t i = jobs->n_printed; i < jobs->n; i++) {
		const struct job *job = &jobs->all[i];

		if (job->is_done || (!job->operation && !job->progress))
			continue;
		*ret_operation = xstrdup_null(job->operation);
		*ret_progress = xstrdup_null(job->progress);
		*ret_label = jobs->n == 1 ? xstrdup(job->name)
					  : xasprintf("%zu of %zu done, %s", jobs->n_printed, jobs->n, job->name);
		return true;
	}
	return false;
}

static void show_progress(struct jobs *jobs, struct client *client)
{
	AUTO(json_free) struct json *root = NULL;
	autofree char *operation = NULL, *progress = NULL, *label = NULL, *both = NULL;
	const struct json *op = NULL;

	if (!find_running(jobs, &operation, &progress, &label))
		return;
	if (!operation) {
		progress_line(&jobs->progress, label, progress, 0);
		return;
	}
	if (client_get(client, operation, &root, &op, NULL) < 0)
		return; /* it has just ended */
	both = progress ? xasprintf("%s, %s", label, progress) : NULL;
	progress_show(&jobs->progress, both ? both : label, op);
}

/* First Ctrl-C. Each operation is asked to end; one that is past its point of no return says so. */
static void cancel_all(struct jobs *jobs, struct client *client)
{
	AUTO(strv_free) char **operations = NULL;

	{
		SCOPED_LOCK(&jobs->mutex);

		jobs->is_cancelled = true;
		for (size_t i = 0; i < jobs->n; i++)
			if (jobs->all[i].operation && !jobs->all[i].is_done)
				strv_add(&operations, jobs->all[i].operation);
	}
	progress_clear(&jobs->progress);
	cli_complain("cancelling; Ctrl-C again leaves without waiting");
	for (size_t i = 0; operations && operations[i]; i++) {
		struct err err = ERR_INIT;
		int r = client_call(client, "DELETE", operations[i], NULL, NULL, &err);

		if (r < 0 && r != -ENOENT)
			cli_complain("%s", err.text);
	}
}

static bool all_printed(const struct jobs *jobs)
{
	return jobs->n_printed == jobs->n;
}

/* Watches until all is done. CLI_INTERRUPTED after the second Ctrl-C. */
static int watch(struct jobs *jobs, struct client *client)
{
	bool has_progress = jobs->cli->has_terminal_err && !jobs->cli->is_quiet;
	struct pollfd fds[] = { { .fd = jobs->done_fd, .events = POLLIN },
				{ .fd = jobs->signal_fd, .events = POLLIN } };

	while (!all_printed(jobs)) {
		struct signalfd_siginfo info;
		uint64_t count;
		int n = poll(fds, ARRAY_SIZE(fds), has_progress ? TICK_MS : -1);

		if (n == 0) {
			show_progress(jobs, client);
			continue;
		}
		if (n > 0 && fds[0].revents && read(jobs->done_fd, &count, sizeof(count)) > 0)
			print_done(jobs);
		if (n > 0 && fds[1].revents && read(jobs->signal_fd, &info, sizeof(info)) > 0) {
			if (jobs->is_cancelled)
				return CLI_INTERRUPTED;
			cancel_all(jobs, client);
		}
	}
	return CLI_OK;
}

/* [{"name": "web", "ok": true, "error": null, …}] */
static void print_json(const struct jobs *jobs)
{
	AUTO(json_free) struct json *list = json_new_array();

	for (size_t i = 0; i < jobs->n; i++) {
		const struct job *job = &jobs->all[i];
		struct json *one = json_new_object();

		json_set_str(one, "name", job->name);
		json_set_bool(one, "ok", job->result >= 0);
		json_set_str(one, "error", job->result >= 0 ? NULL : job->err.text);
		for (struct json_iter it = json_iter(job->details); json_next(&it);)
			json_set_str(one, it.key, json_str(it.value));
		json_add(list, one);
	}
	output_json(list);
}

static int summary(const struct jobs *jobs)
{
	AUTO(strv_free) char **failed = NULL;
	autofree char *names = NULL;
	bool is_unreachable = false;

	for (size_t i = 0; i < jobs->n; i++) {
		if (jobs->all[i].result >= 0)
			continue;
		strv_add(&failed, jobs->all[i].name);
		is_unreachable = is_unreachable || jobs->all[i].result == CLIENT_EUNREACHABLE;
	}
	if (!failed)
		return CLI_OK;
	names = strv_join(failed, ", ");
	if (jobs->n > 1)
		cli_complain("%zu of %zu failed: %s", strv_len(failed), jobs->n, names);
	return is_unreachable ? CLI_UNREACHABLE : CLI_FAILED;
}

/* Ctrl-C as a readable descriptor; -1 where the caller ignores it (nohup, a shell's background). */
static int catch_interrupt(sigset_t *ret_before)
{
	struct sigaction now;
	sigset_t set;

	(void)sigemptyset(&set);
	if (sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
		(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, ret_before);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static size_t count_threads(size_t n)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	size_t most = cores > 0 ? 2 * (size_t)cores : 2; /* as many as the daemon works on at the same time */

	return n < most ? n : most;
}

static int run_threads(struct jobs *jobs, struct client *client, struct err *err)
{
	size_t n_threads = jobs->is_one_by_one ? 1 : count_threads(jobs->n), n_started = 0;
	autofree pthread_t *threads = xcalloc(n_threads + 1, sizeof(*threads));
	int r = 0, code;

	while (n_started < n_threads && r == 0) {
		r = thread_start(&threads[n_started], "job", work, jobs, err);
		if (r == 0)
			n_started++;
	}
	if (n_started == 0)
		return r < 0 ? r : CLI_OK;
	code = watch(jobs, client);
	progress_clear(&jobs->progress);
	if (code == CLI_INTERRUPTED) {
		/* The threads still wait for the daemon. Nothing of ours needs them: leave with the process. */
		cli_complain("left; the daemon goes on with what it does ('stasis operation list')");
		(void)fflush(NULL);
		_exit(CLI_INTERRUPTED);
	}
	for (size_t i = 0; i < n_started; i++)
		(void)pthread_join(threads[i], NULL);
	if (jobs->cli->format == TABLE_JSON)
		print_json(jobs);
	return summary(jobs);
}

static int run_jobs(struct jobs *jobs, char *const *names, struct err *err)
{
	autofree struct job *all = xcalloc(jobs->n + 1, sizeof(*all));
	autoclose int done_fd = eventfd(0, EFD_CLOEXEC);
	autoclose int signal_fd = -1;
	struct client *client = NULL;
	sigset_t before;
	int r;

	r = cli_client(jobs->cli, &client, err);
	if (r < 0)
		return r;
	signal_fd = catch_interrupt(&before);
	jobs->all = all;
	jobs->done_fd = done_fd;
	jobs->signal_fd = signal_fd;
	mutex_init(&jobs->mutex);
	for (size_t i = 0; i < jobs->n; i++)
		all[i] = (struct job){ .jobs = jobs, .name = xstrdup(names[i]) };

	r = run_threads(jobs, client, err);

	for (size_t i = 0; i < jobs->n; i++) {
		free(all[i].name);
		free(all[i].operation);
		free(all[i].progress);
		json_free(all[i].details);
		free(all[i].told);
		free(all[i].hint);
	}
	mutex_done(&jobs->mutex);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

int jobs_run(struct cli *cli, char *const *names, int (*fn)(struct job *job, void *arg, struct err *err), void *arg,
	     struct err *err)
{
	struct jobs jobs = { .cli = cli, .fn = fn, .arg = arg, .n = strv_len(names) };

	return run_jobs(&jobs, names, err);
}

int jobs_run_one_by_one(struct cli *cli, char *const *names, int (*fn)(struct job *job, void *arg, struct err *err),
			void *arg, struct err *err)
{
	struct jobs jobs = { .cli = cli, .fn = fn, .arg = arg, .n = strv_len(names), .is_one_by_one = true };

	return run_jobs(&jobs, names, err);
}
