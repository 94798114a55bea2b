/* SPDX-License-Identifier: Apache-2.0 */
/* logs.c - the log folder of an instance: CRIU's logs go in, and everybody may look */
#include "engine/logs.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/state.h"
#include "runtime/criu.h"

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

/* Names that begin with @prefix and end in ".log", sorted. */
static char **list_logs(const char *dir, const char *prefix)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	char **list = NULL;

	while (d && (entry = readdir(d)))
		if (str_after(entry->d_name, prefix) && str_ends(entry->d_name, ".log"))
			strv_add(&list, entry->d_name);
	if (d)
		(void)closedir(d);
	strv_sort(list);
	return list;
}

int instance_log_list(struct engine *e, const char *name, char ***ret, struct err *err)
{
	autofree char *dir = NULL;
	char **list;
	int r;

	r = log_folder(e, name, &dir, err);
	if (r < 0)
		return r;
	list = list_logs(dir, "");
	*ret = list ? list : xcalloc(1, sizeof(char *));
	return 0;
}

/* The times in the names make the oldest sort first. */
static void trim(const struct instance *in, const char *prefix)
{
	autofree char *dir = instance_log_path(in, "");
	AUTO(strv_free) char **list = list_logs(dir, prefix);
	size_t n = strv_len(list);

	for (size_t i = 0; i + LOGS_KEPT < n; i++) {
		autofree char *path = path_join(dir, list[i]);

		(void)unlink(path);
	}
}

int logs_keep_criu(const struct instance *in, const char *log, const char *kind, char *buf, size_t size)
{
	char when[CLOCK_RFC3339_SIZE];
	autofree char *prefix = xasprintf("checkpoint_%s_", kind);
	autofree char *name = xasprintf("%s%s.log", prefix, clock_rfc3339(clock_real_us(), when));
	autofree char *to = instance_log_path(in, name);
	autoclose int from_fd = open(log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), to_fd = -1;

	if (from_fd >= 0)
		to_fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to_fd >= 0)
		(void)file_copy(from_fd, to_fd, NULL);
	trim(in, prefix);
	return criu_explain(log, buf, size);
}
