/* SPDX-License-Identifier: Apache-2.0 */
/* lower.c - what a stack of layers shows, without mounting it */
#include "image/lower.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"

#define OPAQUE_XATTR "trusted.overlay.opaque"
#define MAX_LAYERS   500 /* overlayfs's own limit */

struct lower {
	int *fds; /* highest first */
	size_t n;
};

/* A name in one of the layers of a folder. */
struct name {
	char *name;
	size_t order; /* 0: in the highest layer */
	bool is_whiteout;
};

struct names {
	struct name *v;
	size_t n, cap;
};

static void names_done(struct names *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].name);
	free(s->v);
}
AUTO_DEFINE_IN(struct names, names_done)

static void folder_close(DIR *dir)
{
	if (dir)
		(void)closedir(dir);
}
AUTO_DEFINE(DIR *, folder_close)

int lower_open(char *const *layers, struct lower **ret, struct err *err)
{
	AUTO(lower_free) struct lower *l = xcalloc(1, sizeof(*l));
	size_t n = strv_len(layers);

	if (n > MAX_LAYERS)
		return err_set(err, -E2BIG, "more than %d layers", MAX_LAYERS);
	l->fds = xcalloc(n + 1, sizeof(*l->fds));
	for (size_t i = n; i-- > 0;) {
		int fd = open(layers[i], O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			return err_sys(err, "cannot open the layer '%s'", layers[i]);
		l->fds[l->n++] = fd;
	}
	*ret = TAKE_PTR(l);
	return 0;
}

void lower_free(struct lower *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++)
		(void)close(l->fds[i]);
	free(l->fds);
	free(l);
}

void lower_dir_done(struct lower_dir *d)
{
	free(d->layers);
	*d = (struct lower_dir)LOWER_DIR_NONE;
}

void lower_entry_done(struct lower_entry *e)
{
	lower_dir_done(&e->dir);
}

struct lower_dir lower_root(const struct lower *l)
{
	struct lower_dir d = { xcalloc(l->n + 1, sizeof(*d.layers)), l->n };

	for (size_t i = 0; i < l->n; i++)
		d.layers[i] = (uint16_t)i;
	return d;
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

/* 1 if what is below this folder is hidden, else 0. */
static int is_opaque(int path_fd, const char *path, struct err *err)
{
	autoclose int fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char value[2];

	if (fd < 0)
		return err_sys(err, "'%s' in a layer", path);
	return fgetxattr(fd, OPAQUE_XATTR, value, sizeof(value)) == 1 && value[0] == 'y';
}

/* Looks into one layer. 1: what is deeper counts, too; 0: this was the last. */
static int look_layer(const struct lower *l, uint16_t layer, const char *path, struct lower_entry *e, struct err *err)
{
	autoclose int fd = path_open_beneath(l->fds[layer], *path ? path : ".", O_PATH | O_NOFOLLOW, 0, NULL);
	struct stat st;
	int r;

	if (fd == -ENOENT)
		return 1;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, fd < 0 ? fd : -errno, "'%s' in a layer: %s", path, strerror(fd < 0 ? -fd : errno));
	if (is_whiteout(&st))
		return 0;
	if (!S_ISDIR(st.st_mode) && e->kind == LOWER_FOLDER)
		return 0;
	if (e->kind == LOWER_NONE) {
		e->kind = S_ISDIR(st.st_mode) ? LOWER_FOLDER : LOWER_OTHER;
		e->st = st;
		e->layer = layer;
	}
	if (!S_ISDIR(st.st_mode))
		return 0;
	e->dir.layers[e->dir.n++] = layer;
	r = *path ? is_opaque(fd, path, err) : 0;
	return r < 0 ? r : !r;
}

int lower_look(const struct lower *l, const struct lower_dir *dir, const char *path, struct lower_entry *ret,
	       struct err *err)
{
	AUTO(lower_entry_done) struct lower_entry e = { .kind = LOWER_NONE };
	int r = 1;

	if (dir->n > 0)
		e.dir.layers = xcalloc(dir->n, sizeof(*e.dir.layers));
	for (size_t i = 0; r == 1 && i < dir->n; i++)
		r = look_layer(l, dir->layers[i], path, &e, err);
	if (r < 0)
		return r;
	*ret = e;
	e.dir = (struct lower_dir)LOWER_DIR_NONE;
	return 0;
}

int lower_find(const struct lower *l, const char *path, struct lower_entry *ret, struct err *err)
{
	AUTO(lower_dir_done) struct lower_dir root = lower_root(l);
	AUTO(lower_entry_done) struct lower_entry e = { .kind = LOWER_NONE };
	int r = lower_look(l, &root, "", &e, err);

	for (const char *p = path; r == 0 && *p;) {
		size_t len = strcspn(p, "/");
		autofree char *here = xstrndup(path, (size_t)(p - path) + len);
		struct lower_entry next;

		r = lower_look(l, &e.dir, here, &next, err);
		if (r < 0)
			break;
		lower_entry_done(&e);
		e = next;
		p += len;
		p += *p == '/';
	}
	if (r < 0)
		return r;
	*ret = e;
	e.dir = (struct lower_dir)LOWER_DIR_NONE;
	return 0;
}

static void add_name(struct names *s, const char *name, size_t order, bool hides)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 64;
		s->v = xreallocarray(s->v, s->cap, sizeof(*s->v));
	}
	s->v[s->n++] = (struct name){ xstrdup(name), order, hides };
}

static int list_layer(const struct lower *l, uint16_t layer, size_t order, const char *path, struct names *s,
		      struct err *err)
{
	AUTO(folder_close) DIR *dir = NULL;
	struct dirent *e;
	int fd = path_open_beneath(l->fds[layer], *path ? path : ".", O_RDONLY | O_DIRECTORY, 0, err);

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		(void)close(fd);
		return err_sys(err, "'%s' in a layer", path);
	}
	while ((e = readdir(dir))) {
		struct stat st = { 0 };

		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		if ((e->d_type == DT_CHR || e->d_type == DT_UNKNOWN) &&
		    fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(err, "'%s' in a layer", path);
		add_name(s, e->d_name, order, is_whiteout(&st));
	}
	return 0;
}

static int name_order(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : (x->order > y->order) - (x->order < y->order);
}

int lower_list(const struct lower *l, const struct lower_dir *dir, const char *path, char ***ret, struct err *err)
{
	AUTO(names_done) struct names s = { .n = 0 };
	char **v = NULL;
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < dir->n; i++)
		r = list_layer(l, dir->layers[i], i, path, &s, err);
	if (r < 0)
		return r;
	if (s.n > 0)
		qsort(s.v, s.n, sizeof(*s.v), name_order);
	v = xcalloc(s.n + 1, sizeof(*v));
	for (size_t i = 0; i < s.n; i++)
		if ((i == 0 || !str_eq(s.v[i].name, s.v[i - 1].name)) && !s.v[i].is_whiteout)
			v[n++] = xstrdup(s.v[i].name);
	*ret = v;
	return 0;
}

int lower_open_entry(const struct lower *l, const struct lower_entry *e, const char *path, struct err *err)
{
	return path_open_beneath(l->fds[e->layer], *path ? path : ".", O_PATH | O_NOFOLLOW, 0, err);
}
