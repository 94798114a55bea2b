/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci-layout.c - an OCI image layout: oci-layout, index.json, blobs/sha256/<hex>
 *
 * The index leads to a manifest, over further indexes in images for several architectures. Every blob on the way is
 * taken only as what its descriptor says it is.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "image/oci-private.h"

#define MAX_INDEXES 4 /* one inside the other */
#define REF_NAME    "org.opencontainers.image.ref.name"
#define IMAGE_NAME  "io.containerd.image.name"

struct descriptor {
	char digest[DIGEST_HEX_SIZE];
	uint64_t size;
	const char *media_type; /* borrowed; NULL: not told */
};

static int parse_descriptor(const struct json *j, const char *what, struct descriptor *ret, struct err *err)
{
	int64_t size = json_get_int(j, "size", -1);
	int r;

	r = oci_parse_digest(json_get_str(j, "digest"), ret->digest, what, err);
	if (r < 0)
		return r;
	if (size < 0)
		return err_set(err, -EINVAL, "%s has no size", what);
	ret->size = (uint64_t)size;
	ret->media_type = json_get_str(j, "mediaType");
	return 0;
}

static char *blob_path(const struct descriptor *d)
{
	return xasprintf("blobs/sha256/%s", d->digest);
}

static int read_blob(int folder_fd, const struct descriptor *d, char **ret_text, struct json **ret, struct err *err)
{
	autofree char *path = blob_path(d);
	AUTO(json_free) struct json *j = NULL;
	autofree char *text = NULL;
	int r;

	r = oci_read_text(folder_fd, path, d->digest, d->size, &text, err);
	if (r < 0)
		return r;
	r = json_parse(text, strlen(text), &j, err);
	if (r < 0)
		return err_wrap(err, r, "%s", path);
	*ret_text = TAKE_PTR(text);
	*ret = TAKE_PTR(j);
	return 0;
}

static const char *name_of(const struct json *descriptor)
{
	const struct json *annotations = json_get(descriptor, "annotations");
	const char *name = json_get_str(annotations, IMAGE_NAME);

	return name ? name : json_get_str(annotations, REF_NAME);
}

/* 1 made for this host or not saying for what, 0 not. */
static int is_for_us(const struct json *descriptor)
{
	const struct json *platform = json_get(descriptor, "platform");
	const char *os = json_get_str(platform, "os"), *architecture = json_get_str(platform, "architecture");

	return (!os || str_eq(os, "linux")) && (!architecture || str_eq(architecture, oci_architecture()));
}

/* Two descriptors for us: 1 if they are two images, between which only a person can choose; 0 if they are builds of one
 * for variants of this architecture. */
static int are_rivals(const struct json *a, const struct json *b)
{
	if (str_eq(json_get_str(a, "digest"), json_get_str(b, "digest")))
		return 0;
	if (!json_at(a, "/platform/architecture") || !json_at(b, "/platform/architecture"))
		return 1;
	return !str_eq(name_of(a), name_of(b));
}

static int refuse_rivals(const struct json *a, const struct json *b, struct err *err)
{
	return err_set(err, -EINVAL, "it holds more than one image (%s and %s); pull one of them as oci:FOLDER:NAME",
		       name_of(a) ? name_of(a) : "one without a name", name_of(b) ? name_of(b) : "one without a name");
}

static int refuse_platforms(const struct json *manifests, struct err *err)
{
	AUTO(strbuf_done) struct strbuf has = STRBUF_INIT;

	for (size_t i = 0; i < json_len(manifests) && i < 12; i++) {
		const struct json *platform = json_get(json_item(manifests, i), "platform");
		const char *os = json_get_str(platform, "os"), *arch = json_get_str(platform, "architecture");

		strbuf_addf(&has, "%s%.40s/%.40s", has.len ? ", " : "", os ? os : "?", arch ? arch : "?");
	}
	return err_set(err, -EINVAL, "it holds no image for linux/%s (it has: %s)", oci_architecture(),
		       has.len ? has.s : "none");
}

/* The entry of an index to go on with: of several variants the one without a name, or the first. */
static int choose(const struct json *index, const struct json **ret, struct err *err)
{
	const struct json *manifests = json_get(index, "manifests"), *best = NULL;

	for (size_t i = 0; i < json_len(manifests); i++) {
		const struct json *d = json_item(manifests, i);

		if (!is_for_us(d))
			continue;
		if (best && are_rivals(best, d))
			return refuse_rivals(best, d, err);
		if (!best || (json_at(best, "/platform/variant") && !json_at(d, "/platform/variant")))
			best = d;
	}
	if (!best)
		return refuse_platforms(manifests, err);
	*ret = best;
	return 0;
}

static int check_media_type(const char *type, const char *const *known, const char *what, struct err *err)
{
	if (!type)
		return 0;
	for (size_t i = 0; known[i]; i++)
		if (str_eq(type, known[i]))
			return 0;
	return err_set(err, -EINVAL, "it is not a container image: %s of the type %.120s", what, type);
}

static int add_layer(struct oci_image *image, const struct json *j, struct err *err)
{
	static const char *const known[] = {
		"application/vnd.oci.image.layer.v1.tar",
		"application/vnd.oci.image.layer.v1.tar+gzip",
		"application/vnd.oci.image.layer.v1.tar+zstd",
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
		"application/vnd.docker.image.rootfs.diff.tar",
		"application/vnd.docker.image.rootfs.diff.tar.gzip",
		"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
		NULL,
	};
	struct oci_layer *layer = &image->layers[image->n_layers];
	struct descriptor d;
	int r;

	r = parse_descriptor(j, "a layer", &d, err);
	if (r == 0)
		r = check_media_type(d.media_type, known, "a layer", err);
	if (r < 0)
		return r;
	memcpy(layer->digest, d.digest, sizeof(layer->digest));
	layer->size = d.size;
	layer->path = blob_path(&d);
	image->n_layers++;
	return 0;
}

/* The manifest: what it names as configuration and layers. */
static int read_manifest(int folder_fd, const struct json *manifest, struct oci_image *image, struct err *err)
{
	static const char *const known[] = {
		"application/vnd.oci.image.config.v1+json",
		"application/vnd.docker.container.image.v1+json",
		NULL,
	};
	const struct json *layers = json_get(manifest, "layers");
	AUTO(json_free) struct json *config = NULL;
	struct descriptor d;
	int r;

	if (json_get_int(manifest, "schemaVersion", 0) != 2)
		return err_set(err, -EINVAL, "its manifest is not of schema version 2");
	r = parse_descriptor(json_get(manifest, "config"), "the configuration", &d, err);
	if (r == 0)
		r = check_media_type(d.media_type, known, "a configuration", err);
	if (r == 0)
		r = read_blob(folder_fd, &d, &image->config, &config, err);
	if (r < 0)
		return r;
	if (json_len(layers) > OCI_MAX_LAYERS)
		return err_set(err, -E2BIG, "it has %zu layers, more than %d", json_len(layers), OCI_MAX_LAYERS);
	image->layers = xcalloc(json_len(layers), sizeof(*image->layers));
	for (size_t i = 0; r == 0 && i < json_len(layers); i++)
		r = add_layer(image, json_item(layers, i), err);
	return r;
}

static int read_index(int folder_fd, struct json **ret, struct err *err)
{
	AUTO(json_free) struct json *layout = NULL;
	autofree char *text = NULL, *index = NULL;
	const char *version;
	int r;

	r = oci_read_text(folder_fd, "oci-layout", NULL, UINT64_MAX, &text, err);
	if (r == 0)
		r = json_parse(text, strlen(text), &layout, err);
	if (r < 0 && r != -ENOENT) /* some writers forget it */
		return err_wrap(err, r, "oci-layout");
	version = json_get_str(layout, "imageLayoutVersion");
	if (version && !str_after(version, "1."))
		return err_set(err, -EINVAL, "its layout is of version %.40s, not 1", version);
	r = oci_read_text(folder_fd, "index.json", NULL, UINT64_MAX, &index, err);
	if (r < 0)
		return r;
	r = json_parse(index, strlen(index), ret, err);
	return r < 0 ? err_wrap(err, r, "index.json") : 0;
}

int oci_layout_open(int folder_fd, struct oci_image *image, struct err *err)
{
	AUTO(json_free) struct json *j = NULL;
	int r;

	r = read_index(folder_fd, &j, err);
	for (int i = 0; r == 0 && (i == 0 || json_get(j, "manifests")); i++) {
		const struct json *chosen = NULL;
		struct json *next = NULL;
		autofree char *text = NULL;
		struct descriptor d;

		if (i == MAX_INDEXES)
			return err_set(err, -EINVAL, "more than %d indexes, one inside the other", MAX_INDEXES);
		r = choose(j, &chosen, err);
		if (r == 0)
			r = parse_descriptor(chosen, "a manifest", &d, err);
		if (r == 0)
			r = read_blob(folder_fd, &d, &text, &next, err);
		if (r < 0)
			return r;
		if (!image->name)
			image->name = xstrdup_null(name_of(chosen));
		memcpy(image->fingerprint, d.digest, sizeof(image->fingerprint));
		free(image->manifest);
		image->manifest = TAKE_PTR(text);
		json_free(j);
		j = next;
	}
	return r < 0 ? r : read_manifest(folder_fd, j, image, err);
}
