/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint-state.c - the memory of a checkpoint becomes the saved state of an instance: the images are linked, not
 * copied, for nothing ever changes them */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "engine/checkpoint-folder.h"
#include "engine/extras.h"
#include "engine/manifest.h"
#include "engine/saved.h"
#include "engine/state.h"

#define SPEC_MAX (16 << 20)

static int link_images(const char *from_folder, const char *to_folder, const struct json *files, struct json *taken,
		       struct err *err)
{
	for (size_t i = 0; i < json_len(files); i++) {
		const char *name = json_get_str(json_item(files, i), "name");
		autofree char *from = path_join(from_folder, name), *to = path_join(to_folder, name);

		if (!str_after(name, "checkpoint/"))
			continue;
		if (link(from, to) < 0)
			return err_sys(err, "cannot link '%s'", from);
		json_add(taken, json_copy(json_item(files, i)));
	}
	return 0;
}

/* What names an instance in its spec is made to name this one. */
static int edit_spec(const struct instance *in, struct json *spec, const char *folder, struct err *err)
{
	autofree char *rootfs = instance_path(in, "rootfs"), *netns = instance_netns_path(in);
	autofree char *cgroups_path = cgroup_spec_path(&in->cg);
	struct json *namespaces = json_at(spec, "/linux/namespaces");

	if (!json_get(spec, "root") || !json_get(spec, "linux"))
		return err_set(err, -EUCLEAN, "its spec has no root or no linux part");
	json_set_str(json_get(spec, "root"), "path", rootfs);
	json_set_str(json_get(spec, "linux"), "cgroupsPath", cgroups_path);
	json_set_str(spec, "hostname", in->row.name);
	for (size_t i = 0; i < json_len(namespaces); i++)
		if (str_eq(json_get_str(json_item(namespaces, i), "type"), "network"))
			json_set_str(json_item(namespaces, i), "path", netns);
	return extras_adopt(in, spec, folder, err);
}

static int take_spec(const struct instance *in, const char *from_folder, const char *to_folder, struct json *taken,
		     struct err *err)
{
	autofree char *from = path_join(from_folder, "spec.dump"), *text = NULL;
	AUTO(json_free) struct json *spec = NULL;
	int r = json_parse_file(from, SPEC_MAX, &spec, err);

	if (r == 0)
		r = edit_spec(in, spec, from_folder, err);
	if (r < 0)
		return r;
	text = json_print(spec, JSON_PRETTY);
	return manifest_take_text(to_folder, "spec.dump", text, taken, err);
}

static struct json *manifest_for(const struct instance *in, const struct json *checkpoint)
{
	AUTO(json_free) struct json *m = json_copy(checkpoint);
	struct json *instance = json_new_object();
	char uuid[UUID_SIZE];

	uuid_new(uuid);
	json_unset(m, "seal");
	json_unset(m, "files");
	json_set_str(m, "kind", "saved-state");
	json_set_str(m, "from_checkpoint", json_get_str(checkpoint, "uuid"));
	json_set_str(m, "uuid", uuid);
	json_set_str(instance, "uuid", in->row.uuid);
	json_set_str(instance, "name", in->row.name);
	json_set_str(instance, "image", in->row.image);
	json_set(instance, "config", json_new_strv(in->row.config));
	json_set(m, "instance", instance);
	return TAKE_PTR(m);
}

int checkpoint_make_state(struct instance *in, const char *folder, const struct json *checkpoint, struct err *err)
{
	autofree char *to = instance_path(in, SAVED_NEW);
	AUTO(json_free) struct json *m = manifest_for(in, checkpoint), *taken = json_new_array();
	int r;

	r = saved_begin(in, err);
	if (r == 0)
		r = link_images(folder, to, json_get(checkpoint, "files"), taken, err);
	if (r == 0)
		r = take_spec(in, folder, to, taken, err);
	if (r == 0)
		r = manifest_write(to, m, TAKE_PTR(taken), err);
	if (r == 0)
		r = saved_sync(in, err);
	if (r == 0)
		r = saved_commit(in, err);
	saved_refresh(in);
	return r;
}
