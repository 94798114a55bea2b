/* SPDX-License-Identifier: Apache-2.0 */
/* capture.c - a tree as it is at one instant: most of the work before the freeze, the rest within */
#include "image/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "image/capture-private.h"

struct capture {
	char *from_path, *to_path; /* for words */
	int from, to;
	bool is_made; /* @to_path is ours to remove */
	struct capture_node root;
	struct capture_pass pass;
	struct capture_names *names; /* NULL: not an overlay's upper */
};

void capture_free(struct capture *c)
{
	if (!c)
		return;
	capture_node_done(&c->root);
	capture_links_done(&c->pass.links);
	capture_names_free(c->names);
	capture_io_done(&c->pass.io);
	if (c->from >= 0)
		(void)close(c->from);
	if (c->to >= 0)
		(void)close(c->to);
	free(c->from_path);
	free(c->to_path);
	free(c);
}

/* tmpfs has no write-back, and a mapped page that is written to leaves no trace in the file's times. */
static bool is_timeless(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) < 0 || fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC ||
	       fs.f_type == HUGETLBFS_MAGIC;
}

static int open_both(struct capture *c, struct err *err)
{
	c->from = capture_open_folder(AT_FDCWD, c->from_path);
	if (c->from < 0)
		return err_set(err, c->from, "%.200s: %s", c->from_path, strerror(-c->from));
	if (mkdir(c->to_path, 0700) < 0)
		return err_sys(err, "cannot create %.200s", c->to_path);
	c->is_made = true;
	c->to = capture_open_folder(AT_FDCWD, c->to_path);
	if (c->to < 0)
		return err_set(err, c->to, "%.200s: %s", c->to_path, strerror(-c->to));
	c->pass.io.can_clone = capture_can_clone(c->from, c->to);
	c->pass.io.xattrs = capture_xattrs_new();
	c->pass.is_timeless = is_timeless(c->from);
	return 0;
}

static struct capture *capture_new(const char *from, const char *to)
{
	struct capture *c = xcalloc(1, sizeof(*c));

	c->from = c->to = -1;
	c->from_path = xstrdup(from);
	c->to_path = xstrdup(to);
	return c;
}

static int walk(struct capture *c, struct err *err)
{
	int r = capture_walk(&c->pass, c->from, c->to, &c->root, err);

	if (r == 0 && c->names)
		r = capture_names_add(c->names, &c->pass, err);
	capture_links_done(&c->pass.links);
	return r < 0 ? err_wrap(err, r, "cannot copy %.150s", c->from_path) : 0;
}

/* The first pass; a failure removes what it made. */
static int begin(struct capture *c, struct err *err)
{
	int r = open_both(c, err);

	if (r == 0)
		r = walk(c, err);
	if (r < 0 && c->is_made)
		(void)path_remove_all(c->to_path, NULL);
	return r;
}

int capture_prepare(const char *from, const char *to, bool (*cancelled)(void *ctx), void *ctx, struct capture **ret,
		    struct err *err)
{
	AUTO(capture_free) struct capture *c = capture_new(from, to);
	int r;

	c->pass.io.cancelled = cancelled;
	c->pass.io.ctx = ctx;
	c->pass.is_live = true;
	r = begin(c, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

int capture_over(struct capture *c, char *const *lower, const char *work, struct err *err)
{
	struct capture_names *names = NULL;
	int r = capture_names_open(lower, work, &names, err);

	if (r < 0)
		return err_wrap(err, r, "cannot look for the other names of changed files");
	capture_names_free(c->names);
	c->names = names;
	return 0;
}

static int forget(struct capture *c, char *const *always, struct err *err)
{
	struct statx sx;
	int r = capture_stat(c->from, "", &sx);

	if (r < 0)
		return err_set(err, r, "%.200s: %s", c->from_path, strerror(-r));
	for (size_t i = 0; always && always[i]; i++)
		capture_node_forget(&c->root, &c->pass.links, capture_dev(&sx), always[i]);
	return 0;
}

int capture_take(struct capture *c, char *const *always, struct capture_stats *ret, struct err *err)
{
	int r;

	c->pass.is_live = false;
	c->pass.is_last = true;
	r = forget(c, always, err);
	if (r == 0)
		r = walk(c, err);
	if (r == 0 && ret)
		*ret = c->pass.stats;
	return r;
}

int capture_copy(const char *from, const char *to, struct capture_stats *ret, struct err *err)
{
	AUTO(capture_free) struct capture *c = capture_new(from, to);
	int r;

	c->pass.is_last = true;
	r = begin(c, err);
	if (r == 0 && ret)
		*ret = c->pass.stats;
	return r;
}
