/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/import.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/remove.h"
#include "engine/state.h"
#include "engine/volume.h"

#define NOTE	 "import.json"
#define NOTE_MAX (1 << 20)

int import_begin(const struct instance *in, char *const *volumes, struct err *err)
{
	autofree char *path = instance_path(in, NOTE), *text = NULL;
	AUTO(json_free) struct json *o = json_new_object();

	json_set(o, "volumes", json_new_strv(volumes));
	text = json_print(o, JSON_PRETTY);
	return file_write_whole(path, text, strlen(text), 0600, err);
}

bool import_is_open(const struct instance *in)
{
	autofree char *path = instance_path(in, NOTE);

	return path_exists(path);
}

int import_commit(const struct instance *in, struct err *err)
{
	autofree char *path = instance_path(in, NOTE), *folder = instance_path(in, "");

	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, "'%s'", path);
	return file_sync_dir(folder, err);
}

void import_undo(struct instance *in)
{
	autofree char *path = instance_path(in, NOTE);
	AUTO(json_free) struct json *o = NULL;
	AUTO(strv_free) char **volumes = NULL;

	if (json_parse_file(path, NOTE_MAX, &o, NULL) == 0)
		volumes = json_to_strv(json_get(o, "volumes"));
	(void)remove_instance(in, NULL); /* its row first: with that its attachments go */
	for (size_t i = 0; volumes && volumes[i]; i++)
		(void)volume_delete(in->engine, volumes[i], NULL); /* one that others have attached meanwhile stays */
}
