/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* pull.h - images from elsewhere, fetched by skopeo into an OCI layout */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "image/watch.h"

struct pull_request {
	const char *reference; /* from pull_reference() */
	const char *folder;    /* becomes the OCI layout; made by skopeo */
	const char *tmp;       /* an existing folder for its temporary files and its log */
	bool is_insecure;      /* plain HTTP or an unknown certificate will do */
	uint64_t timeout_us;
	const struct image_watch *watch;
};

/* "docker://host/name:tag", "oci:FOLDER", "docker-archive:FILE" … as they are; a bare "host/name:tag" gets "docker://".
 * -EINVAL for anything else. *ret is a heap string. */
int pull_reference(const char *given, char **ret, struct err *err);

/* What a person would call it: "host/name:tag" of a registry's, NULL for the others. Borrowed from @reference. */
const char *pull_name(const char *reference);

/* Fetches the image for this host's architecture. The error holds what skopeo said last. */
int pull_fetch(const struct pull_request *rq, struct err *err);
