/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hook.c - CRIU's action script: where the daemon decides, and what happens if it cannot
 *
 * CRIU calls it at many moments; three matter. "pre-dump": CRIU has started and looked around, and nothing is held yet:
 * the daemon freezes the container now, so that CRIU's start is not part of the pause. "post-dump": the images are
 * complete, the tasks are still seized and the network is still locked. Exit 0 lets CRIU go on as it was asked to
 * (kill, or resume for a live checkpoint), anything else makes it resume the tasks. "pre-resume": the restored tasks
 * stand before their first instruction. CRIU ignores the exit status there, so a refusal kills the container's cgroup.
 *
 * The daemon is asked over a socket and answers with a byte, 'y' or 'n'. If it has died, the file system says how far
 * it came: DONE exists exactly when the commit was made.
 */
#include "guard/guard.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int ask(const char *path, const char *action)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char answer = 0;

	if (fd < 0 || strlen(path) >= sizeof(sa.sun_path))
		return 0;
	(void)memcpy(sa.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
	    write(fd, action, strlen(action)) == (ssize_t)strlen(action) && write(fd, "\n", 1) == 1)
		(void)!read(fd, &answer, 1);
	(void)close(fd);
	return answer;
}

static void kill_all(const char *kill_file)
{
	int fd = kill_file ? open(kill_file, O_WRONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	(void)!write(fd, "1", 1);
	(void)close(fd);
}

int guard_hook(void)
{
	const char *action = getenv("CRTOOLS_SCRIPT_ACTION"), *socket_path = getenv("STASIS_HOOK_SOCKET");
	const char *done = getenv("STASIS_HOOK_DONE");
	int is_resume, answer;

	if (!action || !socket_path || !done)
		return 0;
	is_resume = strcmp(action, "pre-resume") == 0;
	if (!is_resume && strcmp(action, "pre-dump") != 0 && strcmp(action, "post-dump") != 0)
		return 0;
	answer = ask(socket_path, action);
	if (answer != 'y' && answer != 'n')
		answer = access(done, F_OK) == 0 ? 'y' : 'n';
	if (answer == 'y')
		return 0;
	if (is_resume)
		kill_all(getenv("STASIS_HOOK_KILL"));
	return 1;
}
