/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/outfile.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/uuid.h"

enum { TRIES = 16, NAME_KEPT = 200 /* of the target's name, so that the temporary one is not too long */ };

/* The name of something that does not exist yet; a new string. */
static char *temp_name(const char *name)
{
	char uuid[UUID_SIZE];

	uuid_new(uuid);
	return xasprintf(".%.*s.%.6s", NAME_KEPT, name, uuid);
}

/* A link's target is what is to be replaced, not the link. */
static int find_place(struct outfile *o, const char *path, struct err *err)
{
	autofree char *real = realpath(path, NULL);
	autofree char *target = real ? TAKE_PTR(real) : xstrdup(path);
	autofree char *copy = xstrdup(target);
	struct stat st;

	if (stat(target, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(err, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL, "'%s' is %s: name a file", path,
			       S_ISDIR(st.st_mode) ? "a folder" : "no ordinary file");
	if (!*target || str_ends(target, "/"))
		return err_set(err, -EINVAL, "'%s' is no name for a file", path);
	o->name = xstrdup(path_base(target));
	o->dir_fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return o->dir_fd < 0 ? err_sys(err, "cannot write '%s'", path) : 0;
}

int outfile_open(struct outfile *o, const char *path, struct err *err)
{
	int r = find_place(o, path, err);

	if (r < 0)
		return r;
	o->fd = openat(o->dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	for (int i = 0; o->fd < 0 && i < TRIES; i++) {
		autofree char *temp = temp_name(o->name);

		o->fd = openat(o->dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (o->fd >= 0)
			o->temp = TAKE_PTR(temp);
		else if (errno != EEXIST)
			break;
	}
	return o->fd < 0 ? err_sys(err, "cannot write '%s'", path) : 0;
}

int outfile_check_room(const struct outfile *o, uint64_t bytes, struct err *err)
{
	char need[32], have[32];
	struct statvfs fs;
	uint64_t room;

	if (fstatvfs(o->fd, &fs) < 0)
		return err_sys(err, "cannot look for room for '%s'", o->name);
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (room >= bytes)
		return 0;
	return err_set(err, -ENOSPC, "there is no room for '%s': about %s are needed, %s are free", o->name,
		       str_from_bytes(bytes, need, sizeof(need)), str_from_bytes(room, have, sizeof(have)));
}

int outfile_write(struct outfile *o, const char *data, size_t n, struct err *err)
{
	int r = file_write_all(o->fd, data, n, err);

	if (r < 0)
		return err_wrap(err, r, "cannot write '%s'", o->name);
	o->n_written += n;
	return 0;
}

/* A name, so that it can be renamed: only that replaces what is there in one step. */
static int give_name(struct outfile *o, struct err *err)
{
	char fd_path[32];

	if (o->temp)
		return 0;
	(void)snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", o->fd);
	for (int i = 0; i < TRIES; i++) {
		autofree char *temp = temp_name(o->name);

		if (linkat(AT_FDCWD, fd_path, o->dir_fd, temp, AT_SYMLINK_FOLLOW) == 0) {
			o->temp = TAKE_PTR(temp);
			return 0;
		}
		if (errno != EEXIST)
			break;
	}
	return err_sys(err, "cannot name '%s'", o->name);
}

int outfile_commit(struct outfile *o, struct err *err)
{
	int r;

	if (fsync(o->fd) < 0)
		return err_sys(err, "cannot write '%s' through to the disk", o->name);
	r = give_name(o, err);
	if (r < 0)
		return r;
	if (renameat(o->dir_fd, o->temp, o->dir_fd, o->name) < 0)
		return err_sys(err, "cannot put '%s' in its place", o->name);
	free(TAKE_PTR(o->temp));
	return fsync(o->dir_fd) < 0 ? err_sys(err, "cannot write '%s' through to the disk", o->name) : 0;
}

void outfile_done(struct outfile *o)
{
	if (o->temp)
		(void)unlinkat(o->dir_fd, o->temp, 0);
	if (o->fd >= 0)
		(void)close(o->fd);
	if (o->dir_fd >= 0)
		(void)close(o->dir_fd);
	free(o->name);
	free(o->temp);
	*o = (struct outfile)OUTFILE_NONE;
}
