/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* opened.h - a checkpoint archive that a test has unpacked, below the folder of its program */
#include "base/path.h"
#include "image/bundle.h"
#include "tarball.h"

static const struct bundle_limits roomy = { 1 << 30, 10000 };

/* An archive that was unpacked, below the folder of this program. */
struct opened {
	char *path;
	struct bundle b;
	struct err err;
	int code;
};

static inline void opened_done(struct opened *o)
{
	bundle_done(&o->b);
	CHECK_INT(path_remove_all(o->path, NULL), 0);
	free(o->path);
}
AUTO_DEFINE_IN(struct opened, opened_done)

static inline struct opened open_fd(int fd, const struct bundle_limits *limits)
{
	struct opened o = { .path = path_join(test_dir(), "opened"), .err = ERR_INIT };

	CHECK_INT(mkdir(o.path, 0700), 0);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	o.code = bundle_read(fd, o.path, limits, NULL, NULL, &o.b, &o.err);
	return o;
}

static inline struct opened open_tar(struct strbuf *tar)
{
	autoclose int fd = tarball_open(tar);

	return open_fd(fd, &roomy);
}

static inline void check_file(const char *folder, const char *name, const char *want)
{
	autofree char *path = path_join(folder, name), *text = NULL;
	struct stat st;

	CHECK_INT(file_read(path, 1 << 20, &text, NULL, NULL), 0);
	CHECK_STR(text, want);
	CHECK(lstat(path, &st) == 0 && st.st_mode == (S_IFREG | 0600) && st.st_nlink == 1);
}
