/* SPDX-License-Identifier: Apache-2.0 */
/* oci.c - images as they come: what layouts and docker archives have in common */
#include "image/oci.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "image/infile.h"
#include "image/oci-private.h"

#define DIGEST_PREFIX "sha256:"

const char *oci_architecture(void)
{
	/* The kernel's word and OCI's (Go's). */
	static const char *const names[][2] = {
		{ "aarch64", "arm64" },	  { "armv6l", "arm" },	    { "armv7l", "arm" },
		{ "i386", "386" },	  { "i686", "386" },	    { "loongarch64", "loong64" },
		{ "ppc64le", "ppc64le" }, { "riscv64", "riscv64" }, { "s390x", "s390x" },
		{ "x86_64", "amd64" },
	};
	struct utsname u;

	if (uname(&u) == 0)
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			if (strcmp(u.machine, names[i][0]) == 0)
				return names[i][1];
	return "unknown";
}

int oci_parse_digest(const char *s, char out[DIGEST_HEX_SIZE], const char *what, struct err *err)
{
	const char *hex = s ? str_after(s, DIGEST_PREFIX) : NULL;

	if (!s)
		return err_set(err, -EINVAL, "%s has no digest", what);
	if (!hex || !digest_is_hex(hex))
		return err_set(err, -EINVAL,
			       "%s has the digest '%.100s', which is not " DIGEST_PREFIX "<64 hex digits>", what, s);
	memcpy(out, hex, DIGEST_HEX_SIZE);
	return 0;
}

static int check_text(const char *text, size_t len, const char *digest, uint64_t size, struct err *err)
{
	char is[DIGEST_HEX_SIZE];

	if (size != UINT64_MAX && size != len)
		return err_set(err, -EINVAL, "damaged: it has %zu bytes, its descriptor says %llu", len,
			       (unsigned long long)size);
	digest_of(text, len, is);
	if (digest && strcmp(is, digest) != 0)
		return err_set(err, -EINVAL, "damaged: its SHA-256 is %s", is);
	if (memchr(text, '\0', len))
		return err_set(err, -EINVAL, "not a text");
	return 0;
}

int oci_read_text(int folder_fd, const char *path, const char *digest, uint64_t size, char **ret, struct err *err)
{
	autofree char *text = NULL;
	size_t len;
	int r;

	r = infile_read(folder_fd, path, OCI_MAX_JSON, &text, &len, err);
	if (r < 0)
		return r;
	r = check_text(text, len, digest, size, err);
	if (r < 0)
		return err_wrap(err, r, "%.200s", path);
	*ret = TAKE_PTR(text);
	return 0;
}

static struct json *descriptor(const char *type, const char *digest, uint64_t size)
{
	struct json *d = json_new_object();

	json_set_str(d, "mediaType", type);
	json_set_strf(d, "digest", DIGEST_PREFIX "%s", digest);
	json_set_int(d, "size", (int64_t)size);
	return d;
}

char *oci_manifest_text(const struct oci_image *image)
{
	AUTO(json_free) struct json *manifest = json_new_object();
	struct json *layers = json_new_array();
	char digest[DIGEST_HEX_SIZE];

	digest_of(image->config, strlen(image->config), digest);
	for (size_t i = 0; i < image->n_layers; i++)
		json_add(layers, descriptor("application/vnd.oci.image.layer.v1.tar", image->layers[i].digest,
					    image->layers[i].size));
	json_set_int(manifest, "schemaVersion", 2);
	json_set_str(manifest, "mediaType", "application/vnd.oci.image.manifest.v1+json");
	json_set(manifest, "config",
		 descriptor("application/vnd.oci.image.config.v1+json", digest, strlen(image->config)));
	json_set(manifest, "layers", layers);
	return json_print(manifest, JSON_COMPACT);
}

void oci_image_free(struct oci_image *image)
{
	if (!image)
		return;
	for (size_t i = 0; i < image->n_layers; i++)
		free(image->layers[i].path);
	free(image->layers);
	oci_config_free(image->parsed);
	free(image->manifest);
	free(image->config);
	free(image->name);
	free(image);
}

/* What the configuration says must fit the host and the manifest. */
static int settle(struct oci_image *image, struct err *err)
{
	const struct oci_config *c;
	int r;

	r = oci_config_parse(image->config, &image->parsed, err);
	if (r < 0)
		return err_wrap(err, r, "the image's configuration");
	c = image->parsed;
	if (c->os && !str_eq(c->os, "linux"))
		return err_set(err, -EINVAL, "it is an image for %.40s, not for linux", c->os);
	if (c->architecture && !str_eq(c->architecture, oci_architecture()))
		return err_set(err, -EINVAL, "it is an image for %.40s, this host is %s", c->architecture,
			       oci_architecture());
	if (image->n_layers == 0)
		return err_set(err, -EINVAL, "it has no layers");
	if (strv_len(c->diff_ids) != image->n_layers)
		return err_set(err, -EINVAL, "it has %zu layers, its configuration names %zu", image->n_layers,
			       strv_len(c->diff_ids));
	for (size_t i = 0; i < image->n_layers; i++)
		memcpy(image->layers[i].diff_id, c->diff_ids[i], DIGEST_HEX_SIZE);
	return 0;
}

static bool has_file(int folder_fd, const char *name)
{
	struct stat st;

	return fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int oci_open(int folder_fd, struct oci_image **ret, struct err *err)
{
	AUTO(oci_image_free) struct oci_image *image = xcalloc(1, sizeof(*image));
	int r;

	/* `docker save` of today writes both: the layout has the descriptors. */
	if (has_file(folder_fd, "index.json"))
		r = oci_layout_open(folder_fd, image, err);
	else if (has_file(folder_fd, "manifest.json"))
		r = oci_docker_open(folder_fd, image, err);
	else
		r = err_set(err, -ENOENT, "neither an OCI layout (index.json) nor a docker archive (manifest.json)");
	if (r == 0)
		r = settle(image, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(image);
	return 0;
}
