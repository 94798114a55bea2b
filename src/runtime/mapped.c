/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/mapped.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"

#define MAPS_MAX (64 << 20)

/* "7f…-7f… rw-s 00000000 fe:00 1234   /data/db": shared and writable, with a name that is not deleted. */
static void note_mapping(const char *line, char ***files)
{
	const char *perms = strchr(line, ' '), *path = strchr(line, '/');

	if (!perms || !path || perms[2] != 'w' || perms[4] != 's' || str_ends(path, " (deleted)"))
		return;
	if (!strv_has(*files, path))
		strv_add(files, path);
}

int mapped_files(const struct cgroup *cg, char ***ret, struct err *err)
{
	AUTO(strv_free) char **files = NULL;
	autofree pid_t *pids = NULL;
	size_t n = 0;
	int r = cgroup_processes(cg, CGROUP_PAYLOAD, &pids, &n, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		autofree char *path = xasprintf("/proc/%d/maps", pids[i]), *text = NULL;
		char *save = NULL;

		if (file_read(path, MAPS_MAX, &text, NULL, NULL) < 0)
			continue;
		for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			note_mapping(line, &files);
	}
	*ret = TAKE_PTR(files);
	return 0;
}
