/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image-import.c - images come in
 *
 * Everything is loaded first (layers unpacked, verified, synced), the rows come last. Until then the shared lock of the
 * layer store keeps a sweep from taking layers that no row names yet; a failure or a crash leaves layers for the next
 * sweep.
 */
#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "engine/image-private.h"
#include "engine/operation.h"
#include "engine/state.h"
#include "image/busybox.h"
#include "image/load.h"
#include "image/pull.h"
#include "image/scratch.h"
#include "store/images.h"

#define PULL_TIMEOUT (2ULL * 3600 * US_PER_S)

/* How an image that was loaded is to be called. */
struct naming {
	const char *description; /* where the archive has no (good) name of its own */
	const char *alias;	 /* asked for: taken from another image if need be; NULL: none */
	bool takes_own_name; /* the archive's own name describes it and, without @alias, becomes one if it is free */
};

static int tick(void *ctx, const char *what, uint64_t bytes, struct err *err)
{
	struct operation *op = ctx;
	char size[32];

	(void)str_from_bytes(bytes, size, sizeof(size));
	if (operation_is_cancelled(op))
		return err_set(err, -ECANCELED, "cancelled");
	if (str_eq(what, "download"))
		operation_progress(op, "download_progress", "Downloading: %s", size);
	else
		operation_progress(op, "unpack_progress", "Unpacking %s: %s", what, size);
	return 0;
}

/* Of a layer that was there already, its size stands in a row, or it has to be measured. */
static uint64_t layer_bytes(struct engine *e, const struct layer_result *layer)
{
	autofree char *folder = NULL;
	uint64_t bytes = layer->bytes;

	if (layer->is_new || images_find_layer(e->db, layer->diff_id, &bytes, NULL) == 1)
		return bytes;
	folder = layer_folder(e->settings.state_dir, layer->diff_id);
	(void)path_disk_usage(folder, &bytes, NULL);
	return bytes;
}

/* The name that an archive gives itself is a stranger's word: it is shown only if it could be an alias. */
static const char *own_name(const struct loaded *l)
{
	const char *name = l->image->name;

	return name && image_check_alias(name, NULL) == 0 ? name : NULL;
}

/* It becomes one only if nobody has it and it says more than "latest"; so it cannot pose as the built-in image either.
 */
static bool may_be_alias(const char *name)
{
	return name && strpbrk(name, ":/");
}

static struct image_row make_row(struct engine *e, const struct loaded *l, const char *description)
{
	const struct oci_image *image = l->image;
	struct image_row row = {
		.manifest = xstrdup(image->manifest),
		.config = xstrdup(image->config),
		.architecture = xstrdup(image->parsed->architecture ? image->parsed->architecture : oci_architecture()),
		.created_us = image->parsed->created_us,
		.uploaded_us = clock_real_us(),
		.layers = xcalloc(image->n_layers, sizeof(*row.layers)),
		.n_layers = image->n_layers,
	};

	row.description = xstrdup(description);
	memcpy(row.fingerprint, image->fingerprint, sizeof(row.fingerprint));
	for (size_t i = 0; i < image->n_layers; i++) {
		memcpy(row.layers[i].diff_id, l->layers[i].diff_id, DIGEST_HEX_SIZE);
		row.layers[i].bytes = layer_bytes(e, &l->layers[i]);
	}
	return row;
}

static int record(struct engine *e, const struct loaded *l, const struct naming *naming, struct operation *op,
		  struct err *err)
{
	const char *own = naming->takes_own_name ? own_name(l) : NULL;
	AUTO(image_row_done) struct image_row row = make_row(e, l, own ? own : naming->description);
	int r;

	r = operation_commit(op, err);
	if (r == 0)
		r = images_insert(e->db, &row, err);
	if (r < 0)
		return r;
	if (naming->alias)
		return images_set_alias(e->db, naming->alias, row.fingerprint, /* may_move= */ true, err);
	if (may_be_alias(own))
		(void)images_set_alias(e->db, own, row.fingerprint, /* may_move= */ false, NULL);
	return 0;
}

/* Where an image comes from; @load does it. */
struct import {
	int (*load)(const struct import *im, const struct load_request *rq, struct loaded **ret, char **ret_description,
		    struct err *err);
	int fd;		       /* file or folder */
	const char *reference; /* to pull */
	bool is_insecure;
};

static int load_and_record(struct engine *e, const struct import *im, const struct naming *naming, struct operation *op,
			   char **ret_fingerprint, struct err *err)
{
	struct image_watch watch = { tick, op };
	struct load_request rq = { .state_dir = e->settings.state_dir, .watch = &watch };
	AUTO(loaded_free) struct loaded *l = NULL;
	autofree char *description = NULL;
	struct naming named = *naming;
	int r;

	r = im->load(im, &rq, &l, &description, err);
	if (r < 0)
		return r;
	assert(l);
	if (description)
		named.description = description;
	r = record(e, l, &named, op, err);
	if (r == 0 && ret_fingerprint)
		*ret_fingerprint = xstrdup(l->image->fingerprint);
	return r;
}

static int run_import(struct engine *e, const struct import *im, const struct naming *naming, struct operation *op,
		      char **ret_fingerprint, struct err *err)
{
	autoclose int lock = -1;
	int r;

	r = layer_lock_shared(e->settings.state_dir, &lock, err);
	if (r < 0)
		return r;
	r = load_and_record(e, im, naming, op, ret_fingerprint, err);
	if (r < 0) {
		(void)close(TAKE_FD(lock));
		(void)image_sweep_layers(e, NULL); /* what was unpacked for nothing */
	}
	return r;
}

static int load_file(const struct import *im, const struct load_request *rq, struct loaded **ret,
		     char **ret_description, struct err *err)
{
	return load_any(rq, im->fd, ret, err);
}

int image_import(struct engine *e, const char *path, const char *alias, struct operation *op, char **ret_fingerprint,
		 struct err *err)
{
	struct naming naming = { .description = path_base(path), .alias = alias, .takes_own_name = true };
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct import im = { .load = load_file, .fd = fd };
	int r;

	if (fd < 0)
		return err_sys(err, "cannot import %.200s", path);
	r = alias ? image_check_alias(alias, err) : 0;
	if (r == 0)
		r = run_import(e, &im, &naming, op, ret_fingerprint, err);
	return r < 0 ? err_wrap(err, r, "cannot import %.200s", path) : 0;
}

static bool is_plain_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int load_stream(const struct import *im, const struct load_request *rq, struct loaded **ret,
		       char **ret_description, struct err *err)
{
	autoclose int fd = -1;

	if (is_plain_file(im->fd))
		return load_any(rq, im->fd, ret, err);
	fd = load_spool(rq, im->fd, err);
	return fd < 0 ? fd : load_any(rq, fd, ret, err);
}

int image_import_fd(struct engine *e, int fd, const char *alias, struct operation *op, char **ret_fingerprint,
		    struct err *err)
{
	struct naming naming = { .description = "uploaded image", .alias = alias, .takes_own_name = true };
	struct import im = { .load = load_stream, .fd = fd };
	int r;

	r = alias ? image_check_alias(alias, err) : 0;
	if (r == 0)
		r = run_import(e, &im, &naming, op, ret_fingerprint, err);
	return r < 0 ? err_wrap(err, r, "cannot import the upload") : 0;
}

static int load_pulled(const struct import *im, const struct load_request *rq, struct loaded **ret,
		       char **ret_description, struct err *err)
{
	struct pull_request pull = {
		.reference = im->reference,
		.is_insecure = im->is_insecure,
		.timeout_us = PULL_TIMEOUT,
		.watch = rq->watch,
	};
	AUTO(scratch_done) struct scratch scratch = { 0 };
	autofree char *folder = NULL;
	autoclose int fd = -1;
	int r;

	r = scratch_make(&scratch, rq->state_dir, err);
	if (r < 0)
		return r;
	folder = path_join(scratch.path, "layout");
	pull.folder = folder;
	pull.tmp = scratch.path;
	r = pull_fetch(&pull, err);
	if (r < 0)
		return r;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "%s", folder);
	r = load_folder(rq, fd, ret, err);
	return r < 0 ? err_wrap(err, r, "%.150s", im->reference) : 0;
}

int image_pull(struct engine *e, const char *reference, const char *alias, bool is_insecure, struct operation *op,
	       char **ret_fingerprint, struct err *err)
{
	struct import im = { .load = load_pulled, .is_insecure = is_insecure };
	autofree char *full = NULL;
	struct naming naming;
	int r;

	r = pull_reference(reference, &full, err);
	if (r < 0)
		return r;
	im.reference = full;
	naming = (struct naming){ .description = pull_name(full) ? pull_name(full) : full,
				  .alias = alias ? alias : pull_name(full) };
	r = naming.alias ? image_check_alias(naming.alias, err) : 0;
	return r < 0 ? r : run_import(e, &im, &naming, op, ret_fingerprint, err);
}

static int load_built_in(const struct import *im, const struct load_request *rq, struct loaded **ret,
			 char **ret_description, struct err *err)
{
	return busybox_load(rq, BUSYBOX_PATH, ret, ret_description, err);
}

int image_make_built_in(struct engine *e, struct err *err)
{
	struct naming naming = { .description = IMAGE_BUILT_IN, .alias = IMAGE_BUILT_IN };
	struct import im = { .load = load_built_in };

	return run_import(e, &im, &naming, /* op= */ NULL, /* ret_fingerprint= */ NULL, err);
}
