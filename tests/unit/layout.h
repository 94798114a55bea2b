/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* layout.h - OCI layouts and docker archives for tests, whole or with one thing wrong */
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "image/oci.h"
#include "tarball.h"

#define LAYOUT_MAX_LAYERS 4

struct layout {
	char *folder;
	/* What may be wrong; NULL or 0: right. */
	const char *architecture, *os, *layer_type, *config_type, *created;
	const char *process;  /* the configuration's "config", JSON */
	const char *ref_name; /* annotation */
	bool is_nested;	      /* an index of platforms below the first one */
	/* Layers: plain tars. */
	struct strbuf layers[LAYOUT_MAX_LAYERS];
	size_t n_layers;
	char *manifest; /* its text, when written */
};

static inline void layout_init(struct layout *l, const char *name)
{
	*l = (struct layout){ .folder = path_join(test_dir(), name) };
	for (size_t i = 0; i < LAYOUT_MAX_LAYERS; i++)
		strbuf_init(&l->layers[i]);
	CHECK_INT(path_mkdirs(l->folder, 0755, NULL), 0);
}

static inline void layout_done(struct layout *l)
{
	for (size_t i = 0; i < LAYOUT_MAX_LAYERS; i++)
		strbuf_done(&l->layers[i]);
	if (l->folder)
		CHECK_INT(path_remove_all(l->folder, NULL), 0);
	free(l->folder);
	free(l->manifest);
}
AUTO_DEFINE_IN(struct layout, layout_done)

/* A layer with one file. */
static inline void layout_add(struct layout *l, const char *name, const char *data)
{
	tarball_add(&l->layers[l->n_layers], (struct tarball_member){ .name = name, .data = data });
	tarball_end(&l->layers[l->n_layers++]);
}

static inline void layout_put(const struct layout *l, const char *name, const void *data, size_t len)
{
	autofree char *path = path_join(l->folder, name), *folder = xstrdup(path);

	*(char *)path_base(folder) = '\0';
	CHECK_INT(path_mkdirs(folder, 0755, NULL), 0);
	CHECK_INT(file_write_whole(path, data, len, 0644, NULL), 0);
}

static inline struct json *layout_blob(const struct layout *l, const char *type, const void *data, size_t len)
{
	struct json *d = json_new_object();
	autofree char *path = NULL;
	char digest[DIGEST_HEX_SIZE];

	digest_of(data, len, digest);
	path = xasprintf("blobs/sha256/%s", digest);
	layout_put(l, path, data, len);
	json_set_str(d, "mediaType", type);
	json_set_strf(d, "digest", "sha256:%s", digest);
	json_set_int(d, "size", (int64_t)len);
	return d;
}

static inline char *layout_config(const struct layout *l)
{
	AUTO(json_free) struct json *config = json_new_object();
	struct json *rootfs = json_new_object(), *ids = json_new_array(), *process = NULL;

	for (size_t i = 0; i < l->n_layers; i++) {
		char digest[DIGEST_HEX_SIZE];
		autofree char *id = NULL;

		digest_of(l->layers[i].s, l->layers[i].len, digest);
		id = xasprintf("sha256:%s", digest);
		json_add_str(ids, id);
	}
	json_set(rootfs, "diff_ids", ids);
	json_set_str(config, "architecture", l->architecture ? l->architecture : oci_architecture());
	json_set_str(config, "os", l->os ? l->os : "linux");
	if (l->created)
		json_set_str(config, "created", l->created);
	if (l->process && json_parse(l->process, strlen(l->process), &process, NULL) == 0)
		json_set(config, "config", process);
	json_set(config, "rootfs", rootfs);
	return json_print(config, JSON_COMPACT);
}

static inline struct json *layout_manifest(struct layout *l)
{
	const char *type = l->layer_type ? l->layer_type : "application/vnd.oci.image.layer.v1.tar";
	const char *config_type = l->config_type ? l->config_type : "application/vnd.oci.image.config.v1+json";
	AUTO(json_free) struct json *manifest = json_new_object();
	autofree char *config = layout_config(l);
	struct json *layers = json_new_array();

	for (size_t i = 0; i < l->n_layers; i++)
		json_add(layers, layout_blob(l, type, l->layers[i].s, l->layers[i].len));
	json_set_int(manifest, "schemaVersion", 2);
	json_set(manifest, "config", layout_blob(l, config_type, config, strlen(config)));
	json_set(manifest, "layers", layers);
	free(l->manifest);
	l->manifest = json_print(manifest, JSON_COMPACT);
	return layout_blob(l, "application/vnd.oci.image.manifest.v1+json", l->manifest, strlen(l->manifest));
}

static inline struct json *layout_platform(struct json *descriptor, const char *os, const char *architecture,
					   const char *variant)
{
	struct json *platform = json_new_object();

	json_set_str(platform, "os", os);
	json_set_str(platform, "architecture", architecture);
	if (variant)
		json_set_str(platform, "variant", variant);
	json_set(descriptor, "platform", platform);
	return descriptor;
}

/* An index over these descriptors, which it takes over; as text. */
static inline char *layout_index(struct json **descriptors, size_t n)
{
	AUTO(json_free) struct json *index = json_new_object();
	struct json *manifests = json_new_array();

	for (size_t i = 0; i < n; i++)
		json_add(manifests, descriptors[i]);
	json_set_int(index, "schemaVersion", 2);
	json_set(index, "manifests", manifests);
	return json_print(index, JSON_COMPACT);
}

static inline void layout_put_index(const struct layout *l, struct json **descriptors, size_t n)
{
	static const char version[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	autofree char *index = layout_index(descriptors, n);

	layout_put(l, "oci-layout", version, strlen(version));
	layout_put(l, "index.json", index, strlen(index));
}

static inline struct json *layout_named(struct json *descriptor, const char *name)
{
	struct json *annotations = json_new_object();

	json_set_str(annotations, "org.opencontainers.image.ref.name", name);
	json_set(descriptor, "annotations", annotations);
	return descriptor;
}

static inline void layout_write(struct layout *l)
{
	struct json *d = layout_manifest(l);

	if (l->is_nested) {
		struct json *inner[] = { layout_platform(layout_blob(l, "application/x", "{}", 2), "linux", "sparc",
							 NULL),
					 layout_platform(d, "linux", oci_architecture(), NULL) };
		autofree char *text = layout_index(inner, ARRAY_SIZE(inner));

		d = layout_blob(l, "application/vnd.oci.image.index.v1+json", text, strlen(text));
	}
	if (l->ref_name)
		d = layout_named(d, l->ref_name);
	layout_put_index(l, &d, 1);
}

/* The same as `docker save` writes it; layers under docker's older names. */
static inline void layout_write_docker(struct layout *l, const char *tag)
{
	autofree char *config = layout_config(l), *name = NULL;
	AUTO(json_free) struct json *manifest = json_new_array();
	struct json *image = json_new_object(), *layers = json_new_array(), *tags = json_new_array();
	char digest[DIGEST_HEX_SIZE];

	digest_of(config, strlen(config), digest);
	name = xasprintf("%s.json", digest);
	layout_put(l, name, config, strlen(config));
	json_set_str(image, "Config", name);
	for (size_t i = 0; i < l->n_layers; i++) {
		autofree char *layer = xasprintf("layer-%zu/layer.tar", i);

		layout_put(l, layer, l->layers[i].s, l->layers[i].len);
		json_add_str(layers, layer);
	}
	if (tag)
		json_add_str(tags, tag);
	json_set(image, "RepoTags", tags);
	json_set(image, "Layers", layers);
	json_add(manifest, image);
	{
		autofree char *text = json_print(manifest, JSON_PRETTY);

		layout_put(l, "manifest.json", text, strlen(text));
	}
}

/* The folder as a tar in memory, as `tar -c .` writes it. */
static inline int layout_tar(const struct layout *l)
{
	autofree char *tar = path_joinf(test_dir(), "%s.tar", path_base(l->folder));
	struct proc_spec spec = { .argv = PROC_ARGV("tar", "-C", l->folder, "-cf", tar, ".") };

	if (proc_run(&spec, 60 * US_PER_S, NULL, 0, NULL, NULL) < 0)
		return -1;
	return open(tar, O_RDONLY | O_CLOEXEC);
}
