/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * tools.h - the programs that stasis drives, and the environment they get
 *
 * crun and criu may come from a private folder (setup.sh makes one where the distribution's cannot serve the kernel):
 * it is put first in PATH, which is how conmon finds crun and crun finds criu.
 */
#include "base/auto.h"
#include "base/err.h"

struct tools {
	char *crun, *criu, *conmon; /* absolute */
	char *guard;		    /* our own stasis-guard */
	char **env;		    /* PATH, XDG_RUNTIME_DIR (crun's state folder), CRIU_CONFIG_FILE */
};

/*
 * Looks for the programs, writes RUN_DIR/criu.conf and the link RUN_DIR/hook to the guard (CRIU's action script).
 * -ENOENT names what is missing and the package that has it.
 */
int tools_find(struct tools *t, const char *tools_dir, const char *guard, const char *run_dir, struct err *err);
void tools_done(struct tools *t);
AUTO_DEFINE_IN(struct tools, tools_done)

/* First line of `PROGRAM --version` without the program's name and "version"; "" if it cannot be had. */
void tools_version(const struct tools *t, const char *program, char *buf, size_t size);
