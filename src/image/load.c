/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - from a file or folder to layers in the store */
#include "image/load.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/archive.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "image/infile.h"
#include "image/scratch.h"
#include "image/tree.h"
#include "image/unpack.h"

#define SPOOL_CHUNK (1 << 20)

void loaded_free(struct loaded *l)
{
	if (!l)
		return;
	oci_image_free(l->image);
	free(l->layers);
	free(l);
}

static struct loaded *loaded_new(struct oci_image *image)
{
	struct loaded *l = xcalloc(1, sizeof(*l));

	l->image = image;
	l->layers = xcalloc(image->n_layers, sizeof(*l->layers));
	return l;
}

static int load_layer(const struct load_request *rq, int folder_fd, struct loaded *l, size_t i, struct err *err)
{
	const struct oci_layer *layer = &l->image->layers[i];
	autofree char *what = xasprintf("layer %zu of %zu", i + 1, l->image->n_layers);
	struct layer_spec spec = { .diff_id = layer->diff_id,
				   .digest = layer->digest,
				   .size = layer->size,
				   .what = what,
				   .watch = rq->watch };
	autoclose int fd = infile_open(folder_fd, layer->path, err);

	if (fd < 0)
		return err_wrap(err, fd, "%s", what);
	return layer_import(rq->state_dir, fd, &spec, &l->layers[i], err);
}

int load_folder(const struct load_request *rq, int folder_fd, struct loaded **ret, struct err *err)
{
	AUTO(loaded_free) struct loaded *l = NULL;
	struct oci_image *image;
	int r;

	r = oci_open(folder_fd, &image, err);
	if (r < 0)
		return r;
	l = loaded_new(image);
	for (size_t i = 0; r == 0 && i < image->n_layers; i++)
		r = load_layer(rq, folder_fd, l, i, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(l);
	return 0;
}

/* Unpacks the outer tar of a layout or docker archive, then goes on as with a folder. */
static int load_packed_folder(const struct load_request *rq, int fd, struct loaded **ret, struct err *err)
{
	struct unpack_options options = { .limits = ARCHIVE_LIMITS_DEFAULT, .what = "archive", .watch = rq->watch };
	AUTO(scratch_done) struct scratch scratch = { 0 };
	struct unpack_result unpacked;
	autoclose int folder_fd = -1;
	int r;

	r = scratch_make(&scratch, rq->state_dir, err);
	if (r < 0)
		return r;
	folder_fd = open(scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder_fd < 0)
		return err_sys(err, "%s", scratch.path);
	r = unpack_archive(fd, folder_fd, &options, &unpacked, err);
	if (r < 0)
		return r;
	return load_folder(rq, folder_fd, ret, err);
}

struct json *load_default_process(void)
{
	static const char idle[] = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done";
	static const char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	struct json *process = json_new_object(), *env = json_new_array(), *cmd = json_new_array();

	json_add_str(env, path);
	json_add_str(cmd, "/bin/sh");
	json_add_str(cmd, "-c");
	json_add_str(cmd, idle);
	json_set(process, "Env", env);
	json_set(process, "Cmd", cmd);
	return process;
}

static char *rootfs_config(const struct json *process, const char *diff_id)
{
	AUTO(json_free) struct json *config = json_new_object();
	struct json *rootfs = json_new_object(), *ids = json_new_array();
	autofree char *id = xasprintf("sha256:%s", diff_id);

	json_add_str(ids, id);
	json_set_str(rootfs, "type", "layers");
	json_set(rootfs, "diff_ids", ids);
	json_set_str(config, "architecture", oci_architecture());
	json_set_str(config, "os", "linux");
	json_set(config, "config", process ? json_copy(process) : load_default_process());
	json_set(config, "rootfs", rootfs);
	return json_print(config, JSON_COMPACT);
}

/* The blob of a root file system's layer is its plain tar, however it was compressed: the fingerprint is of what is in
 * it. */
int load_rootfs(const struct load_request *rq, int fd, const struct json *process, struct loaded **ret, struct err *err)
{
	struct layer_spec spec = { .what = "root file system", .watch = rq->watch };
	AUTO(oci_image_free) struct oci_image *image = xcalloc(1, sizeof(*image));
	struct layer_result layer;
	int r;

	r = layer_import(rq->state_dir, fd, &spec, &layer, err);
	if (r < 0)
		return r;
	image->layers = xcalloc(1, sizeof(*image->layers));
	image->n_layers = 1;
	memcpy(image->layers[0].diff_id, layer.diff_id, DIGEST_HEX_SIZE);
	memcpy(image->layers[0].digest, layer.diff_id, DIGEST_HEX_SIZE);
	image->layers[0].size = layer.plain_bytes;
	image->config = rootfs_config(process, layer.diff_id);
	image->manifest = oci_manifest_text(image);
	digest_of(image->manifest, strlen(image->manifest), image->fingerprint);
	r = oci_config_parse(image->config, &image->parsed, err);
	if (r < 0)
		return r;
	*ret = loaded_new(TAKE_PTR(image));
	(*ret)->layers[0] = layer;
	return 0;
}

/* What a top-level name says about the archive: 1 a layout or docker archive, 0 a root file system, -EAGAIN nothing. */
static int judge_name(const char *name)
{
	static const char *const decisive[] = { "blobs", "index.json", "manifest.json", "oci-layout", "repositories" };
	size_t len = strcspn(name, "/"), hex = strspn(name, "0123456789abcdef");

	if (!*name)
		return -EAGAIN;
	for (size_t i = 0; i < ARRAY_SIZE(decisive); i++)
		if (strlen(decisive[i]) == len && strncmp(name, decisive[i], len) == 0)
			return 1;
	/* docker's older archives begin with "<64 digits>/…" or "<64 digits>.json" */
	return hex == DIGEST_HEX_SIZE - 1;
}

/* Looks at the first name that tells: 1 for load_packed_folder(), 0 for load_rootfs(). */
static int sniff(int fd, struct err *err)
{
	struct archive_limits limits = ARCHIVE_LIMITS_DEFAULT;
	AUTO(archive_reader_free) struct archive_reader *rd = NULL;
	char name[TREE_NAME_SIZE];
	struct archive_item item;
	int r;

	r = archive_reader_open(fd, &limits, &rd, err);
	if (r < 0)
		return r;
	while ((r = archive_reader_next(rd, &item, err)) > 0) {
		r = tree_clean_name(item.name, name, err);
		if (r < 0)
			return r;
		r = judge_name(name);
		if (r >= 0)
			return r;
	}
	return r < 0 ? r : err_set(err, -EINVAL, "the archive is empty");
}

static int rewind_fd(int fd, struct err *err)
{
	return lseek(fd, 0, SEEK_SET) < 0 ? err_sys(err, "cannot go back to its beginning") : 0;
}

int load_any(const struct load_request *rq, int fd, struct loaded **ret, struct err *err)
{
	struct stat st;
	int kind, r;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat");
	if (S_ISDIR(st.st_mode))
		return load_folder(rq, fd, ret, err);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "neither a file nor a folder");
	r = rewind_fd(fd, err);
	if (r < 0)
		return r;
	kind = sniff(fd, err);
	if (kind < 0)
		return kind;
	r = rewind_fd(fd, err);
	if (r < 0)
		return r;
	return kind == 1 ? load_packed_folder(rq, fd, ret, err) : load_rootfs(rq, fd, /* process= */ NULL, ret, err);
}

static int spool(const struct load_request *rq, int from, int to, struct err *err)
{
	static const struct archive_limits limits = ARCHIVE_LIMITS_DEFAULT;
	autofree char *buf = xmalloc(SPOOL_CHUNK);
	uint64_t total = 0;
	int r;

	for (;;) {
		ssize_t n = read(from, buf, SPOOL_CHUNK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot read the upload");
		if (n == 0) /* the end, or the uploader has gone: who watches knows */
			return image_watch_tick(rq->watch, "upload", total, err);
		total += (uint64_t)n;
		if (total > limits.bytes)
			return err_set(err, -E2BIG, "the upload is larger than the limit");
		r = file_write_all(to, buf, (size_t)n, err);
		if (r == 0)
			r = image_watch_tick(rq->watch, "upload", total, err);
		if (r < 0)
			return r;
	}
}

int load_spool(const struct load_request *rq, int fd, struct err *err)
{
	AUTO(scratch_done) struct scratch scratch = { 0 };
	autofree char *path = NULL;
	autoclose int to = -1;
	int r;

	r = scratch_make(&scratch, rq->state_dir, err);
	if (r < 0)
		return r;
	path = path_join(scratch.path, "upload");
	to = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0)
		return err_sys(err, "%s", path);
	r = spool(rq, fd, to, err);
	return r < 0 ? r : TAKE_FD(to);
}
