/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc.c - run another program
 *
 * Descriptors: what the child shall have as 3 may be our 5 while its 5 is our 3. So each is first duplicated above all
 * numbers the child uses, and the child only duplicates downwards; nothing is overwritten before it was used. Then the
 * child closes whatever else there is, so that a library that forgot O_CLOEXEC does not leak into containers.
 */
#include "base/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define FOREVER	     UINT64_MAX

/* The descriptors of a child on their way to it. */
struct handover {
	posix_spawn_file_actions_t actions;
	int *high; /* duplicates above all of the child's numbers */
	size_t n_high;
};

static void handover_done(struct handover *h)
{
	(void)posix_spawn_file_actions_destroy(&h->actions);
	for (size_t i = 0; i < h->n_high; i++)
		(void)close(h->high[i]);
	free(h->high);
}
AUTO_DEFINE_IN(struct handover, handover_done)

static bool is_mapped(const struct proc_spec *spec, int to)
{
	for (size_t i = 0; i < spec->n_fds; i++)
		if (spec->fds[i].to == to)
			return true;
	return false;
}

/* posix_spawn_file_actions_* fail for want of memory only, and for numbers beyond the limit. */
static int action(int r, struct err *err)
{
	if (r == ENOMEM)
		mem_exhausted();
	errno = r;
	return r ? err_sys(err, "cannot prepare a descriptor") : 0;
}

static int handover_prepare(struct handover *h, const struct proc_spec *spec, struct err *err)
{
	posix_spawn_file_actions_t *a = &h->actions;
	int r = 0, top = 2;

	for (size_t i = 0; i < spec->n_fds; i++)
		top = spec->fds[i].to > top ? spec->fds[i].to : top;
	h->high = xcalloc(spec->n_fds, sizeof(int));
	for (size_t i = 0; i < spec->n_fds; i++) {
		int fd = fcntl(spec->fds[i].from, F_DUPFD_CLOEXEC, top + 1);

		if (fd < 0)
			return err_sys(err, "cannot pass descriptor %d on", spec->fds[i].from);
		h->high[h->n_high++] = fd;
	}
	for (int fd = 0; r == 0 && fd <= top; fd++) {
		if (is_mapped(spec, fd))
			continue;
		if (fd <= 2)
			r = action(posix_spawn_file_actions_addopen(a, fd, "/dev/null", O_RDWR, 0), err);
		else
			r = action(posix_spawn_file_actions_addclose(a, fd), err);
	}
	for (size_t i = 0; r == 0 && i < spec->n_fds; i++)
		r = action(posix_spawn_file_actions_adddup2(a, h->high[i], spec->fds[i].to), err);
	if (r == 0)
		r = action(posix_spawn_file_actions_addclosefrom_np(a, top + 1), err);
	if (r == 0 && spec->cwd)
		r = action(posix_spawn_file_actions_addchdir_np(a, spec->cwd), err);
	return r;
}

/* The child's signals: all at their default, none blocked. */
static void set_attributes(posix_spawnattr_t *attr, bool new_session)
{
	short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
	sigset_t set;

	if (new_session)
		flags |= POSIX_SPAWN_SETSID;
	(void)sigfillset(&set);
	(void)posix_spawnattr_setsigdefault(attr, &set);
	(void)sigemptyset(&set);
	(void)posix_spawnattr_setsigmask(attr, &set);
	(void)posix_spawnattr_setflags(attr, flags);
}

/* The program as the child would find it: posix_spawnp(3) looks in our PATH, not in the child's. */
static char *find_program(const struct proc_spec *spec)
{
	const char *path = spec->env ? strv_env_get(spec->env, "PATH") : getenv("PATH");
	AUTO(strv_free) char **dirs = NULL;

	if (strchr(spec->argv[0], '/'))
		return xstrdup(spec->argv[0]);
	dirs = strv_split(path && *path ? path : DEFAULT_PATH, ':');
	for (size_t i = 0; dirs[i]; i++) {
		autofree char *file = path_join(dirs[i][0] ? dirs[i] : ".", spec->argv[0]);
		struct stat st;

		if (stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0)
			return TAKE_PTR(file);
	}
	return NULL;
}

static int spawn(pid_t *ret, const struct proc_spec *spec, struct handover *h, struct err *err)
{
	autofree char *file = find_program(spec);
	posix_spawnattr_t attr;
	int r;

	if (!file)
		return err_set(err, -ENOENT, "the program '%s' is not installed (not found in PATH)", spec->argv[0]);
	r = posix_spawnattr_init(&attr);
	if (r != 0)
		mem_exhausted();
	set_attributes(&attr, spec->new_session);
	r = posix_spawn(ret, file, &h->actions, &attr, spec->argv, spec->env ? spec->env : environ);
	(void)posix_spawnattr_destroy(&attr);
	errno = r;
	return r ? err_sys(err, "cannot run %s", file) : 0;
}

int proc_start(struct proc *p, const struct proc_spec *spec, struct err *err)
{
	AUTO(handover_done) struct handover h = { 0 };
	pid_t pid = -1;
	int r;

	if (!spec->argv || !spec->argv[0])
		return err_set(err, -EINVAL, "no program is named");
	if (posix_spawn_file_actions_init(&h.actions) != 0)
		mem_exhausted();
	r = handover_prepare(&h, spec, err);
	if (r < 0)
		return err_wrap(err, r, "cannot run %s", spec->argv[0]);
	r = spawn(&pid, spec, &h, err);
	if (r < 0)
		return r;
	p->pid = pid;
	p->pidfd = pidfd_open(pid, 0); /* nobody has reaped it, so the number still is its */
	if (p->pidfd < 0) {
		r = err_sys(err, "cannot watch %s", spec->argv[0]);
		(void)kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return r;
	}
	return 0;
}

static int reap(struct proc *p, int *ret_status)
{
	pid_t pid;

	do
		pid = waitpid(p->pid, ret_status, 0);
	while (pid < 0 && errno == EINTR);
	if (pid < 0)
		return -errno;
	(void)close(p->pidfd);
	*p = (struct proc)PROC_NONE;
	return 0;
}

void proc_done(struct proc *p)
{
	int status;

	if (p->pidfd < 0 || p->pid <= 0) /* a zeroed object has no child either */
		return;
	(void)pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
	if (reap(p, &status) < 0) {
		(void)close(p->pidfd);
		*p = (struct proc)PROC_NONE;
	}
}

static uint64_t deadline_after(uint64_t timeout_us)
{
	uint64_t at;

	return __builtin_add_overflow(clock_mono_us(), timeout_us, &at) ? FOREVER : at;
}

/* poll(2) until a point in time; >0 ready, 0 at the deadline. */
static int poll_until(struct pollfd *fds, nfds_t n, uint64_t deadline_us)
{
	for (;;) {
		uint64_t now = clock_mono_us(), left = deadline_us > now ? deadline_us - now : 0;
		struct timespec ts = {
			.tv_sec = (time_t)(left / US_PER_S),
			.tv_nsec = (long)(left % US_PER_S) * 1000,
		};
		int r = ppoll(fds, n, deadline_us == FOREVER ? NULL : &ts, NULL);

		if (r >= 0)
			return r;
		if (errno != EINTR)
			return -errno;
	}
}

static int wait_until(int pidfd, uint64_t deadline_us)
{
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
	int r = pidfd < 0 ? -EBADF : poll_until(&pfd, 1, deadline_us);

	if (r > 0 && (pfd.revents & POLLNVAL))
		return -EBADF;
	return r;
}

int proc_wait_pidfd(int pidfd, uint64_t timeout_us)
{
	return wait_until(pidfd, deadline_after(timeout_us));
}

int proc_wait(struct proc *p, uint64_t timeout_us, int *ret_status, struct err *err)
{
	int r = proc_wait_pidfd(p->pidfd, timeout_us), status = 0;

	if (r == 0)
		return 0;
	if (r > 0)
		r = reap(p, &status);
	if (r < 0)
		return err_set(err, r, "cannot wait for process %d: %s", (int)p->pid, strerrordesc_np(-r));
	if (ret_status)
		*ret_status = status;
	return 1;
}

int proc_start_time(pid_t pid, uint64_t *ret, struct err *err)
{
	autofree char *path = xasprintf("/proc/%d/stat", (int)pid);
	autofree char *text = NULL;
	const char *c;
	int r;

	r = file_read(path, 4096, &text, NULL, NULL);
	if (r == -ENOENT || r == -ESRCH)
		return err_set(err, -ESRCH, "there is no process %d", (int)pid);
	if (r < 0)
		return err_set(err, r, "%s: %s", path, strerrordesc_np(-r));
	/* Field 2, the name, may hold blanks and brackets; behind its end come fields 3, 4 … */
	c = strrchr(text, ')');
	for (int field = 2; c && field < 22; field++)
		c = strchr(c + 1, ' ');
	if (!c)
		return err_set(err, -EPROTO, "%s cannot be understood", path);
	*ret = strtoull(c + 1, NULL, 10);
	return 0;
}

int proc_open(pid_t pid, uint64_t start_time, struct err *err)
{
	autoclose int fd = pidfd_open(pid, 0);
	uint64_t now = 0;
	int r;

	if (fd < 0 && errno == ESRCH)
		return err_set(err, -ESRCH, "there is no process %d", (int)pid);
	if (fd < 0)
		return err_sys(err, "cannot watch process %d", (int)pid);
	if (start_time == 0)
		return TAKE_FD(fd);
	/* The pidfd holds the process of now; asked after it was opened, the time is that process's or nobody's. */
	r = proc_start_time(pid, &now, err);
	if (r < 0)
		return r;
	if (now != start_time)
		return err_set(err, -ESRCH, "process %d is another one by now", (int)pid);
	return TAKE_FD(fd);
}

/* What a program says: the beginning for the caller, the end for the error. */
struct drain {
	int fd; /* non-blocking; -1 at the end */
	struct strbuf *out;
	size_t out_max;
	size_t tail_len;
	char tail[400];
};

static void drain_done(struct drain *d)
{
	if (d->fd >= 0)
		(void)close(d->fd);
	d->fd = -1;
}
AUTO_DEFINE_IN(struct drain, drain_done)

static void drain_keep(struct drain *d, const char *p, size_t n)
{
	size_t room = d->out && d->out->len < d->out_max ? d->out_max - d->out->len : 0, old;

	if (d->out)
		strbuf_add(d->out, p, n < room ? n : room);
	if (n > sizeof(d->tail)) {
		p += n - sizeof(d->tail);
		n = sizeof(d->tail);
	}
	old = d->tail_len < sizeof(d->tail) - n ? d->tail_len : sizeof(d->tail) - n;
	memmove(d->tail, d->tail + d->tail_len - old, old);
	memcpy(d->tail + old, p, n);
	d->tail_len = old + n;
}

/* Takes what is there now, at most @max bytes: 1 if there was something, 0 if not. */
static int drain_some(struct drain *d, size_t max)
{
	char buf[16384];
	ssize_t n = read(d->fd, buf, max < sizeof(buf) ? max : sizeof(buf));

	if (n > 0) {
		drain_keep(d, buf, (size_t)n);
		return (int)n;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		drain_done(d);
	return 0;
}

/* The program has ended. A grandchild may hold the pipe open and write for ever: only what is there now counts. */
static void drain_rest(struct drain *d)
{
	int n, left = 0;

	if (d->fd < 0 || ioctl(d->fd, FIONREAD, &left) < 0)
		return;
	while (left > 0 && d->fd >= 0) {
		n = drain_some(d, (size_t)left);
		if (n == 0)
			return;
		left -= n;
	}
}

/* The last line with something in it, fit for an error text. */
static char *drain_last_line(const struct drain *d)
{
	size_t end = d->tail_len, begin;
	char *line;

	while (end > 0 && (unsigned char)d->tail[end - 1] <= ' ')
		end--;
	begin = end;
	while (begin > 0 && d->tail[begin - 1] != '\n' && d->tail[begin - 1] != '\r')
		begin--;
	line = xstrndup(d->tail + begin, end - begin);
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	if (!str_is_utf8(line, strlen(line)))
		for (char *c = line; *c; c++)
			if ((unsigned char)*c > 0x7f)
				*c = '?';
	return line;
}

/* Drains until the child ends: 1, or 0 at the deadline. */
static int drain_until_end(struct drain *d, const struct proc *p, uint64_t deadline_us)
{
	for (;;) {
		struct pollfd fds[2] = {
			{ .fd = p->pidfd, .events = POLLIN },
			{ .fd = d->fd, .events = POLLIN }, /* a negative one is left out */
		};
		int r = poll_until(fds, ARRAY_SIZE(fds), deadline_us);

		if (r <= 0)
			return r;
		if (fds[1].revents)
			(void)drain_some(d, SIZE_MAX);
		if (fds[0].revents)
			return 1;
		/* A program that never stops talking must not talk us past the deadline. */
		if (clock_mono_us() >= deadline_us)
			return 0;
	}
}

/* @spec with stdout and stderr on a pipe, where it does not say otherwise. */
static int start_drained(struct proc *p, struct drain *d, const struct proc_spec *spec, struct err *err)
{
	autofree struct proc_fd *fds = xcalloc(spec->n_fds + 2, sizeof(*fds));
	struct proc_spec with = *spec;
	autoclose int theirs = -1;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	d->fd = ends[0];
	theirs = ends[1];
	r = fcntl(d->fd, F_SETFL, O_NONBLOCK);
	if (r < 0)
		return err_sys(err, "pipe");
	if (spec->n_fds)
		memcpy(fds, spec->fds, spec->n_fds * sizeof(*fds));
	for (int to = 1; to <= 2; to++)
		if (!is_mapped(spec, to))
			fds[with.n_fds++] = (struct proc_fd){ .from = theirs, .to = to };
	with.fds = fds;
	return proc_start(p, &with, err);
}

static int judge(const char *program, int status, const struct drain *d, int *ret_code, struct err *err)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	autofree char *line = drain_last_line(d);

	if (ret_code) {
		*ret_code = code;
		return 0;
	}
	if (status == 0)
		return 0;
	if (line[0])
		return err_set(err, -EPROTO, "%s failed: %s", program, line);
	if (WIFSIGNALED(status))
		return err_set(err, -EPROTO, "%s failed: killed by signal %d (%s)", program, WTERMSIG(status),
			       sigdescr_np(WTERMSIG(status)));
	return err_set(err, -EPROTO, "%s failed: exit code %d, without a word", program, code);
}

int proc_run(const struct proc_spec *spec, uint64_t timeout_us, struct strbuf *out, size_t out_max, int *ret_code,
	     struct err *err)
{
	AUTO(drain_done) struct drain d = { .fd = -1, .out = out, .out_max = out_max };
	AUTO(proc_done) struct proc p = PROC_NONE;
	const char *program;
	int r, status = 0;

	r = start_drained(&p, &d, spec, err);
	if (r < 0)
		return r;
	program = path_base(spec->argv[0]);
	r = drain_until_end(&d, &p, deadline_after(timeout_us));
	if (r < 0)
		return err_set(err, r, "cannot wait for %s: %s", program, strerrordesc_np(-r));
	if (r == 0) {
		if (spec->new_session)
			(void)kill(-p.pid, SIGKILL); /* its helpers too; not reaped yet, so the number is its */
		return err_set(err, -ETIMEDOUT, "%s did not end within %.1f s", program, (double)timeout_us / 1e6);
	}
	drain_rest(&d);
	r = proc_wait(&p, FOREVER, &status, err);
	return r < 0 ? r : judge(program, status, &d, ret_code, err);
}
