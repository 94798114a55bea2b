/* SPDX-License-Identifier: Apache-2.0 */
/* tree.c - names out of an archive, and where they lead inside the folder that is being filled */
#include "image/tree.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/path.h"

#define MAX_LINKS 40
#define MAX_BASE  255

int tree_clean_name(const char *raw, char out[TREE_NAME_SIZE], struct err *err)
{
	size_t n = 0, depth = 0;

	for (const char *c = raw + strspn(raw, "/"); *c; c += strspn(c, "/")) {
		size_t len = strcspn(c, "/");

		if (len == 2 && c[0] == '.' && c[1] == '.')
			return err_set(err, -EINVAL, "the name '%.200s' has '..' in it", raw);
		if (len > MAX_BASE || n + len + 2 > TREE_NAME_SIZE)
			return err_set(err, -ENAMETOOLONG, "the name '%.200s…' is too long", raw);
		if (++depth > TREE_MAX_DEPTH)
			return err_set(err, -EINVAL, "the name '%.200s…' has more than %d parts", raw, TREE_MAX_DEPTH);
		if (len != 1 || c[0] != '.') {
			if (n > 0)
				out[n++] = '/';
			memcpy(out + n, c, len);
			n += len;
		}
		c += len;
	}
	out[n] = '\0';
	return 0;
}

char *tree_path(const struct strbuf *parent, const char *base)
{
	return parent->len > 0 ? xasprintf("%s/%s", parent->s, base) : xstrdup(base);
}

struct walk {
	int root_fd;
	tree_make_dir *make;
	void *ctx;
	struct strbuf *real; /* the folder where we are */
	struct strbuf rest;  /* the parts still to go */
	int links, depth;
};

static int open_real(const struct walk *w, const char *path, int flags)
{
	return path_open_beneath(w->root_fd, *path ? path : ".", flags, 0, NULL);
}

static void walk_up(struct walk *w)
{
	char *slash = strrchr(w->real->s, '/');

	strbuf_truncate(w->real, slash ? (size_t)(slash - w->real->s) : 0);
	if (w->depth > 0)
		w->depth--;
}

/* A symlink's target takes its place in what is still to go. */
static int walk_link(struct walk *w, int link_fd, const char *path, struct err *err)
{
	char target[TREE_NAME_SIZE];
	autofree char *rest = NULL;
	ssize_t n;

	if (++w->links > MAX_LINKS)
		return err_set(err, -ELOOP, "too many symbolic links at '%.200s'", path);
	n = readlinkat(link_fd, "", target, sizeof(target) - 1);
	if (n < 0)
		return err_sys(err, "%.200s", path);
	target[n] = '\0';
	if (target[0] == '/') {
		strbuf_truncate(w->real, 0);
		w->depth = 0;
	}
	if (w->rest.len + (size_t)n + 2 > (size_t)TREE_NAME_SIZE * 2)
		return err_set(err, -ENAMETOOLONG, "the way over the symbolic link '%.200s' is too long", path);
	rest = xasprintf("%s/%s", target, w->rest.s);
	strbuf_reset(&w->rest);
	strbuf_adds(&w->rest, rest);
	return 0;
}

static int walk_make(struct walk *w, const char *base, const char *path, struct err *err)
{
	autoclose int parent = open_real(w, w->real->s, O_PATH | O_DIRECTORY);

	if (parent < 0)
		return err_set(err, parent, "%.200s: %s", path, strerror(-parent));
	return w->make(w->ctx, parent, base, path, err);
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

/* One part of the way, which is neither "." nor "..". */
static int walk_into(struct walk *w, const char *base, struct err *err)
{
	autofree char *path = tree_path(w->real, base);
	autoclose int fd = -1;
	struct stat st = { 0 };
	int r = 0;

	if (strlen(path) >= TREE_NAME_SIZE || ++w->depth > TREE_MAX_DEPTH)
		return err_set(err, -ENAMETOOLONG, "the way to '%.200s…' is too long", path);
	fd = open_real(w, path, O_PATH | O_NOFOLLOW);
	if (fd < 0 && fd != -ENOENT)
		return err_set(err, fd, "%.200s: %s", path, strerror(-fd));
	if (fd >= 0 && fstat(fd, &st) < 0)
		return err_sys(err, "%.200s", path);
	if (fd >= 0 && S_ISLNK(st.st_mode)) {
		w->depth--;
		return walk_link(w, fd, path, err);
	}
	if (fd < 0 || is_whiteout(&st)) {
		if (!w->make)
			return err_set(err, -ENOENT, "there is no '%.200s' in it", path);
		r = walk_make(w, base, path, err);
	} else if (!S_ISDIR(st.st_mode)) {
		return err_set(err, -ENOTDIR, "'%.200s' is used as a folder but is none", path);
	}
	if (r < 0)
		return r;
	strbuf_reset(w->real);
	strbuf_adds(w->real, path);
	return 0;
}

/* Takes the next part off the rest; "" at the end. */
static char *next_part(struct strbuf *rest)
{
	size_t skip = strspn(rest->s, "/"), len = strcspn(rest->s + skip, "/");
	char *part = xstrndup(rest->s + skip, len);
	autofree char *left = xstrdup(rest->s + skip + len);

	strbuf_reset(rest);
	strbuf_adds(rest, left);
	return part;
}

static int walk(struct walk *w, struct err *err)
{
	for (;;) {
		autofree char *part = next_part(&w->rest);
		int r = 0;

		if (!*part)
			return 0;
		if (strcmp(part, "..") == 0)
			walk_up(w);
		else if (strcmp(part, ".") != 0)
			r = walk_into(w, part, err);
		if (r < 0)
			return r;
	}
}

int tree_open_parent(int root_fd, const char *name, tree_make_dir *make, void *ctx, struct strbuf *real,
		     struct err *err)
{
	struct walk w = { .root_fd = root_fd, .make = make, .ctx = ctx, .real = real };
	const char *slash = strrchr(name, '/');
	int fd, r;

	strbuf_reset(real);
	strbuf_add(real, name, slash ? (size_t)(slash - name) : 0);
	fd = open_real(&w, real->s, O_PATH | O_DIRECTORY);
	if (fd >= 0)
		return fd; /* as nearly always: it is there, and no symlink leads to it */
	strbuf_init(&w.rest);
	strbuf_adds(&w.rest, real->s);
	strbuf_reset(real);
	r = walk(&w, err);
	strbuf_done(&w.rest);
	if (r < 0)
		return r;
	fd = open_real(&w, real->s, O_PATH | O_DIRECTORY);
	return fd >= 0 ? fd : err_set(err, fd, "%.200s: %s", real->s, strerror(-fd));
}
