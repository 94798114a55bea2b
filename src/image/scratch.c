/* SPDX-License-Identifier: Apache-2.0 */
/* scratch.c - a folder for half-done work, gone at the end of the scope */
#include "image/scratch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"

#define PREFIX "image-"
#define SWEPT  PREFIX "swept-"

int scratch_make(struct scratch *s, const char *state_dir, struct err *err)
{
	autofree char *tmp = path_join(state_dir, "tmp");
	autofree char *path = path_join(tmp, PREFIX "XXXXXX");
	int r;

	r = path_mkdirs(tmp, 0700, err);
	if (r < 0)
		return r;
	if (!mkdtemp(path))
		return err_sys(err, "cannot create a folder in %s", tmp);
	s->path = TAKE_PTR(path);
	return 0;
}

void scratch_done(struct scratch *s)
{
	if (s->path)
		(void)path_remove_all(s->path, NULL); /* what stays is swept at the next start */
	free(s->path);
	s->path = NULL;
}

static void dir_close(DIR *dir)
{
	if (dir)
		(void)closedir(dir);
}
AUTO_DEFINE(DIR *, dir_close)

/* A program that outlived the daemon may still be filling it: under another name it does not find it any more. */
static int sweep_one(int dir_fd, const char *name, struct err *err)
{
	autofree char *swept = xasprintf(SWEPT "%s", name);

	if (str_after(name, SWEPT))
		return path_remove_all_at(dir_fd, name, err);
	if (renameat(dir_fd, name, dir_fd, swept) < 0)
		return err_sys(err, "%s", name);
	return path_remove_all_at(dir_fd, swept, err);
}

int scratch_sweep(const char *state_dir, struct err *err)
{
	autofree char *tmp = path_join(state_dir, "tmp");
	AUTO(dir_close) DIR *dir = opendir(tmp);
	struct dirent *e;
	int r;

	if (!dir)
		return errno == ENOENT ? 0 : err_sys(err, "%s", tmp);
	while ((e = readdir(dir))) {
		if (!str_after(e->d_name, PREFIX))
			continue;
		r = sweep_one(dirfd(dir), e->d_name, err);
		if (r < 0)
			return err_wrap(err, r, "%s", tmp);
	}
	return 0;
}
