/* SPDX-License-Identifier: Apache-2.0 */
/* logs.c - the log folder of an instance, for those who only look */
#include <dirent.h>
#include <fcntl.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/instance.h"

static int log_folder(struct engine *e, const char *name, char **ret, struct err *err)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;
	int r = instance_info(e, name, /* live= */ false, &info, err);

	if (r < 0)
		return r;
	*ret = path_join(engine_settings(e)->log_dir, info->uuid);
	return 0;
}

int instance_log_open(struct engine *e, const char *name, const char *file, int *ret_fd, struct err *err)
{
	autofree char *dir = NULL, *path = NULL;
	int fd, r;

	r = log_folder(e, name, &dir, err);
	if (r < 0)
		return r;
	if (!path_is_name(file) || !str_ends(file, ".log"))
		return err_set(err, -EINVAL, "'%.80s' is no log file", file);
	path = path_join(dir, file);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, -ENOENT, "'%s' has no log '%s'", name, file);
	if (fd < 0)
		return err_sys(err, "'%s'", path);
	*ret_fd = fd;
	return 0;
}

int instance_log_list(struct engine *e, const char *name, char ***ret, struct err *err)
{
	autofree char *dir = NULL;
	struct dirent *entry;
	char **list = NULL;
	DIR *d;
	int r;

	r = log_folder(e, name, &dir, err);
	if (r < 0)
		return r;
	d = opendir(dir);
	while (d && (entry = readdir(d)))
		if (str_ends(entry->d_name, ".log"))
			strv_add(&list, entry->d_name);
	if (d)
		(void)closedir(d);
	strv_sort(list);
	*ret = list ? list : xcalloc(1, sizeof(char *));
	return 0;
}
