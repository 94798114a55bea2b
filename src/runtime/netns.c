/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/netns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/file.h"
#include "base/sync.h"

struct making {
	const char *path;
	struct err *err;
	int result;
};

bool netns_exists(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (long)fs.f_type == NSFS_MAGIC;
}

static int loopback_up(struct err *err)
{
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING | IFF_LOOPBACK };

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		return err_sys(err, "cannot bring loopback up");
	return 0;
}

static int make_here(const char *path, struct err *err)
{
	int r;

	if (unshare(CLONE_NEWNET) < 0)
		return err_sys(err, "cannot make a network namespace");
	r = loopback_up(err);
	if (r < 0)
		return r;
	(void)file_poke("/proc/sys/net/mptcp/enabled", "0", NULL); /* absent where the kernel has no MPTCP */
	if (mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL) < 0)
		return err_sys(err, "cannot pin the network namespace at '%s'", path);
	return 0;
}

/* A thread of its own changes its namespace and ends: the daemon's threads stay where they are. */
static void *make_thread(void *arg)
{
	struct making *m = arg;

	m->result = make_here(m->path, m->err);
	return NULL;
}

int netns_make(const char *path, struct err *err)
{
	struct making m = { .path = path, .err = err };
	autoclose int fd = -1;
	pthread_t thread;
	int r;

	if (netns_exists(path))
		return 0;
	fd = open(path, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, "'%s'", path);
	r = thread_start(&thread, "netns", make_thread, &m, err);
	if (r < 0)
		return r;
	(void)pthread_join(thread, NULL);
	if (m.result < 0)
		(void)unlink(path);
	return m.result;
}

int netns_remove(const char *path, struct err *err)
{
	if (netns_exists(path) && umount2(path, MNT_DETACH) < 0)
		return err_sys(err, "cannot release the network namespace '%s'", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, "cannot remove '%s'", path);
	return 0;
}
