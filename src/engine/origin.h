/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * origin.h - what an archive says about where it comes from, and what that means here
 *
 * Which image, which name, which configuration, which volumes: read from our manifest, from Podman's config.dump, or
 * from the OCI spec alone. All of it is a stranger's word: an image is found by what it contains or by a name that it
 * already has here, and nothing is named after the archive but the new instance and its volumes, by our rules for
 * names.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/auto.h"
#include "base/err.h"
#include "engine/engine.h"
#include "engine/image.h"

struct bundle;
struct spec_taken;

/* @asked: what the caller wants, or NULL. -ENOENT says which image to import or pull first. */
int origin_find_image(struct engine *e, const struct bundle *b, const char *asked, struct image_info **ret,
		      struct err *err);

/* A heap string that may be a name, or NULL: the archive names none, or none that could be mended. */
char *origin_name(const struct bundle *b);

/* "key=value", sorted and checked: the manifest's, without what is volatile; or what @spec (may be NULL) says of the
 * process. */
int origin_config(const struct bundle *b, const struct spec_taken *spec, char ***ret, struct err *err);

struct origin_volume {
	char *name;   /* here */
	char *member; /* in the archive: volumes/MEMBER.tar */
	char *path;
	bool is_readonly;
	bool has_content; /* the archive holds it */
};
struct origin_volumes {
	struct origin_volume *v;
	size_t n;
	char **paths; /* all of them */
};
void origin_volumes_done(struct origin_volumes *v);
AUTO_DEFINE_IN(struct origin_volumes, origin_volumes_done)

/* -EINVAL: one of them has no place, or its place or name is not to be had. */
int origin_volumes(const struct bundle *b, struct origin_volumes *ret, struct err *err);
