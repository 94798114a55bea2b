/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/remove.h"

#include <dirent.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/uuid.h"
#include "engine/checkpoint-folder.h"
#include "engine/container.h"
#include "engine/state.h"

int remove_files(struct engine *e, const char *uuid, struct err *err)
{
	autofree char *files = xasprintf("%s/instances/%s", e->settings.state_dir, uuid);
	autofree char *logs = xasprintf("%s/%s", e->settings.log_dir, uuid);
	int r = path_remove_all(files, err);

	return r < 0 ? r : path_remove_all(logs, err);
}

int remove_instance(struct instance *in, struct err *err)
{
	int r;

	container_teardown(in); /* a statefully stopped one still has its network */
	r = instances_delete(in->engine->db, in->row.uuid, err);
	if (r < 0)
		return r;
	mutex_lock(&in->engine->mutex);
	in->is_deleted = true;
	mutex_unlock(&in->engine->mutex);
	FAULT_HERE("delete.row");
	r = checkpoint_delete_all(in->engine, in->row.uuid, err);
	if (r == 0)
		r = remove_files(in->engine, in->row.uuid, err);
	if (r < 0)
		return err_wrap(err, r, "'%s' is deleted, but some of its files are not", in->row.name);
	FAULT_HERE("delete.files");
	return 0;
}

static bool is_known(struct engine *e, const char *uuid)
{
	SCOPED_LOCK(&e->mutex);

	list_each (node, &e->instances)
		if (strcmp(list_of(node, struct instance, link)->row.uuid, uuid) == 0)
			return true;
	return false;
}

static void remove_strays_in(struct engine *e, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	if (!d)
		return;
	while ((entry = readdir(d)))
		if (uuid_is_valid(entry->d_name) && !is_known(e, entry->d_name))
			(void)remove_files(e, entry->d_name, NULL);
	(void)closedir(d);
}

void remove_strays(struct engine *e)
{
	autofree char *instances = path_join(e->settings.state_dir, "instances");

	remove_strays_in(e, instances);
	remove_strays_in(e, e->settings.log_dir);
}
