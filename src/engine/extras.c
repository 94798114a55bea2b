/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/extras.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "engine/state.h"
#include "image/bundle.h"
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
