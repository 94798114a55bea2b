/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint-image.c - checkpoints as OCI images: an archive is the only layer, the manifest's annotations say so
 *
 * Such an image is carried like any other and is none: nobody boots it, and it never gets into the store of images.
 * Both ways lead through a folder of our own, closed to others, for it holds all memory.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/checkpoint-folder.h"
#include "engine/checkpoint.h"
#include "engine/image.h"
#include "engine/operation.h"
#include "image/annotations.h"
#include "image/infile.h"
#include "image/oci-write.h"
#include "image/oci.h"
#include "image/pull.h"
#include "image/push.h"
#include "image/scratch.h"

#define TRANSFER_TIMEOUT (2ULL * 3600 * US_PER_S)
#define OS_RELEASE	 "/etc/os-release"
#define OS_RELEASE_MAX	 65536

static int tick(void *ctx, const char *what, uint64_t bytes, struct err *err)
{
	struct operation *op = ctx;
	char size[32];

	(void)str_from_bytes(bytes, size, sizeof(size));
	if (operation_is_cancelled(op))
		return err_set(err, -ECANCELED, "cancelled");
	if (str_eq(what, "download"))
		operation_progress(op, "download_progress", "Downloading: %s", size);
	else if (str_eq(what, "digest"))
		operation_progress(op, "export_progress", "Computing digests: %s", size);
	else
		operation_progress(op, "export_progress", "Copying image%s%s", bytes ? ": " : "", bytes ? size : "");
	return 0;
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

struct pushing {
	struct engine *e;
	const struct image_push_options *o;
	struct operation *op;
	struct checkpoint_info *c;
	struct image_info *image;
	struct scratch scratch;
	char *layout, *layer;
	char *distribution, *distribution_version;
	struct oci_written written;
};

static void pushing_done(struct pushing *p)
{
	checkpoint_info_free(p->c);
	image_info_free(p->image);
	scratch_done(&p->scratch);
	free(p->layout);
	free(p->layer);
	free(p->distribution);
	free(p->distribution_version);
}
AUTO_DEFINE_IN(struct pushing, pushing_done)

static int prepare(struct pushing *p, const char *instance, const char *which, struct err *err)
{
	int r = push_check(p->o->reference, err);

	if (r == 0)
		r = checkpoint_find(p->e, instance, which, &p->c, err);
	if (r == 0)
		r = image_find(p->e, p->c->image, &p->image, err);
	if (r == 0)
		r = scratch_make(&p->scratch, engine_settings(p->e)->state_dir, err);
	if (r < 0)
		return r;
	p->layer = path_join(p->scratch.path, "layer");
	p->layout = path_join(p->scratch.path, "layout");
	return path_mkdirs(p->layout, 0700, err);
}

static int write_layer(const struct pushing *p, const char *instance, struct err *err)
{
	autoclose int fd = open(p->layer, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(err, "%s", p->layer);
	return checkpoint_export(p->e, instance, p->c->uuid, &p->o->archive, fd, p->op, err);
}

/* "debian" and "12" */
static void find_distribution(struct pushing *p)
{
	autofree char *text = NULL;
	AUTO(strv_free) char **lines = NULL;

	if (file_read(OS_RELEASE, OS_RELEASE_MAX, &text, NULL, NULL) < 0)
		return;
	lines = strv_split(text, '\n');
	for (size_t i = 0; lines[i]; i++) {
		const char *id = str_after(lines[i], "ID="), *version = str_after(lines[i], "VERSION_ID=");
		const char *value = id ? id : version;
		AUTO(strv_free) char **words = NULL;

		if (!value || strv_parse_words(value, &words, NULL) < 0 || !words || !words[0])
			continue;
		if (id && !p->distribution)
			p->distribution = xstrdup(words[0]);
		if (version && !p->distribution_version)
			p->distribution_version = xstrdup(words[0]);
	}
}

/* The versions are those of then, the distribution is that of now. */
static struct json *annotate(struct pushing *p, const char *instance)
{
	const struct json *versions = json_get(p->c->manifest, "versions");
	autofree char *reference = checkpoint_image_reference(p->image);
	struct host_info host;
	struct annotations a = {
		.name = instance,
		.image = reference,
		.image_digest = p->image->fingerprint,
		.image_id = p->image->config_digest,
		.stasis = STASIS_VERSION,
		.criu = json_get_str(versions, "criu"),
		.crun = json_get_str(versions, "crun"),
		.conmon = host.conmon_version,
		.architecture = oci_architecture(),
		.kernel = json_get_str(versions, "kernel"),
		.created_us = p->c->created_us,
	};

	engine_host_info(p->e, &host);
	find_distribution(p);
	a.distribution = p->distribution;
	a.distribution_version = p->distribution_version;
	return annotations_make(&a);
}

static int write_layout(struct pushing *p, const char *instance, const struct image_watch *watch, struct err *err)
{
	static const char *const suffixes[] = {
		[CHECKPOINT_ZSTD] = "+zstd",
		[CHECKPOINT_GZIP] = "+gzip",
		[CHECKPOINT_NONE] = "",
	};
	AUTO(json_free) struct json *annotations = annotate(p, instance);
	const struct oci_write w = {
		.folder = p->layout,
		.layer = p->layer,
		.layer_suffix = suffixes[p->o->archive.compression],
		.created_by = "/bin/sh",
		.created_us = p->c->created_us,
		.annotations = annotations,
		.watch = watch,
	};

	return oci_write(&w, &p->written, err);
}

static int send_away(const struct pushing *p, const struct image_watch *watch, struct err *err)
{
	const struct push_request rq = {
		.folder = p->layout,
		.blobs = &p->written,
		.reference = p->o->reference,
		.tmp = p->scratch.path,
		.is_insecure = p->o->is_insecure,
		.timeout_us = TRANSFER_TIMEOUT,
		.watch = watch,
	};
	int r = push(&rq, err);

	if (r < 0)
		return r;
	operation_set(p->op, "bytes", json_new_int((int64_t)p->written.layer_bytes));
	operation_set(p->op, "fingerprint", json_new_str(p->written.manifest));
	return 0;
}

int checkpoint_push(struct engine *e, const char *instance, const char *which, const struct image_push_options *o,
		    struct operation *op, struct err *err)
{
	AUTO(pushing_done) struct pushing p = { .e = e, .o = o, .op = op };
	const struct image_watch watch = { tick, op };
	int r = prepare(&p, instance, which, err);

	if (r < 0)
		return r;
	assert(p.c && p.image);
	r = write_layer(&p, instance, err);
	if (r == 0)
		r = write_layout(&p, instance, &watch, err);
	return r < 0 ? r : send_away(&p, &watch, err);
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

/* Of the layout in @folder the layer's tar, verified; positioned anywhere. */
static int open_layer(const char *folder, struct err *err)
{
	AUTO(oci_image_free) struct oci_image *image = NULL;
	autoclose int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	char digest[DIGEST_HEX_SIZE];
	uint64_t size;
	int r;

	if (folder_fd < 0)
		return err_sys(err, "%s", folder);
	r = oci_open(folder_fd, &image, err);
	if (r == 0)
		r = annotations_check(image->manifest, err);
	if (r < 0)
		return r;
	if (image->n_layers != 1)
		return err_set(err, -EINVAL, "it has %zu layers; a checkpoint has one", image->n_layers);
	fd = infile_open(folder_fd, image->layers[0].path, err);
	if (fd < 0)
		return fd;
	r = digest_of_fd(fd, digest, &size, err);
	if (r < 0)
		return r;
	if (size != image->layers[0].size || !str_eq(digest, image->layers[0].digest))
		return err_set(err, -EUCLEAN, "it is damaged: the SHA-256 of its layer is %s", digest);
	return TAKE_FD(fd);
}

/* The descriptor of its layer; the files are gone already. */
static int fetch(struct engine *e, const char *reference, bool is_insecure, struct operation *op, struct err *err)
{
	const struct image_watch watch = { tick, op };
	AUTO(scratch_done) struct scratch scratch = { 0 };
	struct pull_request pull = {
		.reference = reference,
		.is_insecure = is_insecure,
		.timeout_us = TRANSFER_TIMEOUT,
		.watch = &watch,
	};
	autofree char *folder = NULL;
	int r, fd;

	r = scratch_make(&scratch, engine_settings(e)->state_dir, err);
	if (r < 0)
		return r;
	folder = path_join(scratch.path, "layout");
	pull.folder = folder;
	pull.tmp = scratch.path;
	r = pull_fetch(&pull, err);
	if (r < 0)
		return r;
	fd = open_layer(folder, err);
	return fd < 0 ? err_wrap(err, fd, "cannot restore %.150s", reference) : fd;
}

int checkpoint_pull(struct engine *e, const char *reference, bool is_insecure, const struct import_options *o,
		    struct operation *op, struct instance **ret, struct err *err)
{
	autofree char *full = NULL;
	autoclose int fd = -1;
	int r;

	r = pull_reference(reference, &full, err);
	if (r < 0)
		return r;
	fd = fetch(e, full, is_insecure, op, err);
	if (fd < 0)
		return fd;
	return checkpoint_import(e, fd, o, op, ret, err);
}
