/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* options.h - file, environment and command line become settings */
#include <stdbool.h>

#include "engine/settings.h"

struct options {
	struct settings settings;
	bool must_boot;	 /* --boot: start what boot.autostart says, as after a boot of the host */
	bool must_reset; /* --reset: leave things as a reboot would, and end */
};

/* 0; 1 when all that was asked for has been printed (--help); negative with words for a usage error. */
int options_parse(int argc, char **argv, struct options *ret, struct err *err);
