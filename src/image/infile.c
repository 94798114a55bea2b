/* SPDX-License-Identifier: Apache-2.0 */
/* infile.c - plain files inside an untrusted folder */
#include "image/infile.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"

int infile_open(int root_fd, const char *path, struct err *err)
{
	/* Without O_NONBLOCK a pipe of that name would hold us for ever. */
	autoclose int fd = path_open_in_root(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "%.200s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "%.200s is not a plain file", path);
	return TAKE_FD(fd);
}

int infile_read(int root_fd, const char *path, size_t max, char **ret, size_t *ret_len, struct err *err)
{
	autoclose int fd = infile_open(root_fd, path, err);
	autofree char *self = NULL;
	int r;

	if (fd < 0)
		return fd;
	self = xasprintf("/proc/self/fd/%d", fd);
	r = file_read(self, max, ret, ret_len, err);
	return r < 0 ? err_wrap(err, r, "%.200s", path) : 0;
}
