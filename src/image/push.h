/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * push.h - an OCI layout of ours goes elsewhere, by skopeo
 *
 * All or nothing: a folder or file is made beside its name and renamed. What goes into something that is there already
 * (a layout, a registry) can be seen when its last step, the index or the manifest, is done.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "image/oci-write.h"
#include "image/watch.h"

struct push_request {
	const char *folder; /* from oci_write() */
	const struct oci_written *blobs;
	const char *reference; /* that push_check() has seen */
	const char *tmp;       /* an existing folder for skopeo's temporary files and its log */
	bool is_insecure;      /* plain HTTP or an unknown certificate will do */
	uint64_t timeout_us;
	const struct image_watch *watch; /* "upload" */
};

/* docker://HOST/NAME:TAG, containers-storage:NAME, oci:/FOLDER[:TAG], oci-archive:/FILE[:TAG]. -EINVAL for anything
 * else: a reference without a transport, a relative path, a kind of archive that loses annotations. */
int push_check(const char *reference, struct err *err);

/* Nobody but root may read what comes out in the file system. The blobs are taken as they are: their digests stay. */
int push(const struct push_request *rq, struct err *err);
