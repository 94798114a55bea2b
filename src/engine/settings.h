/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * settings.h - where this daemon keeps things and how it behaves
 *
 * Several daemons live on one host by having settings of their own. A setting comes from, later wins: the built-in
 * default, the file (/etc/stasis/stasisd.conf or --config: "key = value" lines, # comments), the environment
 * (STASIS_STATE_DIR for state_dir), the command line (--state-dir). --root DIR sets state_dir=DIR/lib, run_dir=DIR/run,
 * log_dir=DIR/log and a cgroup_parent made from DIR.
 */
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct settings {
	char *state_dir;     /* /var/lib/stasis: database, images, root file systems, saved states */
	char *run_dir;	     /* /run/stasis: socket, bundles, namespaces; empty after a reboot */
	char *log_dir;	     /* /var/log/stasis */
	char *socket;	     /* RUN_DIR/stasis.socket */
	char *socket_group;  /* stasis; "" keeps root's */
	char *cgroup_parent; /* stasis: below the root of cgroup2 */
	char *tools_dir;     /* /usr/local/lib/stasis/bin: looked through before PATH for criu and crun */
	char *guard;	     /* LIBEXECDIR/stasis-guard */
	char *bridge;	     /* stasis0: the default network's bridge */
	int64_t parallel;    /* 0: 2 x cores; containers stopped or started at the same time */
	uint64_t freeze_us;  /* freeze_timeout, 10s: longest wait for a cgroup to freeze */
	uint64_t dump_us;    /* dump_timeout, 10m */
	uint64_t restore_us; /* restore_timeout, 10m */
	uint64_t proof_us;   /* proof_time, 10s: a continued container that has run so long has proven itself */
	uint64_t log_cap;    /* 64M: a CRIU log beyond this ends the run */
	char *log_level;     /* info */
};

/* All defaults. */
void settings_init(struct settings *s);
void settings_copy(struct settings *to, const struct settings *from); /* @to is not initialised before */
void settings_done(struct settings *s);
AUTO_DEFINE_IN(struct settings, settings_done)

/* Sets one by its key ("state_dir"). -ENOENT names the known keys, -EINVAL says what is wrong with the value. */
int settings_set(struct settings *s, const char *key, const char *value, struct err *err);
int settings_set_root(struct settings *s, const char *root, struct err *err);

/* Reads a file of "key = value" lines; a missing file is -ENOENT. Reads STASIS_* variables. */
int settings_read_file(struct settings *s, const char *path, struct err *err);
int settings_read_env(struct settings *s, struct err *err);

/* The table, for help texts; NULL after the last row. */
struct setting_row {
	const char *key, *fallback, *help;
};
const struct setting_row *settings_row(size_t i);
