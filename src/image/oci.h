/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * oci.h - images as they come: an OCI layout or a docker archive, as a folder
 *
 * Opening one chooses the image for this host's architecture and verifies index, manifest and configuration against
 * their descriptors. The layers are named but not read: whoever unpacks them verifies them (layer.h).
 * Everything in the folder is untrusted; files are opened so that no symlink leads out of it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/digest.h"
#include "base/err.h"

#define OCI_MAX_LAYERS 500 /* overlayfs's limit */
#define OCI_MAX_JSON   (4 << 20)

/* What an image says about itself and the process to start. NULL where it says nothing. */
struct oci_config {
	char *architecture, *os;
	char **entrypoint, **cmd, **env;
	char *cwd, *user, *stop_signal;
	uint64_t created_us; /* 0: not told */
	char **diff_ids;     /* hex, lowest first */
};
int oci_config_parse(const char *text, struct oci_config **ret, struct err *err);
void oci_config_free(struct oci_config *c);
AUTO_DEFINE(struct oci_config *, oci_config_free)

struct oci_layer {
	char digest[DIGEST_HEX_SIZE]; /* of the blob */
	uint64_t size;		      /* of the blob */
	char diff_id[DIGEST_HEX_SIZE];
	char *path; /* inside the folder, for infile_open() */
};

struct oci_image {
	char fingerprint[DIGEST_HEX_SIZE]; /* SHA-256 of the manifest */
	char *manifest, *config;	   /* their text */
	char *name;			   /* the reference in the archive, or NULL */
	struct oci_config *parsed;
	struct oci_layer *layers; /* lowest first */
	size_t n_layers;
};

/* -ENOENT when the folder holds neither kind; -EINVAL for what is damaged, not for this host, or more than one image.
 */
int oci_open(int folder_fd, struct oci_image **ret, struct err *err);
void oci_image_free(struct oci_image *image);
AUTO_DEFINE(struct oci_image *, oci_image_free)

/* This host's architecture as OCI spells it: "amd64". */
const char *oci_architecture(void);

/* The text of a manifest over @image's layers and its configuration, as it is written when an image comes without one.
 * The same content gives the same text. */
char *oci_manifest_text(const struct oci_image *image);
