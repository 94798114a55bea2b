/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* create.h - what launch and create have in common: a new instance */
#include "cli/cli.h"

/* The options of both, as rows of a table. */
#define CREATE_OPTIONS                                                                                                 \
	{ "image", 'i', "IMAGE", "what it is made from, where the words do not say it", COMPLETE_IMAGE },              \
		{ "config", 'c', "KEY=VALUE", "a configuration key ('stasis config keys'); may be repeated",           \
		  COMPLETE_PAIR },                                                                                     \
		{ "ephemeral", 'e', NULL, "delete it when it stops (never when its state is saved)" },                 \
		{ "description", 'd', "TEXT", "what it is for" },                                                      \
		{ "volume", 'v', "NAME:PATH[:ro]", "mount a volume; one that is missing is made; may be repeated",     \
		  COMPLETE_VOLUME },                                                                                   \
	{                                                                                                              \
		"tty", 't', NULL, "give its first process a terminal (console.tty=true)"                               \
	}

/* Makes the instance the words name; @is_started also starts it. */
int create_run(struct cli *cli, const struct args *args, bool is_started, struct err *err);
