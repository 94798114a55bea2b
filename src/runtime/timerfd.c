/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/timerfd.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t) /* linux/timerfd.h */
#endif

/* "it_interval: (0, 5000000)" */
static bool read_pair(const char *info, const char *key, struct timespec *ret)
{
	const char *at = strstr(info, key);
	long s, ns;

	if (!at || sscanf(at + strlen(key), ": (%ld, %ld)", &s, &ns) != 2)
		return false;
	*ret = (struct timespec){ .tv_sec = s, .tv_nsec = ns };
	return true;
}

static bool is_zero(const struct timespec *t)
{
	return t->tv_sec == 0 && t->tv_nsec == 0;
}

/* pidfd_getfd() shares the timer itself, so that arming ours arms the container's. The unread expirations are kept. */
static int arm(int pidfd, int fd, const struct timespec *interval, uint64_t ticks, struct err *err)
{
	autoclose int copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	const struct itimerspec both = { .it_interval = *interval, .it_value = *interval };

	if (copy < 0 || timerfd_settime(copy, 0, &both, NULL) < 0)
		return err_sys(err, "cannot arm a timer again");
	if (ticks)
		(void)ioctl(copy, TFD_IOC_SET_TICKS, &ticks);
	return 0;
}

static int revive(pid_t pid, int pidfd, const char *fd, struct err *err)
{
	autofree char *path = xasprintf("/proc/%d/fdinfo/%s", pid, fd), *info = NULL;
	struct timespec value, interval;
	const char *ticks;

	if (file_read(path, 65536, &info, NULL, NULL) < 0 || !read_pair(info, "it_value", &value) ||
	    !read_pair(info, "it_interval", &interval) || !is_zero(&value) || is_zero(&interval))
		return 0;
	ticks = strstr(info, "ticks:");
	return arm(pidfd, atoi(fd), &interval, ticks ? strtoull(ticks + strlen("ticks:"), NULL, 10) : 0, err);
}

static int revive_all(pid_t pid, struct err *err)
{
	autofree char *dir = xasprintf("/proc/%d/fd", pid);
	autoclose int pidfd = proc_open(pid, 0, NULL);
	DIR *d = opendir(dir);
	struct dirent *e;
	int r = 0;

	while (r == 0 && d && (e = readdir(d))) {
		autofree char *path = xasprintf("%s/%s", dir, e->d_name);
		char target[64];
		ssize_t n = readlink(path, target, sizeof(target) - 1);

		if (n < 0)
			continue;
		target[n] = 0;
		if (str_eq(target, "anon_inode:[timerfd]"))
			r = revive(pid, pidfd, e->d_name, err);
	}
	if (d)
		(void)closedir(d);
	return r;
}

int timerfd_revive(const struct cgroup *cg, struct err *err)
{
	autofree pid_t *pids = NULL;
	size_t n = 0;
	int r = cgroup_processes(cg, CGROUP_PAYLOAD, &pids, &n, err);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = revive_all(pids[i], err);
	return r;
}
