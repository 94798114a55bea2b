/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* oci-write.h - an OCI layout of our own: one image of one layer, made of a tar that is there already */
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "image/watch.h"

struct json;

struct oci_write {
	const char *folder;	  /* exists and is empty */
	const char *layer;	  /* path of a tar on the same file system, packed or not; it is moved away */
	const char *layer_suffix; /* of the layer's media type: "", "+gzip" or "+zstd" */
	const char *created_by;
	uint64_t created_us;
	const struct json *annotations;	 /* of the manifest */
	const struct image_watch *watch; /* "digest" */
};

/* The SHA-256 of its three blobs. */
struct oci_written {
	char manifest[DIGEST_HEX_SIZE], config[DIGEST_HEX_SIZE], layer[DIGEST_HEX_SIZE];
	uint64_t layer_bytes;
};

/* The image is called OCI_WRITE_NAME in its index. All files are 0600. The layer is read once, for its two digests. */
#define OCI_WRITE_NAME "image"
int oci_write(const struct oci_write *w, struct oci_written *ret, struct err *err);
