/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.c - images that are a digest and some aliases
 *
 * An upload is read to its end; one that begins with "REFUSE" is refused without reading on.
 */
#include "engine/image.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/operation.h"
#include "fake/fake.h"

struct image {
	struct list link;
	char fingerprint[DIGEST_HEX_SIZE];
	char **aliases;
	uint64_t bytes;
};

static void add_locked(struct fake *f, const char *fingerprint, const char *alias, uint64_t bytes)
{
	struct image *i = xcalloc(1, sizeof(*i));

	memcpy(i->fingerprint, fingerprint, DIGEST_HEX_SIZE);
	i->bytes = bytes;
	if (alias)
		strv_add(&i->aliases, alias);
	list_append(&f->images, &i->link);
}

static void image_free(struct image *i)
{
	list_remove(&i->link);
	strv_free(i->aliases);
	free(i);
}

void fake_images_init(struct fake *f)
{
	char hex[DIGEST_HEX_SIZE];

	digest_of("busybox", 7, hex);
	add_locked(f, hex, "busybox", 1000000);
}

void fake_images_done(struct fake *f)
{
	list_each_safe (node, &f->images)
		image_free(list_of(node, struct image, link));
}

static struct image_info *info_locked(const struct image *i)
{
	struct image_info *info = xcalloc(1, sizeof(*info));

	memcpy(info->fingerprint, i->fingerprint, DIGEST_HEX_SIZE);
	info->aliases = strv_copy(i->aliases);
	info->architecture = xstrdup("amd64");
	info->bytes = i->bytes;
	info->cmd = strv_new("/bin/sh", NULL);
	return info;
}

static struct image *find_locked(struct fake *f, const char *name)
{
	list_each (node, &f->images) {
		struct image *i = list_of(node, struct image, link);

		if (strcmp(i->fingerprint, name) == 0 || strv_has(i->aliases, name))
			return i;
	}
	return NULL;
}

int image_find(struct engine *e, const char *name, struct image_info **ret, struct err *err)
{
	struct fake *f = fake_of(e);
	const struct image *i;
	SCOPED_LOCK(&f->mutex);

	i = find_locked(f, name);
	if (!i)
		return err_set(err, -ENOENT, "there is no image '%s'", name);
	*ret = info_locked(i);
	return 0;
}

void image_info_free(struct image_info *info)
{
	if (!info)
		return;
	strv_free(info->aliases);
	strv_free(info->cmd);
	free(info->architecture);
	free(info);
}

int image_list(struct engine *e, struct image_info ***ret, struct err *err)
{
	struct fake *f = fake_of(e);
	struct image_info **list = xcalloc(1, sizeof(*list));
	size_t n = 0;
	SCOPED_LOCK(&f->mutex);

	list_each (node, &f->images) {
		list = xreallocarray(list, n + 2, sizeof(*list));
		list[n++] = info_locked(list_of(node, struct image, link));
		list[n] = NULL;
	}
	*ret = list;
	return 0;
}

void image_list_free(struct image_info **list)
{
	for (size_t i = 0; list && list[i]; i++)
		image_info_free(list[i]);
	free(list);
}

int image_import_fd(struct engine *e, int fd, const char *alias, struct operation *op, char **ret_fingerprint,
		    struct err *err)
{
	AUTO(digest_free) struct digest *d = digest_new();
	struct fake *f = fake_of(e);
	char buf[4096], hex[DIGEST_HEX_SIZE];
	uint64_t total = 0;
	ssize_t n;
	int r;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		if (total == 0 && n >= 6 && memcmp(buf, "REFUSE", 6) == 0)
			return err_set(err, -EINVAL, "that is no image");
		digest_add(d, buf, (size_t)n);
		total += (uint64_t)n;
	}
	r = operation_commit(op, err);
	if (r < 0)
		return r;
	digest_hex(d, hex);
	*ret_fingerprint = xstrdup(hex);
	SCOPED_LOCK(&f->mutex);
	add_locked(f, hex, alias, total);
	return 0;
}

int image_import(struct engine *e, const char *path, const char *alias, struct operation *op, char **ret_fingerprint,
		 struct err *err)
{
	return err_set(err, -ENOENT, "%s: no such file", path);
}

int image_pull(struct engine *e, const char *reference, const char *alias, bool is_insecure, struct operation *op,
	       char **ret_fingerprint, struct err *err)
{
	struct fake *f = fake_of(e);
	char hex[DIGEST_HEX_SIZE];
	SCOPED_LOCK(&f->mutex);

	digest_of(reference, strlen(reference), hex);
	add_locked(f, hex, alias, 1);
	*ret_fingerprint = xstrdup(hex);
	return 0;
}

int image_delete(struct engine *e, const char *name, struct err *err)
{
	struct fake *f = fake_of(e);
	struct image *i;
	SCOPED_LOCK(&f->mutex);

	i = find_locked(f, name);
	if (!i)
		return err_set(err, -ENOENT, "there is no image '%s'", name);
	image_free(i);
	return 0;
}

int image_alias_add(struct engine *e, const char *alias, const char *fingerprint, struct err *err)
{
	struct fake *f = fake_of(e);
	struct image *i;
	SCOPED_LOCK(&f->mutex);

	if (find_locked(f, alias))
		return err_set(err, -EEXIST, "there is an image '%s' already", alias);
	i = find_locked(f, fingerprint);
	if (!i)
		return err_set(err, -ENOENT, "there is no image '%s'", fingerprint);
	strv_add(&i->aliases, alias);
	return 0;
}

int image_alias_delete(struct engine *e, const char *alias, struct err *err)
{
	struct fake *f = fake_of(e);
	struct image *i;
	SCOPED_LOCK(&f->mutex);

	i = find_locked(f, alias);
	if (!i || strcmp(i->fingerprint, alias) == 0)
		return err_set(err, -ENOENT, "there is no image alias '%s'", alias);
	for (char **a = i->aliases; *a; a++) {
		if (strcmp(*a, alias) != 0)
			continue;
		free(*a);
		for (; *a; a++)
			*a = a[1];
		break;
	}
	return 0;
}
