/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int guard_confine(char **argv)
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", argv[0]);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1) {
		(void)fprintf(stderr, "cannot enter cgroup '%s': %s\n", argv[0], strerror(errno));
		return 125;
	}
	(void)close(fd);
	(void)execv(argv[1], argv + 1);
	(void)fprintf(stderr, "cannot run '%s': %s\n", argv[1], strerror(errno));
	return 127;
}
