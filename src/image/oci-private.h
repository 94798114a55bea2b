/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* oci-private.h - between oci.c, oci-layout.c and oci-docker.c */
#include "base/json.h"
#include "image/oci.h"

/* Fill @image from a folder of their kind. What they leave out, oci_open() adds: the parsed configuration, the layers'
 * diff ids. */
int oci_layout_open(int folder_fd, struct oci_image *image, struct err *err);
int oci_docker_open(int folder_fd, struct oci_image *image, struct err *err);

/* The file's text, at most OCI_MAX_JSON. @digest: what its SHA-256 must be (hex, or NULL), @size: its length, or
 * UINT64_MAX. */
int oci_read_text(int folder_fd, const char *path, const char *digest, uint64_t size, char **ret, struct err *err);

/* The hex digits of "sha256:…". -EINVAL names @what for anything else. */
int oci_parse_digest(const char *s, char out[DIGEST_HEX_SIZE], const char *what, struct err *err);

/* A copy of @array, which must consist of strings. NULL and null give NULL. */
int oci_strings(const struct json *array, const char *what, char ***ret, struct err *err);
