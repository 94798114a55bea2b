/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/extras.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "engine/state.h"
#include "image/bundle.h"
#include "image/capture.h"
#include "runtime/spec-policy.h"

char *extras_path(const struct instance *in, const struct spec_extra_mount *extra)
{
	autofree char *rel = path_join(EXTRAS, extra->name);

	return instance_path(in, rel);
}

static char *content(const struct spec_extra_mount *extra, const char *name)
{
	if (str_eq(extra->name, "hostname"))
		return xasprintf("%s\n", name);
	if (str_eq(extra->name, "hosts"))
		return xasprintf("127.0.0.1\tlocalhost %s\n::1\tlocalhost\n", name);
	return xstrdup("");
}

static int make_file(const char *path, const char *text, struct err *err)
{
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	int r;

	if (fd < 0 || fchmod(fd, 0644) < 0)
		return err_sys(err, "'%s'", path);
	r = file_write_all(fd, text, strlen(text), err);
	return r < 0 ? err_wrap(err, r, "'%s'", path) : 0;
}

static int make_shm(const char *path, const char *tar, struct err *err)
{
	if (tar)
		return bundle_make_volume(tar, path, err);
	if (mkdir(path, 0700) < 0 || chmod(path, 01777) < 0)
		return err_sys(err, "'%s'", path);
	return 0;
}

static int make_one(const struct instance *in, const char *name, const struct spec_extra_mount *extra,
		    const char *shm_tar, struct err *err)
{
	autofree char *path = extras_path(in, extra), *text = content(extra, name);

	switch (extra->kind) {
	case SPEC_EXTRA_FILE:
		return make_file(path, text, err);
	case SPEC_EXTRA_SHM:
		return make_shm(path, shm_tar, err);
	case SPEC_EXTRA_FOLDER:
		break;
	}
	return mkdir(path, 0755) < 0 ? err_sys(err, "'%s'", path) : 0;
}

int extras_make(const struct instance *in, const char *name, const struct spec_taken *spec, const char *shm_tar,
		struct err *err)
{
	autofree char *dir = instance_path(in, EXTRAS);
	int r = spec->n_extras ? path_mkdirs(dir, 0700, err) : 0;

	for (size_t i = 0; r == 0 && i < spec->n_extras; i++)
		r = make_one(in, name, spec->extras[i], shm_tar, err);
	return r < 0 ? err_wrap(err, r, "cannot make what is mounted besides volumes") : 0;
}

static int adopt_one(const struct instance *in, struct json *mount, const char *folder, struct err *err)
{
	const struct spec_extra_mount *extra = spec_policy_extra(json_get_str(mount, "destination"));
	autofree char *captured = path_join(folder, "shm"), *path = NULL;
	int r;

	if (!extra || !str_eq(json_get_str(mount, "type"), "bind"))
		return 0;
	path = extras_path(in, extra);
	json_set_str(mount, "source", path);
	if (path_exists(path))
		return 0;
	if (extra->kind == SPEC_EXTRA_SHM && path_exists(captured))
		return capture_copy(captured, path, NULL, err);
	r = make_one(in, in->row.name, extra, NULL, err);
	return r < 0 ? err_wrap(err, r, "'%s'", extra->destination) : 0;
}

int extras_adopt(const struct instance *in, struct json *spec, const char *folder, struct err *err)
{
	autofree char *dir = instance_path(in, EXTRAS);
	struct json *mounts = json_get(spec, "mounts");
	bool has_any = false;
	int r = 0;

	for (size_t i = 0; i < json_len(mounts); i++)
		has_any = has_any || (str_eq(json_get_str(json_item(mounts, i), "type"), "bind") &&
				      spec_policy_extra(json_get_str(json_item(mounts, i), "destination")));
	if (has_any)
		r = path_mkdirs(dir, 0700, err);
	for (size_t i = 0; r == 0 && i < json_len(mounts); i++)
		r = adopt_one(in, json_item(mounts, i), folder, err);
	return r;
}
