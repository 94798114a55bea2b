/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * annotations.h - what makes an OCI image a checkpoint: annotations of its manifest
 *
 * Each engine looks for its own: Podman for io.podman.annotations.checkpoint.runtime.name, CRI-O for
 * io.kubernetes.cri-o.annotations.checkpoint.name, containerd for org.criu.checkpoint.container.name. All are written.
 */
#include <stdint.h>

#include "base/err.h"

struct json;

/* What is NULL or empty is left out, but the name. */
struct annotations {
	const char *name;			     /* of the instance */
	const char *image, *image_digest, *image_id; /* it was made from; hex: of the manifest, of the configuration */
	const char *stasis, *criu, *crun, *conmon;   /* versions: "4.2.1" */
	const char *architecture, *kernel;	     /* of the host */
	const char *distribution, *distribution_version;
	uint64_t created_us;
};

struct json *annotations_make(const struct annotations *a); /* a new object */

/* "4.2.1" is "40201", as Podman spells CRIU's versions; a new string. */
char *annotations_criu_number(const char *version);

/* -EINVAL unless the manifest with this text is a checkpoint's, whoever made it. */
int annotations_check(const char *manifest, struct err *err);
