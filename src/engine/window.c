/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/window.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/state.h"

static int start_guard(struct window *w, const struct instance *in, const char *done, struct err *err)
{
	bool was_paused = freezer_is_frozen(&in->cg);
	autofree char *freeze =
		was_paused ? xstrdup("/dev/null") : cgroup_file(&in->cg, CGROUP_PAYLOAD, "cgroup.freeze");
	autofree char *kill_file = cgroup_file(&in->cg, CGROUP_PAYLOAD, "cgroup.kill");
	autofree char *events = cgroup_file(&in->cg, CGROUP_DUMP, "cgroup.events");
	AUTO(strv_free) char **argv = strv_new(in->engine->tools.guard, "thaw", freeze, events, done, kill_file, NULL);
	autoclose int read_fd = -1, write_fd = -1;
	int fds[2], r;

	strv_addf(&argv, "%llu", (unsigned long long)(in->engine->settings.dump_us / US_PER_S + 1));
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	read_fd = fds[0], write_fd = fds[1];

	const struct proc_fd map[] = { { read_fd, STDIN_FILENO } };
	const struct proc_spec spec = {
		.argv = argv, .env = in->engine->tools.env, .cwd = "/", .fds = map, .n_fds = 1, .new_session = true
	};

	r = proc_start(&w->guard, &spec, err);
	if (r < 0)
		return err_wrap(err, r, "cannot start the thaw guard");
	w->pipe_fd = TAKE_FD(write_fd);
	return 0;
}

int window_open(struct window *w, const struct instance *in, const char *done, struct err *err)
{
	uint64_t began;
	int r;

	r = start_guard(w, in, done, err);
	if (r < 0)
		return r;
	began = clock_mono_us();
	r = freezer_hold(&w->hold, &in->cg, in->engine->settings.freeze_us, err);
	if (r < 0)
		return r;
	w->frozen_at_us = clock_mono_us();
	w->freeze_us = w->frozen_at_us - began;
	return 0;
}

bool window_found_paused(const struct window *w)
{
	return w->hold.freeze_file && !w->hold.is_mine;
}

/* A byte says that all is well; the guard ends. */
static void dismiss_guard(struct window *w)
{
	int status;

	if (w->pipe_fd < 0)
		return;
	(void)!write(w->pipe_fd, "1", 1);
	(void)close(TAKE_FD(w->pipe_fd));
	(void)proc_wait(&w->guard, US_PER_S, &status, NULL);
	proc_done(&w->guard);
}

void window_end_killed(struct window *w)
{
	freezer_forget(&w->hold);
	dismiss_guard(w);
}

void window_close(struct window *w)
{
	(void)freezer_thaw(&w->hold, NULL);
	dismiss_guard(w);
}
