/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/utsns.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/sync.h"

struct setting {
	int fd;
	const char *name;
	struct err *err;
	int result;
};

/* A thread of its own changes its namespace and ends: the daemon's threads stay where they are. */
static void *set_thread(void *arg)
{
	struct setting *s = arg;

	if (setns(s->fd, CLONE_NEWUTS) < 0 || sethostname(s->name, strlen(s->name)) < 0)
		s->result = err_sys(s->err, "cannot set the host name");
	return NULL;
}

int utsns_set_hostname(pid_t pid, const char *name, struct err *err)
{
	autofree char *path = xasprintf("/proc/%d/ns/uts", pid);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct setting s = { .fd = fd, .name = name, .err = err };
	pthread_t thread;
	int r;

	if (fd < 0)
		return err_sys(err, "'%s'", path);
	r = thread_start(&thread, "uts", set_thread, &s, err);
	if (r < 0)
		return r;
	(void)pthread_join(thread, NULL);
	return s.result;
}
