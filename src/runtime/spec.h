/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * spec.h - the OCI runtime specification (config.json) of an instance, from our own policy
 *
 * Under the checkpointable profile seccomp refuses what CRIU cannot dump and programs can do without. Capabilities,
 * masked paths and devices are those that the field gives an unprivileged container by default.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct json;

/* A folder of the host's, mounted inside; made there where it is missing. */
struct spec_bind {
	const char *source, *destination;
	bool is_readonly;
};

struct spec {
	const char *hostname;
	const char *rootfs;	  /* mounted */
	const char *cgroups_path; /* as OCI spells it */
	const char *netns;	  /* path, or NULL for the host's */
	char *const *args, *const *env;
	const char *cwd;
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t n_groups;
	bool has_tty;
	bool is_checkpointable;	       /* the profile */
	uint64_t memory_max;	       /* bytes; 0: none */
	int64_t processes_max;	       /* 0: none */
	double cpus;		       /* 0: none */
	const struct spec_bind *binds; /* mounted in this order, above all else */
	size_t n_binds;
	char *const *masked, *const *readonly; /* paths; NULL: our own lists */
};

/* The document; the caller's. */
struct json *spec_make(const struct spec *spec);

/* Writes BUNDLE/config.json, whole and mode 0600. */
int spec_write(const struct spec *spec, const char *bundle, struct err *err);

/* Whether an instance has this capability ("CAP_CHOWN"); and all of them as bits, as in /proc/PID/status. */
bool spec_grants_capability(const char *name);
uint64_t spec_capability_bits(void);
