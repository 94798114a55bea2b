/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * load.h - from a file or folder to layers in the store
 *
 * What is loaded is found out by looking: an OCI layout or docker archive (as a folder or as a tar, compressed or not),
 * or a tar of a root file system, which becomes an image of one layer with a configuration made up here. The caller
 * holds layer_lock_shared() until it has written down which layers the image needs.
 */
#include <stddef.h>

#include "base/auto.h"
#include "base/err.h"
#include "image/layer.h"
#include "image/oci.h"
#include "image/watch.h"

struct load_request {
	const char *state_dir;
	const struct image_watch *watch;
};

struct loaded {
	struct oci_image *image;
	struct layer_result *layers; /* as many as image->n_layers */
};
void loaded_free(struct loaded *l);
AUTO_DEFINE(struct loaded *, loaded_free)

/* @fd: a file that can be read from its beginning, or a folder. */
int load_any(const struct load_request *rq, int fd, struct loaded **ret, struct err *err);
int load_folder(const struct load_request *rq, int folder_fd, struct loaded **ret, struct err *err);

/* A tar of a root file system; @process is the "config" object of an image's configuration (env, command), which is
 * copied; NULL for the default one. The same bytes give the same fingerprint. */
struct json;
int load_rootfs(const struct load_request *rq, int fd, const struct json *process, struct loaded **ret,
		struct err *err);

/* An image's "config" when nobody says more: PATH, and a shell that idles as PID 1, reaps what is left to it and goes
 * at SIGTERM. The caller's to free. */
struct json *load_default_process(void);

/* Copies a stream that cannot be rewound into an unnamed file on @state_dir's file system, at most the default limit of
 * a layer. Returns its descriptor. */
int load_spool(const struct load_request *rq, int fd, struct err *err);
