/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/files.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/extras.h"
#include "engine/manifest.h"
#include "engine/operation.h"
#include "engine/state.h"
#include "engine/volume.h"
#include "runtime/mapped.h"

struct tree {
	char *volume; /* NULL: the upper folder, or shared memory where it is a folder */
	char *inside; /* where it is mounted: "/" for the upper */
	char *to;     /* below the folder: "upper", "shm", "volumes/NAME" */
	struct capture *capture;
	struct capture_stats stats;
};

struct files {
	const struct instance *in;
	char *folder;
	struct tree *trees;
	size_t n;
};

static bool is_cancelled(void *op)
{
	return operation_is_cancelled(op);
}

static int add_tree(struct files *f, const char *from, const char *volume, const char *inside, struct operation *op,
		    struct err *err)
{
	autofree char *to = volume ? path_join("volumes", volume) : xstrdup(str_eq(inside, "/") ? "upper" : "shm");
	autofree char *target = path_join(f->folder, to);
	struct capture *capture;
	struct tree *t;
	int r;

	r = file_sync_fs(from, err); /* what is dirty in memory now would move no time stamp later */
	if (r == 0)
		r = capture_prepare(from, target, is_cancelled, op, &capture, err);
	if (r < 0)
		return err_wrap(err, r, "cannot copy %s", volume ? volume : "the root file system");
	f->trees = xreallocarray(f->trees, f->n + 1, sizeof(*f->trees));
	t = &f->trees[f->n++];
	*t = (struct tree){
		.volume = xstrdup_null(volume), .inside = xstrdup(inside), .to = TAKE_PTR(to), .capture = capture
	};
	return 0;
}

static int add_volumes(struct files *f, struct operation *op, struct err *err)
{
	autofree char *dir = path_join(f->folder, "volumes");
	size_t n = 0;
	struct volume_mount *mounts = volume_mounts(f->in, &n);
	int r = n ? path_mkdirs(dir, 0700, err) : 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_tree(f, mounts[i].source, mounts[i].volume, mounts[i].path, op, err);
	volume_mounts_free(mounts, n);
	return r;
}

/* An overlay's upper is not the whole truth: image files with several names have some of them in the work folder only.
 */
static int know_lower(const struct files *f, struct err *err)
{
	autofree char *work = instance_path(f->in, "work");
	AUTO(image_info_free) struct image_info *image = NULL;
	int r = image_find(f->in->engine, f->in->row.image, &image, err);

	if (r < 0 || !path_exists(work))
		return r;
	return capture_over(f->trees[0].capture, image->layers, work, err);
}

int files_prepare(const struct instance *in, const char *folder, bool with_rootfs, bool with_volumes,
		  struct operation *op, struct files **ret, struct err *err)
{
	AUTO(files_free) struct files *f = xcalloc(1, sizeof(*f));
	autofree char *upper = instance_path(in, "upper"), *shm = instance_path(in, EXTRAS_SHM);
	int r = 0;

	f->in = in;
	f->folder = xstrdup(folder);
	if (with_rootfs)
		r = path_mkdirs(upper, 0555, err); /* an instance that never ran has none */
	if (r == 0 && with_rootfs)
		r = add_tree(f, upper, NULL, "/", op, err);
	if (r == 0 && with_rootfs)
		r = know_lower(f, err);
	if (r == 0 && with_rootfs && path_exists(shm))
		r = add_tree(f, shm, NULL, EXTRAS_SHM_INSIDE, op, err);
	if (r == 0 && with_volumes)
		r = add_volumes(f, op, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(f);
	return 0;
}

/* The mapped files that lie in this tree, relative to it. A file of a volume below is listed for both; that costs one
 * look. */
static char **mapped_in(const struct tree *t, char *const *mapped)
{
	autofree char *prefix = str_eq(t->inside, "/") ? xstrdup("/") : xasprintf("%s/", t->inside);
	char **list = NULL;

	for (size_t i = 0; mapped && mapped[i]; i++)
		if (str_after(mapped[i], prefix))
			strv_add(&list, str_after(mapped[i], prefix));
	return list;
}

int files_take(struct files *f, struct err *err)
{
	AUTO(strv_free) char **mapped = NULL;
	int r = 0;

	if (f->in->init)
		r = mapped_files(&f->in->cg, &mapped, err);
	for (size_t i = 0; r == 0 && i < f->n; i++) {
		AUTO(strv_free) char **always = mapped_in(&f->trees[i], mapped);

		r = capture_take(f->trees[i].capture, always, &f->trees[i].stats, err);
	}
	return r;
}

static struct json *stats_of(const struct tree *t, const char *digest)
{
	struct json *o = json_new_object();

	json_set_int(o, "files", (int64_t)t->stats.files);
	json_set_int(o, "folders", (int64_t)t->stats.folders);
	json_set_int(o, "others", (int64_t)t->stats.others);
	json_set_int(o, "bytes", (int64_t)t->stats.bytes);
	json_set_int(o, "early_bytes", (int64_t)t->stats.early_bytes);
	json_set_int(o, "late_bytes", (int64_t)t->stats.late_bytes);
	json_set_int(o, "cloned_bytes", (int64_t)t->stats.cloned_bytes);
	json_set_str(o, "path", t->inside);
	json_set_str(o, "sums", digest);
	return o;
}

int files_describe(struct files *f, struct json *list, struct json *manifest, struct operation *op, struct err *err)
{
	struct json *volumes = json_new_object();

	json_set(manifest, "volumes", volumes);
	for (size_t i = 0; i < f->n; i++) {
		struct tree *t = &f->trees[i];
		autofree char *tree = path_join(f->folder, t->to), *name = xasprintf("%s.sums", t->to);
		autofree char *sums = path_join(f->folder, name);
		char digest[DIGEST_HEX_SIZE];
		int r;

		operation_progress(op, "checkpoint_progress", "Digesting %s", t->volume ? t->volume : "files");
		if (operation_is_cancelled(op))
			return err_set(err, -ECANCELED, "cancelled");
		r = capture_digest(tree, sums, /* content= */ true, digest, err);
		if (r == 0)
			r = manifest_take_file(f->folder, name, list, err);
		if (r < 0)
			return r;
		if (t->volume)
			json_set(volumes, t->volume, stats_of(t, digest));
		else
			json_set(manifest, str_eq(t->inside, "/") ? "rootfs" : "shm", stats_of(t, digest));
	}
	return 0;
}

void files_free(struct files *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n; i++) {
		capture_free(f->trees[i].capture);
		free(f->trees[i].volume);
		free(f->trees[i].inside);
		free(f->trees[i].to);
	}
	free(f->trees);
	free(f->folder);
	free(f);
}
