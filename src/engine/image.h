/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * image.h - images as the engine sees them
 *
 * An image is content: its fingerprint is the SHA-256 of its OCI manifest, its layers are unpacked once under
 * STATE_DIR/layers/<diff id> and shared. Aliases are names for fingerprints.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/digest.h"
#include "base/err.h"
#include "engine/engine.h"

struct operation;

struct image_info {
	char fingerprint[DIGEST_HEX_SIZE];
	char config_digest[DIGEST_HEX_SIZE]; /* of the OCI configuration: what Podman and Docker call the image's id */
	char **aliases;
	char *description;   /* "busybox 1.35 (built in)", or the reference it came from */
	char *architecture;  /* "amd64" as OCI spells it */
	uint64_t bytes;	     /* unpacked */
	uint64_t created_us; /* as the image says */
	uint64_t uploaded_us;
	char **layers; /* folders of unpacked layers, absolute, lowest first */
	char **entrypoint, **cmd, **env;
	char *cwd, *user, *stop_signal; /* NULL: not given */
	size_t n_users;			/* instances that need it */
};
void image_info_free(struct image_info *info);
AUTO_DEFINE(struct image_info *, image_info_free)

/* @name: alias, fingerprint or a unique prefix of at least 6 digits. -ENOENT. "busybox" makes the built-in image when
 * no alias of that name exists yet. */
int image_find(struct engine *e, const char *name, struct image_info **ret, struct err *err);
int image_list(struct engine *e, struct image_info ***ret, struct err *err); /* NULL-terminated */
void image_list_free(struct image_info **list);
AUTO_DEFINE(struct image_info **, image_list_free)

/* Imports from a file or folder: a rootfs tar (plain or compressed), an OCI layout (folder or tar), a docker archive.
 * What it is, is found out by looking. @alias is taken from another image that has it; NULL: the archive's own name, if
 * it has one that is free. *ret_fingerprint is the heap string. The path is opened by the daemon. */
int image_import(struct engine *e, const char *path, const char *alias, struct operation *op, char **ret_fingerprint,
		 struct err *err);
/* Imports from a stream (an upload). A client that goes away cancels @op before the stream ends: then nothing is kept,
 * however whole it looks. */
int image_import_fd(struct engine *e, int fd, const char *alias, struct operation *op, char **ret_fingerprint,
		    struct err *err);
/* Pulls by skopeo: "docker://host/name:tag" (or without "docker://"), "oci:…", "docker-archive:…". @alias NULL: a
 * registry's "host/name:tag". @is_insecure: plain HTTP or unknown certificates allowed. */
int image_pull(struct engine *e, const char *reference, const char *alias, bool is_insecure, struct operation *op,
	       char **ret_fingerprint, struct err *err);
/* -EBUSY names the instances that need it. */
int image_delete(struct engine *e, const char *name, struct err *err);
int image_alias_add(struct engine *e, const char *alias, const char *fingerprint, struct err *err);
int image_alias_delete(struct engine *e, const char *alias, struct err *err);

/* Removes unpacked layers that no image names and half-finished work; called at start-up. */
int image_sweep(struct engine *e, struct err *err);
