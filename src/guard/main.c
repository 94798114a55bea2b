/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stasis-guard - what must go on when the daemon is dead
 *
 * A tiny static program, so that nothing but the kernel is needed for it to run. It is started by stasisd and by CRIU
 * (under the name "hook"), not by people.
 */
#include "guard/guard.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];

	if (strcmp(name, "hook") == 0)
		return guard_hook();
	if (argc >= 4 && strcmp(argv[1], "confine") == 0)
		return guard_confine(argv + 2);
	if (argc == 7 && strcmp(argv[1], "thaw") == 0)
		return guard_thaw(argv + 2);
	if (argc == 2 && strcmp(argv[1], "proof") == 0)
		return guard_proof();
	(void)fprintf(stderr, "stasis-guard is started by stasisd, not by hand\n");
	return 2;
}
