/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.c - commands that run on the host, and a console that echoes
 *
 * FAKE_LOG in a command's environment is the instance's output.log.
 */
#include "engine/exec.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "base/proc.h"
#include "base/strv.h"
#include "fake/fake.h"

struct exec {
	struct proc proc;
	int fds[3];
	int signal_fd; /* a pidfd beside proc's, which exec_wait() closes */
};

static int open_terminal(struct exec *x, int child[3], struct err *err)
{
	char name[64];

	x->fds[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (x->fds[0] < 0 || grantpt(x->fds[0]) < 0 || unlockpt(x->fds[0]) < 0 ||
	    ptsname_r(x->fds[0], name, sizeof(name)) != 0)
		return err_sys(err, "no terminal");
	for (int i = 0; i < 3; i++) {
		child[i] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (child[i] < 0)
			return err_sys(err, "%s", name);
	}
	return 0;
}

static int open_pipes(struct exec *x, int child[3], struct err *err)
{
	for (int i = 0; i < 3; i++) {
		int p[2];

		if (pipe2(p, O_CLOEXEC) < 0)
			return err_sys(err, "pipe");
		x->fds[i] = p[i == 0];
		child[i] = p[i != 0];
	}
	return 0;
}

static int spawn(struct engine *e, const char *instance, const struct exec_request *rq, struct exec *x,
		 const int child[3], struct err *err)
{
	AUTO(strv_free) char **env = strv_copy(environ);
	autofree char *log = fake_log_path(fake_of(e), instance, "output.log");
	struct proc_fd fds[] = { { child[0], 0 }, { child[1], 1 }, { child[2], 2 } };
	struct proc_spec spec = {
		.argv = rq->command, .cwd = rq->cwd, .fds = fds, .n_fds = ARRAY_SIZE(fds), .new_session = true
	};

	strv_add_all(&env, rq->env);
	strv_env_set(&env, "FAKE_LOG", log);
	spec.env = env;
	return proc_start(&x->proc, &spec, err);
}

int exec_start(struct engine *e, const char *instance, const struct exec_request *rq, struct exec **ret,
	       struct err *err)
{
	AUTO(exec_free) struct exec *x = xcalloc(1, sizeof(*x));
	int child[3] = { -1, -1, -1 }, r;

	*x = (struct exec){ .proc = PROC_NONE, .fds = { -1, -1, -1 }, .signal_fd = -1 };
	r = rq->has_tty ? open_terminal(x, child, err) : open_pipes(x, child, err);
	if (r >= 0 && rq->width > 0)
		exec_resize(x, rq->width, rq->height);
	if (r >= 0)
		r = spawn(e, instance, rq, x, child, err);
	for (int i = 0; i < 3; i++)
		if (child[i] >= 0)
			(void)close(child[i]);
	if (r < 0)
		return r;
	x->signal_fd = fcntl(x->proc.pidfd, F_DUPFD_CLOEXEC, 0);
	*ret = TAKE_PTR(x);
	return 0;
}

int exec_fd(const struct exec *x, int which)
{
	return x->fds[which];
}

int exec_take_fd(struct exec *x, int which)
{
	return TAKE_FD(x->fds[which]);
}

void exec_resize(struct exec *x, int width, int height)
{
	struct winsize ws = { .ws_col = (unsigned short)width, .ws_row = (unsigned short)height };

	if (x->fds[0] >= 0)
		(void)ioctl(x->fds[0], TIOCSWINSZ, &ws);
}

int exec_signal(struct exec *x, int signal, struct err *err)
{
	return syscall(SYS_pidfd_send_signal, x->signal_fd, signal, NULL, 0) < 0 ? err_sys(err, "cannot signal") : 0;
}

int exec_wait(struct exec *x, uint64_t timeout_us, int *ret_code, struct err *err)
{
	int status, r;

	r = proc_wait(&x->proc, timeout_us, &status, err);
	if (r == 1)
		*ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return r;
}

void exec_free(struct exec *x)
{
	if (!x)
		return;
	for (int i = 0; i < 3; i++)
		if (x->fds[i] >= 0)
			(void)close(x->fds[i]);
	if (x->signal_fd >= 0)
		(void)close(x->signal_fd);
	proc_done(&x->proc);
	free(x);
}

/* ---- console ----------------------------------------------------------------------------------------------------- */

/* Greets on stdout, repeats on stderr what it is told, and goes away on "quit". */
static void *console_thread(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[8193] = "\2hello\n";
	ssize_t n = (ssize_t)strlen(buf);

	do {
		if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) < 0)
			break;
		n = recv(fd, buf + 1, sizeof(buf) - 1, 0);
		if (n >= 4 && memcmp(buf + 1, "quit", 4) == 0)
			break;
		buf[0] = 3;
	} while (n++ > 0);
	(void)close(fd);
	return NULL;
}

int console_open(struct engine *e, const char *instance, int *ret_fd, bool *ret_has_tty, struct err *err)
{
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return err_sys(err, "socketpair");
	r = thread_detach("console", console_thread, (void *)(intptr_t)fds[1], err);
	if (r < 0)
		return r;
	*ret_fd = fds[0];
	*ret_has_tty = false;
	return 0;
}

int console_resize(struct engine *e, const char *instance, int width, int height, struct err *err)
{
	return 0;
}
