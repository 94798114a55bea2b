/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint-import.c - an archive becomes an instance
 *
 *   unpack into a folder of our own → judge: seal, digests, spec, image, volumes, names → files → row → volumes → the
 *   saved state, with a spec of our own → continue
 *
 * The archive is a stranger's, also where it looks like ours: a seal proves that nothing was damaged, not who wrote it.
 * Until everything has been judged, nothing exists but the folder; whatever fails later is undone (import.h).
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/checkpoint-folder.h"
#include "engine/checkpoint.h"
#include "engine/config.h"
#include "engine/create.h"
#include "engine/extras.h"
#include "engine/host.h"
#include "engine/import.h"
#include "engine/lifecycle.h"
#include "engine/manifest.h"
#include "engine/operation.h"
#include "engine/origin.h"
#include "engine/saved.h"
#include "engine/state.h"
#include "engine/volume.h"
#include "image/bundle.h"
#include "image/scratch.h"
#include "runtime/spec-policy.h"
#include "runtime/spec.h"
#include "store/volumes.h"

#define MAX_ENTRIES	2000000
#define DESCRIPTORS_MAX 65536

struct importing {
	struct engine *e;
	const struct import_options *o;
	struct operation *op;
	struct scratch scratch;
	struct bundle b;
	struct spec_taken spec;
	struct origin_volumes volumes;
	struct image_info *image;
	struct instance_row row;
	struct json *state; /* what the saved state's manifest is made from */
	char **made;	    /* volumes that this import is to make */
	bool with_memory;
};

static void importing_done(struct importing *im)
{
	scratch_done(&im->scratch);
	bundle_done(&im->b);
	spec_taken_done(&im->spec);
	origin_volumes_done(&im->volumes);
	image_info_free(im->image);
	instance_row_done(&im->row);
	json_free(im->state);
	strv_free(im->made);
}
AUTO_DEFINE_IN(struct importing, importing_done)

/* ---- unpacking --------------------------------------------------------------------------------------------------- */

static bool tell(uint64_t done, uint64_t total, void *ctx)
{
	struct operation *op = ctx;

	operation_progress(op, "import_progress", "Unpacking: %llu%%",
			   (unsigned long long)(total ? done * 100 / total : 0));
	return !operation_is_cancelled(op);
}

static int unpack(struct importing *im, int fd, struct err *err)
{
	const char *state_dir = im->e->settings.state_dir;
	struct bundle_limits limits = { .entries = MAX_ENTRIES };
	struct statvfs fs;
	int r;

	if (statvfs(state_dir, &fs) < 0)
		return err_sys(err, "'%s'", state_dir);
	limits.bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (lseek(fd, 0, SEEK_SET) < 0 && errno != ESPIPE)
		return err_sys(err, "the archive");
	r = scratch_make(&im->scratch, state_dir, err);
	return r < 0 ? r : bundle_read(fd, im->scratch.path, &limits, tell, im->op, &im->b, err);
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

/* What our manifest says of the images; its other files stay at home. */
static struct json *image_entries(const struct json *manifest)
{
	const struct json *files = json_get(manifest, "files");
	struct json *kept = json_new_array();

	for (size_t i = 0; i < json_len(files); i++)
		if (str_after(json_get_str(json_item(files, i), "name"), "checkpoint/"))
			json_add(kept, json_copy(json_item(files, i)));
	return kept;
}

/* Read back as a file, so that there is one judge of manifests. */
static int judge_manifest(struct importing *im, struct err *err)
{
	autofree char *path = path_join(im->scratch.path, MANIFEST_NAME), *text = NULL;
	AUTO(json_free) struct json *m = NULL, *images = json_new_object();
	int r;

	if (!im->b.manifest)
		return 0;
	text = json_print(im->b.manifest, JSON_PRETTY);
	r = file_write_whole(path, text, strlen(text), 0600, err);
	if (r == 0)
		r = manifest_read(im->scratch.path, &m, err);
	if (r < 0)
		return r;
	if (!str_eq(json_get_str(m, "kind"), "checkpoint") || !json_get_str(m, "uuid"))
		return err_set(err, -EINVAL, "its " MANIFEST_NAME " is no checkpoint's");
	if (json_get_bool(m, "has_memory", false) && !im->b.has_images)
		return err_set(err, -EUCLEAN, "it is damaged: the memory is missing");
	if (!im->with_memory)
		return 0;
	operation_progress(im->op, "import_progress", "Verifying");
	json_set(images, "files", image_entries(m));
	r = manifest_verify(im->scratch.path, images, MANIFEST_ALL_BUT_PAGES, err);
	if (r == 0)
		r = manifest_verify(im->scratch.path, images, MANIFEST_PAGES, err);
	return r < 0 ? err_wrap(err, r, "it is damaged") : 0;
}

static int judge_spec(struct importing *im, struct err *err)
{
	if (!im->b.spec && im->with_memory)
		return err_set(err, -EINVAL, "it has no spec.dump or config.json");
	return im->b.spec ? spec_policy_take(im->b.spec, im->volumes.paths, &im->spec, err) : 0;
}

/* The volumes that are to be made must not be there; those that are left out of the archive may be. */
static int judge_volumes(struct importing *im, struct err *err)
{
	int r = origin_volumes(&im->b, &im->volumes, err);

	for (size_t i = 0; r == 0 && i < im->volumes.n; i++) {
		const struct origin_volume *v = &im->volumes.v[i];
		AUTO(volume_info_free) struct volume_info *there = NULL;
		bool exists = volume_find(im->e, v->name, /* live= */ false, &there, NULL) == 0;

		if (exists && !im->o->ignore_volumes)
			return err_set(
				err, -EEXIST,
				"it holds a volume '%s', and there is one of that name already: rename or delete "
				"that, or leave it out of the import (--ignore-volumes uses the one that is there)",
				v->name);
		if (!v->has_content && !im->o->ignore_volumes)
			return err_set(
				err, -EINVAL,
				"it does not hold its volume '%s': --ignore-volumes uses one of that name that is "
				"here, or an empty one",
				v->name);
		if (!exists)
			strv_add(&im->made, v->name);
	}
	return r;
}

static int choose_name(struct importing *im, struct err *err)
{
	autofree char *own = origin_name(&im->b);
	bool is_asked = im->o->name && *im->o->name;
	int r = create_choose_name(im->e, is_asked ? im->o->name : own, &im->row.name, err);

	return r == -EEXIST && !is_asked ? err_wrap(err, r, "give the new instance another name") : r;
}

static int judge(struct importing *im, struct err *err)
{
	int r;

	im->with_memory = im->b.has_images && !im->o->is_stateless;
	r = judge_manifest(im, err);
	if (r == 0)
		r = judge_volumes(im, err);
	if (r == 0)
		r = judge_spec(im, err);
	if (r == 0)
		r = origin_find_image(im->e, &im->b, im->o->image, &im->image, err);
	if (r == 0)
		r = choose_name(im, err);
	if (r == 0)
		r = origin_config(&im->b, im->b.spec ? &im->spec : NULL, &im->row.config, err);
	if (r == 0 && im->with_memory && !im->o->is_stopped)
		r = host_can_checkpoint(im->e, err);
	return r;
}

/* ---- the instance's files ---------------------------------------------------------------------------------------- */

static int make_upper(const struct importing *im, const struct instance *in, struct err *err)
{
	autofree char *tar = path_join(im->scratch.path, "rootfs-diff.tar"), *upper = instance_path(in, "upper");
	bool has_diff = im->b.has_rootfs || im->b.deleted;

	if (!has_diff || im->o->ignore_rootfs)
		return 0;
	operation_progress(im->op, "import_progress", "Unpacking files");
	return bundle_make_upper(im->b.has_rootfs ? tar : NULL, im->b.deleted, im->image->layers, upper, err);
}

/* Beside the volumes' own folders, where start-up removes it if we die. */
static char *unpacked_volume(const struct importing *im, const struct origin_volume *v)
{
	return path_joinf(im->e->settings.state_dir, "volumes/.import-%s-%s", path_base(im->scratch.path), v->name);
}

static int unpack_volumes(const struct importing *im, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && !im->o->ignore_volumes && i < im->volumes.n; i++) {
		const struct origin_volume *v = &im->volumes.v[i];
		autofree char *member = path_joinf(im->scratch.path, "volumes/%s.tar", v->member);
		autofree char *folder = unpacked_volume(im, v);

		operation_progress(im->op, "import_progress", "Unpacking volume %s", v->name);
		r = bundle_make_volume(member, folder, err);
		if (r < 0)
			(void)err_wrap(err, r, "volume '%s'", v->name);
	}
	return r;
}

static void remove_unpacked(const struct importing *im)
{
	for (size_t i = 0; i < im->volumes.n; i++) {
		autofree char *folder = unpacked_volume(im, &im->volumes.v[i]);

		(void)path_remove_all(folder, NULL);
	}
}

static int fill(struct instance *in, void *ctx, struct err *err)
{
	const struct importing *im = ctx;
	autofree char *shm = path_join(im->scratch.path, "devshm-checkpoint.tar");
	int r = import_begin(in, im->made, err);

	if (r == 0)
		r = make_upper(im, in, err);
	if (r == 0 && im->with_memory)
		r = extras_make(in, in->row.name, &im->spec, im->b.has_shm ? shm : NULL, err);
	if (r == 0)
		r = unpack_volumes(im, err);
	if (r == 0)
		r = saved_sync(in, err);
	return r;
}

/* ---- volumes ----------------------------------------------------------------------------------------------------- */

/* An empty volume is made, and what was unpacked takes the place of its folder. */
static int make_volume(const struct importing *im, const struct origin_volume *v, struct err *err)
{
	autofree char *from = unpacked_volume(im, v), *to = volume_path(im->e, v->name);
	int r = volume_create(im->e, v->name, err);

	if (r < 0 || im->o->ignore_volumes)
		return r;
	if (rename(from, to) < 0)
		return err_sys(err, "volume '%s'", v->name);
	return volumes_set_used(im->e->db, v->name, err); /* the image's content is not for it */
}

static int attach_volumes(const struct importing *im, struct instance *in, struct err *err)
{
	AUTO(devices_done) struct devices devices = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < im->volumes.n; i++) {
		const struct origin_volume *v = &im->volumes.v[i];

		if (strv_has(im->made, v->name))
			r = make_volume(im, v, err);
		devices_add(&devices, v->name, v->name, v->path, v->is_readonly);
	}
	return r == 0 ? volume_set_devices(in, &devices, err) : r;
}

/* ---- the saved state --------------------------------------------------------------------------------------------- */

/* Mounts of ours at the places that CRIU's images name. */
static struct spec_bind *binds(const struct importing *im, const struct volume_mount *volumes, size_t n_volumes,
			       char *const *sources)
{
	struct spec_bind *list = xcalloc(n_volumes + im->spec.n_extras + 1, sizeof(*list));

	for (size_t i = 0; i < n_volumes; i++)
		list[i] = (struct spec_bind){ volumes[i].source, volumes[i].path, volumes[i].is_readonly };
	for (size_t i = 0; i < im->spec.n_extras; i++)
		list[n_volumes + i] = (struct spec_bind){ sources[i], im->spec.extras[i]->destination, false };
	return list;
}

/* The spec is ours, with the stranger's process in it. */
static struct json *make_spec(const struct importing *im, const struct instance *in)
{
	autofree char *rootfs = instance_path(in, "rootfs"), *netns = instance_netns_path(in);
	autofree char *cgroups_path = cgroup_spec_path(&in->cg);
	AUTO(strv_free) char **sources = NULL;
	size_t n_volumes = 0;
	struct volume_mount *volumes = volume_mounts(in, &n_volumes);
	autofree struct spec_bind *list = NULL;
	struct spec spec = {
		.hostname = in->row.name,
		.rootfs = rootfs,
		.cgroups_path = cgroups_path,
		.netns = netns,
		.args = im->spec.args,
		.env = im->spec.env,
		.cwd = im->spec.cwd,
		.uid = im->spec.uid,
		.gid = im->spec.gid,
		.groups = im->spec.groups,
		.n_groups = im->spec.n_groups,
		.has_tty = im->spec.has_tty,
		.is_checkpointable = str_eq(config_get(in->row.config, "checkpoint.profile"), "checkpointable"),
		.n_binds = n_volumes + im->spec.n_extras,
		.masked = im->spec.masked,
		.readonly = im->spec.readonly,
	};
	struct json *made;

	for (size_t i = 0; i < im->spec.n_extras; i++)
		strv_take(&sources, extras_path(in, im->spec.extras[i]));
	list = binds(im, volumes, n_volumes, sources);
	spec.binds = list;
	made = spec_make(&spec);
	volume_mounts_free(volumes, n_volumes);
	return made;
}

static bool has_stdin(const struct importing *im)
{
	autofree char *path = path_join(im->scratch.path, "checkpoint/descriptors.json");
	AUTO(json_free) struct json *j = NULL;

	return json_parse_file(path, DESCRIPTORS_MAX, &j, NULL) == 0 &&
	       str_after(json_str(json_item(j, 0)), "pipe:") != NULL;
}

static const char *when(const struct json *manifest, const struct json *config, char *buf)
{
	const char *text = json_get_str(manifest ? manifest : config, manifest ? "created_at" : "checkpointedTime");
	uint64_t us;

	return clock_rfc3339(text && clock_parse_rfc3339(text, &us) == 0 ? us : clock_real_us(), buf);
}

/* Facts by name, from our manifest where there is one. */
static struct json *state_facts(const struct importing *im, uint64_t bytes)
{
	const struct json *m = im->b.manifest;
	const char *uuid = json_get_str(m, "uuid"), *id = json_get_str(im->b.config, "id");
	struct json *o = json_new_object();
	char buf[CLOCK_RFC3339_SIZE];

	json_set_str(o, "kind", "checkpoint");
	json_set_str(o, "uuid", uuid ? uuid : id ? id : "");
	json_set_str(o, "created_at", when(m, im->b.config, buf));
	json_set_bool(o, "imported", true);
	json_set_bool(o, "has_memory", true);
	json_set_bool(o, "was_paused", json_get_bool(m, "was_paused", false));
	json_set_bool(o, "has_tty", im->spec.has_tty);
	json_set_bool(o, "has_stdin", m ? json_get_bool(m, "has_stdin", false) : has_stdin(im));
	json_set_bool(o, "tcp_established", json_get_bool(m, "tcp_established", true));
	json_set_bool(o, "file_locks", json_get_bool(m, "file_locks", true));
	json_set_int(o, "processes", json_get_int(m, "processes", 0));
	json_set_int(o, "bytes", (int64_t)bytes);
	if (json_get(m, "versions"))
		json_set(o, "versions", json_copy(json_get(m, "versions")));
	if (json_get(m, "affinity"))
		json_set(o, "affinity", json_copy(json_get(m, "affinity")));
	return o;
}

static int make_state(struct importing *im, struct instance *in, struct err *err)
{
	AUTO(json_free) struct json *files = json_new_array(), *spec = make_spec(im, in), *facts = NULL;
	autofree char *path = path_join(im->scratch.path, "spec.dump"), *text = json_print(spec, JSON_PRETTY);
	uint64_t bytes = 0;
	int r = file_write_whole(path, text, strlen(text), 0600, err);

	if (r == 0)
		r = manifest_take_images(im->scratch.path, NULL, NULL, NULL, files, im->op, &bytes, err);
	if (r < 0)
		return r;
	facts = state_facts(im, bytes);
	json_set(facts, "files", TAKE_PTR(files));
	return checkpoint_make_state(in, im->scratch.path, facts, err);
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static int come_to_life(struct importing *im, struct instance *in, struct err *err)
{
	int r = attach_volumes(im, in, err);

	if (r == 0 && im->with_memory)
		r = make_state(im, in, err);
	FAULT("import.made", err);
	if (r == 0 && im->with_memory && !im->o->is_stopped)
		r = lifecycle_start(in, /* is_stateless= */ false, im->op, err);
	if (r == 0 && (!im->with_memory || im->o->is_stopped))
		r = operation_commit(im->op, err);
	return r == 0 ? import_commit(in, err) : r;
}

/* All or nothing. */
static int make_instance(struct importing *im, struct instance **ret, struct err *err)
{
	AUTO(instance_release) struct instance *in = NULL;
	int r = create_from_row(im->e, &im->row, fill, im, &in, err);

	if (r == 0)
		r = come_to_life(im, in, err);
	if (r < 0) {
		if (in)
			import_undo(in);
		remove_unpacked(im);
		return r;
	}
	instance_note(in, "imported from an archive of '%s'",
		      im->b.manifest ? "stasis"
		      : im->b.config ? "an engine like Podman"
				     : "CRIU");
	*ret = TAKE_PTR(in);
	return 0;
}

int checkpoint_import(struct engine *e, int fd, const struct import_options *o, struct operation *op,
		      struct instance **ret, struct err *err)
{
	AUTO(importing_done) struct importing im = { .e = e, .o = o, .op = op };
	int r = unpack(&im, fd, err);

	if (r == 0)
		r = judge(&im, err);
	if (r < 0)
		return err_wrap(err, r, "cannot import the archive");
	im.row.image = xstrdup(im.image->fingerprint);
	im.row.description = xstrdup("");
	r = make_instance(&im, ret, err);
	return r < 0 ? err_wrap(err, r, "cannot import the archive") : 0;
}
