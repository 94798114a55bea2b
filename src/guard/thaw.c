/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thaw.c - one for each frozen window: if the daemon dies, let go of what it froze
 *
 * Standard input is a pipe that only the daemon can write to. A byte says that the window is over: there is nothing to
 * do. End of file without a byte says that the daemon has died. Then a running criu is waited for, never killed (its
 * parasite code sits in the tasks), and the cgroup is thawed; unless the checkpoint was committed: then nothing may run
 * any more, and the cgroup is killed.
 */
#include "guard/guard.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 10000000L

static void poke(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return; /* the cgroup is gone, and with it what was frozen */
	(void)!write(fd, text, strlen(text));
	(void)close(fd);
}

static int is_populated(const char *events)
{
	char text[256];
	int fd = open(events, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	return strstr(text, "populated 1") != NULL;
}

int guard_thaw(char **argv)
{
	const char *freeze = argv[0], *dump_events = argv[1], *done = argv[2], *kill_file = argv[3];
	const struct timespec tick = { .tv_nsec = TICK_NS };
	time_t deadline;
	char byte;

	if (read(STDIN_FILENO, &byte, 1) == 1)
		return 0;
	deadline = time(NULL) + atol(argv[4]);
	while (is_populated(dump_events) && time(NULL) < deadline)
		(void)nanosleep(&tick, NULL);
	if (access(done, F_OK) == 0)
		poke(kill_file, "1");
	else
		poke(freeze, "0");
	return 0;
}
