/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * spec-policy.h - what the OCI spec of a stranger may ask for
 *
 * A checkpoint archive brings the spec that its container was made from. Nothing of it is used as it is: a container is
 * continued with a spec of our own (spec.h), into which a few things are taken by name. What the stranger's spec asks
 * for beyond that is either harmless and left out, or more than an instance of ours gets: then it is refused. All
 * reasons are told at once.
 *
 * It says nothing about what CRIU's images hold: confined.h looks at that before the first instruction.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/err.h"

struct json;

/* What engines mount from files of their own making; ours are made anew. */
enum spec_extra { SPEC_EXTRA_FILE, SPEC_EXTRA_FOLDER, SPEC_EXTRA_SHM };
struct spec_extra_mount {
	const char *destination; /* "/etc/hosts" */
	const char *name;	 /* "hosts": a file name that is unique among them */
	enum spec_extra kind;
};
/* The one at this destination, or NULL. */
const struct spec_extra_mount *spec_policy_extra(const char *destination);

/* What was taken. Strings are copies. */
struct spec_taken {
	char **args, **env;
	char *cwd;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t n_groups;
	bool has_tty;
	bool has_own_network;	   /* the container made its network namespace itself: CRIU's images hold it */
	char **masked, **readonly; /* CRIU's images know these as external mounts */
	const struct spec_extra_mount **extras; /* in the spec's order */
	size_t n_extras;
};
void spec_taken_done(struct spec_taken *t);
AUTO_DEFINE_IN(struct spec_taken, spec_taken_done)

/* @volumes: destinations of volumes that the caller mounts itself. -EPERM names all that is refused, as far as there is
 * room; -EINVAL what is no spec at all. */
int spec_policy_take(const struct json *spec, char *const *volumes, struct spec_taken *ret, struct err *err);
