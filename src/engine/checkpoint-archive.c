/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint-archive.c - a checkpoint leaves as an archive that Podman reads, too
 *
 * Beside what the checkpoint's folder holds, Podman's importer wants two documents: config.dump (its own description of
 * the container, of which few members count) and spec.dump (the OCI spec), in which our volumes' folders are paths of
 * this host: there they become Podman's, and are named in config.dump.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/checkpoint-folder.h"
#include "engine/checkpoint.h"
#include "engine/image.h"
#include "engine/manifest.h"
#include "engine/operation.h"
#include "image/bundle.h"
#include "image/scratch.h"

#define SPEC_MAX       (16 << 20)
#define PODMAN_VOLUMES "/var/lib/containers/storage/volumes"

struct exporting {
	struct engine *e;
	const struct export_options *o;
	struct operation *op;
	struct checkpoint_info *c;
	struct image_info *image;
	struct scratch scratch; /* where the edited spec is */
	struct json *spec, *config;
	char *folder, *spec_path;
	char **volumes; /* "NAME=FOLDER" */
};

static void exporting_done(struct exporting *x)
{
	checkpoint_info_free(x->c);
	image_info_free(x->image);
	scratch_done(&x->scratch);
	json_free(x->spec);
	json_free(x->config);
	free(x->folder);
	free(x->spec_path);
	strv_free(x->volumes);
}
AUTO_DEFINE_IN(struct exporting, exporting_done)

/* ---- spec.dump --------------------------------------------------------------------------------------------------- */

/* The volume that is mounted, or NULL: the spec is our own, and names the folder where we have it. */
static const char *volume_of(const struct exporting *x, const struct json *mount)
{
	autofree char *prefix = path_join(engine_settings(x->e)->state_dir, "volumes/");
	const char *source = json_get_str(mount, "source");
	const char *name = source ? str_after(source, prefix) : NULL;

	return name && path_is_name(name) ? name : NULL;
}

static bool has_option(const struct json *options, const char *name)
{
	for (size_t i = 0; i < json_len(options); i++)
		if (str_eq(json_str(json_item(options, i)), name))
			return true;
	return false;
}

static struct json *named_volume(const char *name, const struct json *mount)
{
	struct json *o = json_new_object(), *options = json_new_array();

	json_add_str(options, has_option(json_get(mount, "options"), "ro") ? "ro" : "rw");
	json_add_str(options, "rprivate");
	json_set_str(o, "volumeName", name);
	json_set_str(o, "dest", json_get_str(mount, "destination"));
	json_set(o, "options", options);
	return o;
}

/* Podman takes the spec's mounts as they are, so a volume is where Podman will have put it. */
static struct json *volume_mount_for_podman(const char *name, const struct json *mount)
{
	struct json *o = json_copy(mount);

	json_set_strf(o, "source", PODMAN_VOLUMES "/%s/_data", name);
	return o;
}

/* The mounts, and among them the volumes, which are told to @named too. */
static struct json *edit_mounts(const struct exporting *x, const struct json *mounts, struct json *named)
{
	struct json *edited = json_new_array();

	for (size_t i = 0; i < json_len(mounts); i++) {
		const struct json *m = json_item(mounts, i);
		const char *volume = volume_of(x, m);

		json_add(edited, volume ? volume_mount_for_podman(volume, m) : json_copy(m));
		if (volume)
			json_add(named, named_volume(volume, m));
	}
	return edited;
}

static struct json *annotations(const struct exporting *x)
{
	struct json *o = json_new_object();

	json_set_str(o, "io.container.manager", "libpod"); /* tools know whose layout this is by it */
	json_set_str(o, "io.stasis.version", STASIS_VERSION);
	json_set_str(o, "io.stasis.checkpoint", x->c->uuid);
	return o;
}

static int edit_spec(struct exporting *x, struct json *named, struct err *err)
{
	autofree char *from = path_join(x->folder, "spec.dump"), *text = NULL;
	int r;

	if (!path_exists(from))
		return 0; /* files alone */
	r = json_parse_file(from, SPEC_MAX, &x->spec, err);
	if (r < 0)
		return r;
	json_set(x->spec, "mounts", edit_mounts(x, json_get(x->spec, "mounts"), named));
	json_set(x->spec, "annotations", annotations(x));
	x->spec_path = path_join(x->scratch.path, "spec.dump");
	text = json_print(x->spec, JSON_PRETTY);
	return file_write_whole(x->spec_path, text, strlen(text), 0600, err);
}

/* ---- config.dump ------------------------------------------------------------------------------------------------- */

/* "docker.io/library/x:1": the part before the first slash names a registry. */
static bool has_registry(const char *reference)
{
	size_t n = strcspn(reference, "/");
	autofree char *first = xstrndup(reference, n);

	return reference[n] && (strpbrk(first, ".:") || str_eq(first, "localhost"));
}

char *checkpoint_image_reference(const struct image_info *image)
{
	const char *alias = image->aliases ? image->aliases[0] : NULL;
	autofree char *made_up = xasprintf("stasis-%.12s", image->fingerprint);
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;

	for (size_t i = 0; image->aliases && image->aliases[i]; i++)
		if (has_registry(image->aliases[i])) {
			alias = image->aliases[i];
			break;
		}
	if (!alias || strchr(alias, '@'))
		alias = made_up;
	strbuf_addf(&sb, "%s%s", has_registry(alias) ? "" : "localhost/", alias);
	if (!strchr(path_base(sb.s), ':'))
		strbuf_adds(&sb, ":latest");
	for (size_t i = 0; i < sb.len; i++)
		sb.s[i] = (char)(sb.s[i] == '+' ? '-' : tolower((unsigned char)sb.s[i]));
	return strbuf_take(&sb);
}

/* When the instance was made; it may be gone or busy, then the checkpoint's own time has to do. */
static void set_times(const struct exporting *x, struct json *o)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;
	char created[CLOCK_RFC3339_SIZE], taken[CLOCK_RFC3339_SIZE];
	bool is_known = instance_info(x->e, x->c->instance, /* live= */ false, &info, NULL) == 0;

	json_set_str(o, "createdTime", clock_rfc3339(is_known ? info->created_us : x->c->created_us, created));
	json_set_str(o, "checkpointedTime", clock_rfc3339(x->c->created_us, taken));
}

static void make_config(struct exporting *x, struct json *named)
{
	struct json *o = json_new_object();
	autofree char *reference = checkpoint_image_reference(x->image);
	char id[DIGEST_HEX_SIZE];

	digest_of(x->c->instance_uuid, strlen(x->c->instance_uuid), id);
	json_set_str(o, "id", id);
	json_set_str(o, "name", x->c->instance);
	json_set_str(o, "rootfsImageID", x->image->config_digest);
	json_set_str(o, "rootfsImageName", reference);
	json_set_str(o, "runtime", "crun");
	set_times(x, o);
	json_set_bool(o, "createNetNS", true); /* an empty one of its own, by its path */
	json_set_str(o, "networkMode", "none");
	json_set_str(o, "logDriver", "k8s-file");
	json_set(o, "namedVolumes", named);
	x->config = o;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static bool tell(uint64_t done, uint64_t total, void *ctx)
{
	struct operation *op = ctx;

	operation_progress(op, "export_progress", "Writing archive: %llu%%",
			   (unsigned long long)(total ? done * 100 / total : 0));
	return !operation_is_cancelled(op);
}

static int prepare(struct exporting *x, const char *instance, const char *which, struct err *err)
{
	AUTO(json_free) struct json *named = json_new_array();
	int r = checkpoint_find(x->e, instance, which, &x->c, err);

	if (r < 0)
		return r;
	x->folder = checkpoint_path(x->e, x->c->uuid, "");
	r = image_find(x->e, x->c->image, &x->image, err);
	if (r == 0)
		r = scratch_make(&x->scratch, engine_settings(x->e)->state_dir, err);
	if (r == 0)
		r = edit_spec(x, named, err);
	if (r < 0)
		return r;
	make_config(x, TAKE_PTR(named));
	for (size_t i = 0; !x->o->ignore_volumes && x->c->volumes && x->c->volumes[i]; i++)
		strv_addf(&x->volumes, "%s=%s/volumes/%s", x->c->volumes[i], x->folder, x->c->volumes[i]);
	return 0;
}

/* What is damaged here would be damaged there: better known now than then. */
static int verify(const struct exporting *x, struct err *err)
{
	int r;

	operation_progress(x->op, "export_progress", "Verifying");
	r = manifest_verify(x->folder, x->c->manifest, MANIFEST_ALL_BUT_PAGES, err);
	if (r == 0)
		r = manifest_verify(x->folder, x->c->manifest, MANIFEST_PAGES, err);
	return r < 0 ? err_wrap(err, r, "the checkpoint is damaged") : 0;
}

static int write_archive(const struct exporting *x, int fd, struct err *err)
{
	autofree char *images = path_join(x->folder, "checkpoint"), *upper = path_join(x->folder, "upper");
	autofree char *stats = path_join(x->folder, "stats-dump");
	const struct bundle_source src = {
		.images = x->c->has_memory ? images : NULL,
		.upper = x->o->ignore_rootfs || !path_exists(upper) ? NULL : upper,
		.lower = x->image->layers,
		.volumes = x->volumes,
		.config = x->config,
		.manifest = x->c->manifest,
		.spec = x->spec_path,
		.stats = path_exists(stats) ? stats : NULL,
		.compression = (enum bundle_compression)x->o->compression,
	};
	uint64_t bytes = 0;
	int r = bundle_write(fd, &src, tell, x->op, &bytes, err);

	if (r == 0)
		operation_set(x->op, "bytes", json_new_int((int64_t)bytes));
	return r;
}

int checkpoint_export(struct engine *e, const char *instance, const char *which, const struct export_options *o, int fd,
		      struct operation *op, struct err *err)
{
	AUTO(exporting_done) struct exporting x = { .e = e, .o = o, .op = op };
	int r = prepare(&x, instance, which, err);

	if (r == 0)
		r = verify(&x, err);
	if (r == 0)
		r = write_archive(&x, fd, err);
	return r < 0 ? err_wrap(err, r, "cannot export checkpoint '%.80s' of '%.80s'", which, instance) : 0;
}
