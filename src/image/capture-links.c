/* SPDX-License-Identifier: Apache-2.0 */
/* capture-links.c - names in a folder, and inodes with several names: a hash table with open addressing */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "image/capture-private.h"

static void dir_close(DIR *dir)
{
	if (dir)
		(void)closedir(dir);
}
AUTO_DEFINE(DIR *, dir_close)

static bool is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_names(DIR *dir, char ***names, size_t *n, struct err *err)
{
	size_t cap = 0;
	struct dirent *e;

	for (;;) {
		errno = 0;
		e = readdir(dir);
		if (!e)
			return errno ? err_sys(err, "cannot list it") : 0;
		if (is_dots(e->d_name))
			continue;
		if (*n + 1 >= cap) {
			cap = cap ? cap * 2 : 16;
			*names = xreallocarray(*names, cap, sizeof(**names));
		}
		(*names)[(*n)++] = xstrdup(e->d_name);
		(*names)[*n] = NULL;
	}
}

int capture_list(int dir_fd, char ***ret, size_t *ret_n, struct err *err)
{
	AUTO(dir_close) DIR *dir = NULL;
	AUTO(strv_free) char **names = NULL;
	autoclose int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	size_t n = 0;
	int r;

	if (fd < 0)
		return err_sys(err, "cannot list it");
	dir = fdopendir(fd);
	if (!dir)
		return err_sys(err, "cannot list it");
	(void)TAKE_FD(fd);
	rewinddir(dir); /* the position is shared with @dir_fd */
	r = read_names(dir, &names, &n, err);
	if (r < 0)
		return r;
	if (n > 1)
		qsort(names, n, sizeof(*names), by_name);
	*ret = TAKE_PTR(names);
	*ret_n = n;
	return 0;
}

void capture_links_done(struct capture_links *links)
{
	for (size_t i = 0; i < links->cap; i++)
		free(links->slots[i].path);
	free(links->slots);
	*links = (struct capture_links){ 0 };
}

/* The slot of an inode, or the free one where it belongs. No file has inode number 0. */
static struct capture_link *slot_of(const struct capture_links *links, uint64_t dev, uint64_t ino)
{
	uint64_t hash = (ino ^ dev << 20) * 0x9e3779b97f4a7c15ULL;

	for (size_t i = hash >> 20;; i++) {
		struct capture_link *l = &links->slots[i & (links->cap - 1)];

		if (l->ino == 0 || (l->ino == ino && l->dev == dev))
			return l;
	}
}

struct capture_link *capture_links_find(const struct capture_links *links, uint64_t dev, uint64_t ino)
{
	struct capture_link *l = links->cap ? slot_of(links, dev, ino) : NULL;

	return l && l->ino ? l : NULL;
}

static void grow(struct capture_links *links)
{
	struct capture_links more = { .n = links->n, .cap = links->cap ? links->cap * 2 : 64 };

	more.slots = xcalloc(more.cap, sizeof(*more.slots));
	for (size_t i = 0; i < links->cap; i++)
		if (links->slots[i].ino)
			*slot_of(&more, links->slots[i].dev, links->slots[i].ino) = links->slots[i];
	free(links->slots);
	*links = more;
}

void capture_links_put(struct capture_links *links, uint64_t dev, uint64_t ino, const char *path,
		       const struct capture_state *state)
{
	struct capture_link *l;

	if (links->n * 2 >= links->cap)
		grow(links);
	l = slot_of(links, dev, ino);
	if (!l->ino)
		links->n++;
	free(l->path);
	*l = (struct capture_link){ .dev = dev, .ino = ino, .path = xstrdup_null(path), .state = *state };
}
