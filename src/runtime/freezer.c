/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/freezer.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"

/* One attempt: long enough for a busy host, short enough that a hung file system does not stop everybody else for a
 * second. */
#define ATTEMPT_US    (400 * US_PER_MS)
#define HUNG_ATTEMPTS 2
#define SMALL	      4096

bool freezer_is_frozen(const struct cgroup *cg)
{
	autofree char *path = cgroup_file(cg, CGROUP_PAYLOAD, "cgroup.freeze");
	autofree char *text = NULL;

	return file_read(path, SMALL, &text, NULL, NULL) == 0 && text[0] == '1';
}

static bool events_say_frozen(int fd)
{
	char text[256];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = 0;
	return strstr(text, "frozen 1") != NULL;
}

/* 1 when cgroup.events says what we want, 0 at the deadline. */
static int wait_frozen(int events_fd, bool wanted, uint64_t timeout_us)
{
	uint64_t deadline = clock_mono_us() + timeout_us;
	struct pollfd p = { .fd = events_fd, .events = POLLPRI };

	while (events_say_frozen(events_fd) != wanted) {
		if (clock_mono_us() >= deadline)
			return 0;
		(void)poll(&p, 1, 2);
	}
	return 1;
}

/* The state letter of one thread and its name. */
static char thread_state(const char *task_dir, char name[32])
{
	autofree char *path = path_join(task_dir, "stat");
	autofree char *text = NULL;
	const char *open, *close;

	if (file_read(path, SMALL, &text, NULL, NULL) < 0)
		return 0;
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (!open || !close || close[1] != ' ')
		return 0;
	(void)snprintf(name, 32, "%.*s", (int)(close - open - 1), open + 1);
	return close[2];
}

/* Looks for a thread in state D. 1 and its words, or 0. */
static int find_stuck(pid_t pid, struct err *who)
{
	autofree char *dir = xasprintf("/proc/%d/task", pid);
	DIR *d = opendir(dir);
	struct dirent *e;
	int found = 0;

	if (!d)
		return 0;
	while (!found && (e = readdir(d))) {
		autofree char *task = NULL;
		char name[32];

		if (e->d_name[0] == '.')
			continue;
		task = path_join(dir, e->d_name);
		if (thread_state(task, name) != 'D')
			continue;
		(void)err_set(
			who, -EBUSY,
			"process '%s' (pid %d on the host) waits in the kernel (state D: a vfork in progress, or a "
			"file system that does not answer) and cannot be held still",
			name, pid);
		found = 1;
	}
	(void)closedir(d);
	return found;
}

static int find_stuck_in(const struct cgroup *cg, struct err *who)
{
	autofree pid_t *pids = NULL;
	size_t n = 0;

	if (cgroup_processes(cg, CGROUP_PAYLOAD, &pids, &n, NULL) < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (find_stuck(pids[i], who))
			return 1;
	return 0;
}

/* Freezes once and probes. 1 held, 0 try again, negative when it hangs. */
static int attempt(const struct cgroup *cg, const char *file, int events_fd, struct err *err)
{
	struct err who = ERR_INIT;
	int r;

	r = file_poke(file, "1", err);
	if (r < 0)
		return r;
	if (!wait_frozen(events_fd, true, ATTEMPT_US)) {
		if (!find_stuck_in(cg, &who))
			(void)err_set(&who, -EBUSY, "it does not come to rest");
		(void)file_poke(file, "0", NULL);
		return err_set(err, -EBUSY, "%s", who.text);
	}
	if (!find_stuck_in(cg, &who))
		return 1;
	(void)file_poke(file, "0", NULL);
	(void)err_set(err, -EBUSY, "%s", who.text);
	return 0;
}

int freezer_hold(struct freezer *f, const struct cgroup *cg, uint64_t timeout_us, struct err *err)
{
	autofree char *file = cgroup_file(cg, CGROUP_PAYLOAD, "cgroup.freeze");
	autofree char *events = cgroup_file(cg, CGROUP_PAYLOAD, "cgroup.events");
	autoclose int events_fd = open(events, O_RDONLY | O_CLOEXEC);
	uint64_t deadline = clock_mono_us() + timeout_us;
	int hung = 0;

	if (events_fd < 0)
		return err_sys(err, "'%s'", events);
	if (freezer_is_frozen(cg)) {
		f->freeze_file = TAKE_PTR(file);
		f->is_mine = false;
		return 0;
	}
	for (uint64_t pause_us = 1000;; pause_us = pause_us < 20000 ? pause_us * 2 : pause_us) {
		int r = attempt(cg, file, events_fd, err);

		if (r > 0)
			break;
		hung += r < 0;
		if (hung >= HUNG_ATTEMPTS || clock_mono_us() >= deadline)
			return err_wrap(err, -EBUSY, "cannot freeze");
		clock_sleep_us(pause_us);
	}
	f->freeze_file = TAKE_PTR(file);
	f->is_mine = true;
	return 0;
}

int freezer_thaw(struct freezer *f, struct err *err)
{
	autofree char *file = TAKE_PTR(f->freeze_file);

	if (!file || !f->is_mine || !path_exists(file))
		return 0;
	return file_poke(file, "0", err);
}

void freezer_forget(struct freezer *f)
{
	free(TAKE_PTR(f->freeze_file));
}

void freezer_release(struct freezer *f)
{
	(void)freezer_thaw(f, NULL);
}

int freezer_set(const struct cgroup *cg, bool is_frozen, uint64_t timeout_us, struct err *err)
{
	autofree char *file = cgroup_file(cg, CGROUP_PAYLOAD, "cgroup.freeze");
	autofree char *events = cgroup_file(cg, CGROUP_PAYLOAD, "cgroup.events");
	autoclose int events_fd = open(events, O_RDONLY | O_CLOEXEC);
	struct err who = ERR_INIT;
	int r;

	if (events_fd < 0)
		return err_sys(err, "'%s'", events);
	r = file_poke(file, is_frozen ? "1" : "0", err);
	if (r < 0)
		return r;
	if (wait_frozen(events_fd, is_frozen, timeout_us))
		return 0;
	if (is_frozen)
		(void)file_poke(file, "0", NULL);
	if (!find_stuck_in(cg, &who))
		(void)err_set(&who, -EBUSY, "the cgroup does not come to rest");
	return err_set(err, -EBUSY, "cannot %s: %s", is_frozen ? "freeze" : "thaw", who.text);
}
