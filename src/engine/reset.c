/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/path.h"
#include "base/uuid.h"
#include "engine/engine.h"
#include "runtime/cgroup.h"
#include "runtime/mntns.h"

/* In the private namespace, where the cgroups are seen: kills and removes them all. */
static int kill_all(const struct settings *s, struct err *err)
{
	struct cgroup cg = { .parent = s->cgroup_parent, .uuid = (char *)"" };
	autofree char *parent = cgroup_path(&cg, CGROUP_ALL);
	DIR *d = opendir(parent);
	struct dirent *e;
	int r = 0;

	if (!d)
		return 0;
	while (r == 0 && (e = readdir(d))) {
		if (!uuid_is_valid(e->d_name))
			continue;
		cg.uuid = e->d_name;
		r = cgroup_remove(&cg, CGROUP_ALL, err);
	}
	(void)closedir(d);
	(void)rmdir(parent);
	return r;
}

/* A child does it, so that we stay in the host's namespace and can let go of the pin. */
static int kill_all_in_namespace(const struct settings *s, struct err *err)
{
	pid_t child = fork(); /* allowed: there are no threads */
	int status;

	if (child < 0)
		return err_sys(err, "cannot fork");
	if (child == 0) {
		int r = mntns_enter(s->run_dir, NULL);

		_exit(r < 0 || kill_all(s, NULL) < 0);
	}
	if (waitpid(child, &status, 0) < 0)
		return err_sys(err, "waitpid");
	return status == 0 ? 0 : err_set(err, -EIO, "not every container could be ended");
}

int engine_reset(const struct settings *s, struct err *err)
{
	autofree char *lock = path_join(s->run_dir, "lock");
	autoclose int fd = open(lock, O_RDWR | O_CLOEXEC);
	int r;

	if (!path_exists(s->run_dir))
		return 0;
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, -EBUSY, "a stasisd works in '%s': stop it first", s->run_dir);
	r = kill_all_in_namespace(s, err);
	if (r == 0)
		r = mntns_release(s->run_dir, err);
	/* the namespace goes with its last process, which may take the kernel a moment */
	for (int tries = 0; r == 0 && tries < 100; tries++) {
		r = path_remove_all(s->run_dir, err);
		if (r != -EBUSY)
			break;
		clock_sleep_us(20 * US_PER_MS);
	}
	return r;
}
