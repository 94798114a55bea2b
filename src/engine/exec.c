/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/exec.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/strv.h"
#include "base/uuid.h"
#include "engine/container.h"
#include "engine/instance.h"
#include "engine/state.h"
#include "runtime/crun.h"

#define SPEC_MAX (1 << 20)

struct exec {
	struct proc crun;
	char uuid[UUID_SIZE];
	struct cgroup cg; /* of the instance: what is signalled must be in it */
	char *program; /* the command's first word, as the container's root sees it from the host; NULL if it is to be
			  found in PATH */
	int fds[3];
	char *pidfile;
};

/* Stdio of the session: ours are kept in x->fds, the child's are given back to be closed by the caller. */
static int make_pipes(struct exec *x, int child[3], struct err *err)
{
	for (int i = 0; i < 3; i++) {
		int fds[2];

		if (pipe2(fds, O_CLOEXEC) < 0)
			return err_sys(err, "pipe");
		x->fds[i] = fds[i == 0 ? 1 : 0];
		child[i] = fds[i == 0 ? 0 : 1];
	}
	return 0;
}

static int make_terminal(struct exec *x, const struct exec_request *rq, int child[3], struct err *err)
{
	struct termios raw;
	char name[64];

	x->fds[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (x->fds[0] < 0 || grantpt(x->fds[0]) < 0 || unlockpt(x->fds[0]) < 0 ||
	    ptsname_r(x->fds[0], name, sizeof(name)) != 0)
		return err_sys(err, "cannot make a terminal");
	exec_resize(x, rq->width > 0 ? rq->width : 80, rq->height > 0 ? rq->height : 24);
	child[0] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (child[0] < 0 || tcgetattr(child[0], &raw) < 0)
		return err_sys(err, "'%s'", name);
	cfmakeraw(&raw); /* the terminal inside echoes; what is typed before crun gets here must not be echoed twice */
	(void)tcsetattr(child[0], TCSANOW, &raw);
	for (int i = 1; i < 3; i++)
		child[i] = fcntl(child[0], F_DUPFD_CLOEXEC, 3);
	return 0;
}

static int require_running(struct engine *e, const char *name, struct instance_info **ret, struct err *err)
{
	int r = instance_info(e, name, /* live= */ false, ret, err);

	if (r < 0)
		return r;
	if ((*ret)->status == INSTANCE_FROZEN)
		return err_set(err, -EBUSY, "'%s' is paused: 'stasis resume %s' lets it go on", name, name);
	if ((*ret)->status != INSTANCE_RUNNING)
		return err_set(err, -EINVAL, "'%s' is not running", name);
	return 0;
}

/* Where the instance's own process works; crun would begin in "/". */
static char *working_folder(const struct engine *e, const char *uuid)
{
	autofree char *path = xasprintf("%s/c/%s/config.json", e->settings.run_dir, uuid);
	AUTO(json_free) struct json *spec = NULL;

	if (json_parse_file(path, SPEC_MAX, &spec, NULL) < 0)
		return NULL;
	return xstrdup_null(json_str(json_at(spec, "/process/cwd")));
}

static int spawn(struct engine *e, struct exec *x, const char *uuid, const struct exec_request *rq, const int child[3],
		 struct err *err)
{
	autofree char *own = working_folder(e, uuid);
	const struct crun_exec ex = { .command = rq->command,
				      .env = rq->env,
				      .cwd = rq->cwd ? rq->cwd : own,
				      .uid = rq->uid,
				      .gid = rq->gid,
				      .has_tty = rq->has_tty };
	AUTO(strv_free) char **argv = crun_exec_argv(&e->tools, uuid, &ex, x->pidfile);
	const struct proc_fd fds[] = { { child[0], 0 }, { child[1], 1 }, { child[2], 2 } };
	const struct proc_spec spec = {
		.argv = argv, .env = e->tools.env, .cwd = "/", .fds = fds, .n_fds = 3, .new_session = true
	};

	return proc_start(&x->crun, &spec, err);
}

int exec_start(struct engine *e, const char *instance, const struct exec_request *rq, struct exec **ret,
	       struct err *err)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;
	AUTO(exec_free) struct exec *x = NULL;
	int child[3] = { -1, -1, -1 }, r;
	char uuid[UUID_SIZE];

	if (!rq->command || !rq->command[0])
		return err_set(err, -EINVAL, "no command to run was given");
	r = require_running(e, instance, &info, err);
	if (r < 0)
		return r;
	x = xcalloc(1, sizeof(*x));
	x->crun = (struct proc)PROC_NONE;
	x->fds[0] = x->fds[1] = x->fds[2] = -1;
	(void)memcpy(x->uuid, info->uuid, sizeof(x->uuid));
	x->cg = (struct cgroup){ .parent = e->settings.cgroup_parent, .uuid = x->uuid };
	uuid_new(uuid);
	x->pidfile = xasprintf("%s/c/%s/exec-%s.pid", e->settings.run_dir, info->uuid, uuid);
	if (strchr(rq->command[0], '/'))
		x->program = xasprintf("/proc/%d/root/%s", info->pid, rq->command[0]);
	r = rq->has_tty ? make_terminal(x, rq, child, err) : make_pipes(x, child, err);
	if (r == 0)
		r = spawn(e, x, info->uuid, rq, child, err);
	for (int i = 0; i < 3; i++)
		if (child[i] >= 0)
			(void)close(child[i]);
	if (r < 0)
		return r;
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
	const struct winsize size = { .ws_col = (unsigned short)width, .ws_row = (unsigned short)height };

	if (x->fds[0] < 0)
		return;
	(void)ioctl(x->fds[0], TIOCSWINSZ, &size);
	/* our terminal is not crun's controlling one, so the kernel does not tell it */
	if (x->crun.pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, x->crun.pidfd, SIGWINCH, NULL, 0);
}

/* To the process inside, not to crun: what it does then is its own affair. */
int exec_signal(struct exec *x, int signal, struct err *err)
{
	autofree char *text = NULL;
	autoclose int fd = -1;
	int r;

	if (signal < 1 || signal > SIGRTMAX)
		return err_set(err, -EINVAL, "there is no signal %d", signal);
	r = file_read(x->pidfile, 32, &text, NULL, err);
	if (r < 0)
		return err_wrap(err, r, "the command has not started yet");
	fd = proc_open((pid_t)atoi(text), 0, err);
	if (fd < 0)
		return fd;
	if (!cgroup_has_process(&x->cg, CGROUP_PAYLOAD, (pid_t)atoi(text)))
		return err_set(err, -ESRCH, "the command has ended");
	if (syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0)
		return err_sys(err, "cannot send signal %d", signal);
	return 0;
}

/*
 * crun says 1 for all that it cannot start, and writes no pid file then. Shells say 126 for what is there but cannot be
 * run, and 127 for what is not there.
 */
static int start_failure(const struct exec *x)
{
	return x->program && path_exists(x->program) ? 126 : 127;
}

int exec_wait(struct exec *x, uint64_t timeout_us, int *ret_code, struct err *err)
{
	int status, r = proc_wait(&x->crun, timeout_us, &status, err);

	if (r > 0)
		*ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (r > 0 && *ret_code == 1 && !path_exists(x->pidfile))
		*ret_code = start_failure(x);
	return r;
}

void exec_free(struct exec *x)
{
	if (!x)
		return;
	if (x->crun.pidfd >= 0)
		(void)exec_signal(x, SIGKILL, NULL); /* a session whose client has gone */
	proc_done(&x->crun);
	for (int i = 0; i < 3; i++)
		if (x->fds[i] >= 0)
			(void)close(x->fds[i]);
	(void)unlink(x->pidfile);
	free(x->pidfile);
	free(x->program);
	free(x);
}

int console_open(struct engine *e, const char *instance, int *ret_fd, bool *ret_has_tty, struct err *err)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;
	AUTO(container_stdio_done) struct container_stdio stdio = { 0 };
	autofree char *bundle = NULL;
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int r = instance_info(e, instance, /* live= */ false, &info, err);

	if (r < 0)
		return r;
	if (!info->pid)
		return err_set(err, -EINVAL, "'%s' is not running", instance);
	bundle = xasprintf("%s/c/%s", e->settings.run_dir, info->uuid);
	if (snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/attach", bundle) >= (int)sizeof(sa.sun_path))
		return err_set(err, -ENAMETOOLONG, "the run folder's path is too long for sockets");
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return err_sys(err, "cannot attach to the console of '%s'", instance);
	r = container_read_stdio(bundle, &stdio, err);
	if (r < 0)
		return r;
	*ret_has_tty = stdio.has_tty;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int console_resize(struct engine *e, const char *instance, int width, int height, struct err *err)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;
	autofree char *path = NULL;
	autoclose int fd = -1;
	char text[64];
	int r = instance_info(e, instance, /* live= */ false, &info, err);

	if (r < 0)
		return r;
	path = xasprintf("%s/c/%s/ctl", e->settings.run_dir, info->uuid);
	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "'%s'", path);
	(void)snprintf(text, sizeof(text), "1 %d %d\n", height, width); /* conmon: type, rows, columns */
	return file_write_all(fd, text, strlen(text), err);
}
