/* SPDX-License-Identifier: Apache-2.0 */
/* oci-write.c - an OCI layout of our own: blobs first, then the index that leads to them */
#include "image/oci-write.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/archive.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "image/oci.h"

#define TYPE_INDEX    "application/vnd.oci.image.index.v1+json"
#define TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define TYPE_CONFIG   "application/vnd.oci.image.config.v1+json"
#define TYPE_LAYER    "application/vnd.oci.image.layer.v1.tar"

#define TELL_EVERY (16 << 20)

static struct json *descriptor(const char *type, const char *digest, uint64_t size)
{
	struct json *d = json_new_object();

	json_set_str(d, "mediaType", type);
	json_set_strf(d, "digest", "sha256:%s", digest);
	json_set_int(d, "size", (int64_t)size);
	return d;
}

static char *blob_path(const struct oci_write *w, const char *digest)
{
	return path_joinf(w->folder, "blobs/sha256/%s", digest);
}

/* Writes a document as a blob and returns its descriptor, or NULL. */
static struct json *write_blob(const struct oci_write *w, const char *type, const struct json *j,
			       char ret_digest[DIGEST_HEX_SIZE], struct err *err)
{
	autofree char *text = json_print(j, JSON_COMPACT), *path = NULL;

	digest_of(text, strlen(text), ret_digest);
	path = blob_path(w, ret_digest);
	if (file_write_whole(path, text, strlen(text), 0600, err) < 0)
		return NULL;
	return descriptor(type, ret_digest, strlen(text));
}

static int write_text(const struct oci_write *w, const char *name, const struct json *j, struct err *err)
{
	autofree char *text = json_print(j, JSON_COMPACT), *path = path_join(w->folder, name);

	return file_write_whole(path, text, strlen(text), 0600, err);
}

/* One member goes by. */
static int pass_over(const struct oci_write *w, struct archive_reader *rd, struct err *err)
{
	uint64_t offset, told = 0, now;
	const void *p;
	size_t n;
	int r;

	while ((r = archive_reader_data(rd, &p, &n, &offset, err)) > 0) {
		now = archive_reader_packed_bytes(rd);
		if (now - told < TELL_EVERY)
			continue;
		told = now;
		r = image_watch_tick(w->watch, "digest", now, err);
		if (r < 0)
			return r;
	}
	return r;
}

/* What the blob and the tar inside of it are, in one pass: the diff id is of the tar. */
static int measure(const struct oci_write *w, struct archive_sums *ret, struct err *err)
{
	const struct archive_limits none = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX };
	AUTO(archive_reader_free) struct archive_reader *rd = NULL;
	autoclose int fd = open(w->layer, O_RDONLY | O_CLOEXEC);
	struct archive_item item;
	int r;

	if (fd < 0)
		return err_sys(err, "%s", w->layer);
	r = archive_reader_open(fd, &none, &rd, err);
	if (r < 0)
		return r;
	while ((r = archive_reader_next(rd, &item, err)) > 0) {
		r = pass_over(w, rd, err);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : archive_reader_finish(rd, ret, err);
}

static int move_layer(const struct oci_write *w, const struct archive_sums *sums, struct err *err)
{
	autofree char *to = blob_path(w, sums->packed);

	if (chmod(w->layer, 0600) < 0 || rename(w->layer, to) < 0)
		return err_sys(err, "%s", to);
	return 0;
}

static struct json *make_config(const struct oci_write *w, const struct archive_sums *sums)
{
	struct json *o = json_new_object(), *config = json_new_object(), *rootfs = json_new_object();
	struct json *ids = json_new_array(), *history = json_new_array(), *step = json_new_object();
	autofree char *id = xasprintf("sha256:%s", sums->plain);
	char when[CLOCK_RFC3339_SIZE];

	(void)clock_rfc3339(w->created_us, when);
	json_add_str(ids, id);
	json_set_str(rootfs, "type", "layers");
	json_set(rootfs, "diff_ids", ids);
	json_set_str(config, "WorkingDir", "/");
	json_set_str(step, "created", when);
	json_set_str(step, "created_by", w->created_by);
	json_add(history, step);
	json_set_str(o, "created", when);
	json_set_str(o, "architecture", oci_architecture());
	json_set_str(o, "os", "linux");
	json_set(o, "config", config);
	json_set(o, "rootfs", rootfs);
	json_set(o, "history", history);
	return o;
}

/* Takes over the descriptor of the configuration. */
static struct json *make_manifest(const struct oci_write *w, struct json *config, const struct archive_sums *sums)
{
	autofree char *type = xasprintf(TYPE_LAYER "%s", w->layer_suffix);
	struct json *o = json_new_object(), *layers = json_new_array();

	json_add(layers, descriptor(type, sums->packed, sums->packed_bytes));
	json_set_int(o, "schemaVersion", 2);
	json_set_str(o, "mediaType", TYPE_MANIFEST);
	json_set(o, "config", config);
	json_set(o, "layers", layers);
	json_set(o, "annotations", json_copy(w->annotations));
	return o;
}

/* Takes over the descriptor of the manifest. */
static int write_index(const struct oci_write *w, struct json *manifest, struct err *err)
{
	AUTO(json_free) struct json *index = json_new_object(), *layout = json_new_object();
	struct json *manifests = json_new_array(), *name = json_new_object();
	int r;

	json_set_str(name, "org.opencontainers.image.ref.name", OCI_WRITE_NAME);
	json_set(manifest, "annotations", name);
	json_add(manifests, manifest);
	json_set_int(index, "schemaVersion", 2);
	json_set_str(index, "mediaType", TYPE_INDEX);
	json_set(index, "manifests", manifests);
	json_set_str(layout, "imageLayoutVersion", "1.0.0");
	r = write_text(w, "oci-layout", layout, err);
	return r < 0 ? r : write_text(w, "index.json", index, err);
}

int oci_write(const struct oci_write *w, struct oci_written *ret, struct err *err)
{
	autofree char *blobs = path_join(w->folder, "blobs/sha256");
	AUTO(json_free) struct json *config = NULL, *manifest = NULL;
	struct oci_written written = { 0 };
	struct archive_sums sums = { 0 };
	struct json *d;
	int r;

	r = path_mkdirs(blobs, 0700, err);
	if (r == 0)
		r = measure(w, &sums, err);
	if (r == 0)
		r = move_layer(w, &sums, err);
	if (r < 0)
		return r;
	memcpy(written.layer, sums.packed, sizeof(written.layer));
	written.layer_bytes = sums.packed_bytes;
	config = make_config(w, &sums);
	d = write_blob(w, TYPE_CONFIG, config, written.config, err);
	if (!d)
		return err_wrap(err, -EIO, "the image's configuration");
	manifest = make_manifest(w, d, &sums);
	d = write_blob(w, TYPE_MANIFEST, manifest, written.manifest, err);
	if (!d)
		return err_wrap(err, -EIO, "the image's manifest");
	r = write_index(w, d, err);
	if (r == 0)
		*ret = written;
	return r;
}
