/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/conmon.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/strv.h"

#define SYNC_FD	     3
#define START_FD     4
#define SYNC_MAX     65536
#define KILL_WAIT_US (10 * US_PER_S)

static char **conmon_argv(const struct tools *t, const struct conmon_spec *spec)
{
	autofree char *log = xasprintf("k8s-file:%s", spec->log);
	autofree char *pidfile = path_join(spec->bundle, "pid");
	autofree char *own_pidfile = path_join(spec->bundle, "conmon.pid");
	char **v = strv_new(t->conmon, "--api-version", "1", "-c", spec->uuid, "-u", spec->uuid, "-n", spec->name, "-r",
			    t->crun, "-b", spec->bundle, "-p", pidfile, "--conmon-pidfile", own_pidfile,
			    "--persist-dir", spec->bundle, "--full-attach", "-l", log, "--log-level", "warning", NULL);

	if (spec->has_tty)
		strv_add(&v, "-t");
	if (spec->has_stdin) {
		strv_add(&v, "-i");
		strv_add(&v, "--leave-stdin-open"); /* who detaches from the console may come back */
	}
	if (spec->restore_from) {
		strv_add(&v, "--restore");
		strv_add(&v, spec->restore_from);
	}
	for (size_t i = 0; spec->restore_from && spec->restore_flags && spec->restore_flags[i]; i++) {
		strv_add(&v, "--runtime-opt");
		strv_add(&v, spec->restore_flags[i]);
	}
	return v;
}

/* The same pipe once more, open for reading and writing. */
static int reopen_both_ways(int pipe_fd, struct err *err)
{
	char path[32];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", pipe_fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "cannot open a pipe again") : fd;
}

/* Starts it; it waits for the start pipe, and by then sits in its cgroup. *ret_sync is where it reports. */
static int launch(const struct tools *t, const struct conmon_spec *spec, const struct cgroup *cg, int *ret_sync,
		  struct err *err)
{
	AUTO(strv_free) char **argv = conmon_argv(t, spec);
	AUTO(strv_free) char **env = strv_copy(spec->env);
	AUTO(proc_done) struct proc p = PROC_NONE;
	autoclose int sync_r = -1, sync_w = -1, unbreakable = -1, start_r = -1, start_w = -1;
	int sync[2], start[2], status, r;

	if (pipe2(sync, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	sync_r = sync[0], sync_w = sync[1];
	/* conmon ends when it cannot report; with a pipe that it holds both ends of, it survives our death */
	unbreakable = reopen_both_ways(sync_r, err);
	if (unbreakable < 0)
		return unbreakable;
	if (pipe2(start, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	start_r = start[0], start_w = start[1];
	strv_env_set(&env, "_OCI_SYNCPIPE", "3");
	strv_env_set(&env, "_OCI_STARTPIPE", "4");

	const struct proc_fd fds[] = { { unbreakable, SYNC_FD }, { start_r, START_FD } };
	const struct proc_spec ps = { .argv = argv, .env = env, .cwd = spec->bundle, .fds = fds, .n_fds = 2 };

	r = proc_start(&p, &ps, err);
	if (r < 0)
		return r;
	r = cgroup_attach(cg, CGROUP_MONITOR, p.pid, err);
	if (r < 0)
		return r;
	if (write(start_w, "1", 1) != 1)
		return err_sys(err, "conmon does not start");
	/* the parent ends as soon as the monitor proper has been forked */
	r = proc_wait(&p, 30 * US_PER_S, &status, err);
	if (r <= 0 || status != 0)
		return r < 0 ? r : err_set(err, -EIO, "conmon failed to start (status %d)", r ? status : -1);
	*ret_sync = TAKE_FD(sync_r);
	return 0;
}

static bool log_is_too_big(const struct conmon_spec *spec)
{
	autofree char *log = path_join(spec->bundle, "restore.log");
	struct stat st;

	return spec->restore_from && stat(log, &st) == 0 && (uint64_t)st.st_size > spec->log_cap;
}

/* One line of JSON comes when the runtime is done: {"data": PID} or {"data": -1, "message": "..."}. */
static int await_report(int sync_fd, const struct conmon_spec *spec, struct strbuf *text, struct err *err)
{
	const char *what = spec->restore_from ? "restore" : "creation";
	uint64_t deadline = clock_mono_us() + spec->timeout_us;
	struct pollfd p = { .fd = sync_fd, .events = POLLIN };
	char buf[4096];

	while (!strchr(text->s, '\n') && text->len < SYNC_MAX) {
		ssize_t n;

		if (clock_mono_us() >= deadline)
			return err_set(err, -ETIMEDOUT, "the %s took longer than %llu s and was ended", what,
				       (unsigned long long)(spec->timeout_us / US_PER_S));
		if (log_is_too_big(spec))
			return err_set(err, -EUCLEAN,
				       "CRIU fills its log without end and was stopped: its images are damaged");
		if (poll(&p, 1, 100) <= 0)
			continue;
		n = read(sync_fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		strbuf_add(text, buf, (size_t)n);
	}
	if (text->len == 0)
		return err_set(err, -EIO, "conmon ended before the %s was done", what);
	return 0;
}

static int parse_report(const struct strbuf *text, pid_t *ret_init, struct err *err)
{
	AUTO(json_free) struct json *j = NULL;
	const char *message;
	int64_t data;

	if (json_parse(text->s, strcspn(text->s, "\n"), &j, NULL) < 0)
		return err_set(err, -EPROTO, "conmon said something strange: %.200s", text->s);
	data = json_get_int(j, "data", -1);
	if (data > 0) {
		*ret_init = (pid_t)data;
		return 0;
	}
	message = json_get_str(j, "message");
	return err_set(err, -EIO, "crun: %.*s", message ? (int)strcspn(message, "\n") : 0, message ? message : "");
}

int conmon_start(const struct tools *t, const struct conmon_spec *spec, const struct cgroup *cg, pid_t *ret_init,
		 struct err *err)
{
	AUTO(strbuf_done) struct strbuf text = STRBUF_INIT;
	autoclose int sync_fd = -1;
	int r;

	conmon_clean(spec->bundle);
	r = cgroup_make(cg, CGROUP_MONITOR, err);
	if (r == 0)
		r = launch(t, spec, cg, &sync_fd, err);
	if (r == 0)
		r = await_report(sync_fd, spec, &text, err);
	if (r == 0)
		r = parse_report(&text, ret_init, err);
	if (r < 0) {
		/* a half-restored init has its own session: only the cgroups reach all of it */
		(void)cgroup_kill(cg, CGROUP_PAYLOAD, KILL_WAIT_US, NULL);
		(void)cgroup_kill(cg, CGROUP_MONITOR, KILL_WAIT_US, NULL);
	}
	return r;
}

static int read_pid(const char *bundle, const char *name, pid_t *ret, struct err *err)
{
	autofree char *path = path_join(bundle, name);
	autofree char *text = NULL;
	int r = file_read(path, 64, &text, NULL, err);

	if (r < 0)
		return r;
	*ret = (pid_t)atoi(text);
	return *ret > 0 ? 0 : err_set(err, -ESRCH, "'%s' holds no pid", path);
}

static int find_in_cgroup(const char *bundle, const char *name, const struct cgroup *cg, enum cgroup_part part,
			  pid_t *ret, struct err *err)
{
	pid_t pid;
	int r = read_pid(bundle, name, &pid, err);

	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	if (!cgroup_has_process(cg, part, pid))
		return err_set(err, -ESRCH, "process %d is not of this instance any more", pid);
	*ret = pid;
	return 0;
}

int conmon_find(const char *bundle, const struct cgroup *cg, pid_t *ret, struct err *err)
{
	return find_in_cgroup(bundle, "conmon.pid", cg, CGROUP_MONITOR, ret, err);
}

int conmon_find_init(const char *bundle, const struct cgroup *cg, pid_t *ret, struct err *err)
{
	return find_in_cgroup(bundle, "pid", cg, CGROUP_PAYLOAD, ret, err);
}

bool conmon_is_settled(const char *bundle, const struct cgroup *cg)
{
	autofree pid_t *pids = NULL;
	pid_t conmon, init;
	size_t n = 0;

	if (!cgroup_is_populated(cg, CGROUP_MONITOR))
		return true;
	return cgroup_processes(cg, CGROUP_MONITOR, &pids, &n, NULL) == 0 && n == 1 &&
	       conmon_find(bundle, cg, &conmon, NULL) == 0 && conmon_find_init(bundle, cg, &init, NULL) == 0;
}

int conmon_exit_code(const char *bundle, int *ret, struct err *err)
{
	autofree char *path = path_join(bundle, "exit");
	autofree char *text = NULL;
	int r = file_read(path, 64, &text, NULL, err);

	if (r < 0)
		return r;
	*ret = atoi(text);
	return 0;
}

/* In the monitor cgroup conmon's only child is the runtime (the container is in another). */
static bool is_child_of(pid_t pid, pid_t conmon)
{
	autofree char *path = xasprintf("/proc/%d/stat", pid);
	autofree char *text = NULL;
	const char *close;
	int parent = 0;

	if (file_read(path, 4096, &text, NULL, NULL) < 0)
		return false;
	close = strrchr(text, ')');
	return close && sscanf(close + 1, " %*c %d", &parent) == 1 && parent == conmon;
}

int conmon_stdio_of_runtime(const char *bundle, const struct cgroup *cg, char **ret, struct err *err)
{
	AUTO(json_free) struct json *list = json_new_array();
	autofree pid_t *pids = NULL;
	pid_t conmon, crun = 0;
	size_t n = 0;
	int r;

	r = conmon_find(bundle, cg, &conmon, err);
	if (r == 0)
		r = cgroup_processes(cg, CGROUP_MONITOR, &pids, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n && !crun; i++)
		if (is_child_of(pids[i], conmon))
			crun = pids[i];
	if (!crun)
		return err_set(err, -ESRCH, "cannot find the crun that restores");
	for (int fd = 0; fd < 3; fd++) {
		autofree char *link = xasprintf("/proc/%d/fd/%d", crun, fd);
		char target[256];
		ssize_t len = readlink(link, target, sizeof(target) - 1);

		if (len < 0)
			return err_sys(err, "'%s'", link);
		target[len] = 0;
		json_add_str(list, target);
	}
	*ret = json_print(list, JSON_COMPACT);
	return 0;
}

void conmon_clean(const char *bundle)
{
	static const char *const left[] = { "pid", "conmon.pid", "attach", "ctl", "winsz", "exit", "oom" };

	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		autofree char *path = path_join(bundle, left[i]);

		(void)path_remove_all(path, NULL);
	}
}
