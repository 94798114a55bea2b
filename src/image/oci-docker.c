/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci-docker.c - what `docker save` writes: manifest.json, a configuration and a tar for each layer
 *
 * There are no descriptors. The configuration's name is its digest, layers are held against its diff ids, and the
 * manifest is written by us, so that the image has a fingerprint.
 */
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "image/infile.h"
#include "image/oci-private.h"

/* "blobs/sha256/<hex>" and "<hex>.json" promise what the file's digest is; other names promise nothing. */
static bool promised_digest(const char *path, char out[DIGEST_HEX_SIZE])
{
	const char *base = path_base(path);
	size_t n = strspn(base, "0123456789abcdef");

	if (n != DIGEST_HEX_SIZE - 1 || !(str_eq(base + n, ".json") || (!base[n] && str_after(path, "blobs/sha256/"))))
		return false;
	memcpy(out, base, n);
	out[n] = '\0';
	return true;
}

static int add_layer(int folder_fd, const char *path, struct oci_image *image, struct err *err)
{
	struct oci_layer *layer = &image->layers[image->n_layers];
	autoclose int fd = infile_open(folder_fd, path, err);
	char promised[DIGEST_HEX_SIZE];
	int r;

	if (fd < 0)
		return fd;
	r = digest_of_fd(fd, layer->digest, &layer->size, err);
	if (r < 0)
		return err_wrap(err, r, "%.200s", path);
	if (promised_digest(path, promised) && !str_eq(promised, layer->digest))
		return err_set(err, -EINVAL, "damaged: the SHA-256 of %.100s is %s", path, layer->digest);
	layer->path = xstrdup(path);
	image->n_layers++;
	return 0;
}

static int read_manifest(int folder_fd, struct json **ret, struct err *err)
{
	autofree char *text = NULL;
	AUTO(json_free) struct json *j = NULL;
	int r;

	r = oci_read_text(folder_fd, "manifest.json", NULL, UINT64_MAX, &text, err);
	if (r < 0)
		return r;
	r = json_parse(text, strlen(text), &j, err);
	if (r < 0)
		return err_wrap(err, r, "manifest.json");
	if (json_type(j) != JSON_ARRAY || json_len(j) == 0)
		return err_set(err, -EINVAL, "manifest.json names no image");
	if (json_len(j) > 1)
		return err_set(err, -EINVAL,
			       "it holds more than one image (%.100s, %.100s …); pull one of them as "
			       "docker-archive:FILE:NAME",
			       json_str(json_at(j, "/0/RepoTags/0")) ? json_str(json_at(j, "/0/RepoTags/0")) : "?",
			       json_str(json_at(j, "/1/RepoTags/0")) ? json_str(json_at(j, "/1/RepoTags/0")) : "?");
	*ret = TAKE_PTR(j);
	return 0;
}

int oci_docker_open(int folder_fd, struct oci_image *image, struct err *err)
{
	AUTO(json_free) struct json *manifest = NULL;
	AUTO(strv_free) char **layers = NULL;
	char promised[DIGEST_HEX_SIZE];
	const char *config;
	int r;

	r = read_manifest(folder_fd, &manifest, err);
	if (r < 0)
		return r;
	config = json_str(json_at(manifest, "/0/Config"));
	if (!config)
		return err_set(err, -EINVAL, "manifest.json names no configuration");
	r = oci_read_text(folder_fd, config, promised_digest(config, promised) ? promised : NULL, UINT64_MAX,
			  &image->config, err);
	if (r == 0)
		r = oci_strings(json_at(manifest, "/0/Layers"), "Layers", &layers, err);
	if (r < 0)
		return r;
	if (strv_len(layers) > OCI_MAX_LAYERS)
		return err_set(err, -E2BIG, "it has %zu layers, more than %d", strv_len(layers), OCI_MAX_LAYERS);
	image->layers = xcalloc(strv_len(layers), sizeof(*image->layers));
	for (size_t i = 0; r == 0 && layers && layers[i]; i++)
		r = add_layer(folder_fd, layers[i], image, err);
	if (r < 0)
		return r;
	image->name = xstrdup_null(json_str(json_at(manifest, "/0/RepoTags/0")));
	image->manifest = oci_manifest_text(image);
	digest_of(image->manifest, strlen(image->manifest), image->fingerprint);
	return 0;
}
