/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * wild.h - trees as wild as containers make them, and what is to be seen of them
 *
 * wild_change() does random things to a tree, the same ones for the same seed. wild_text() says everything about it
 * that another one must have in common with it, a line for each name.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "test.h"

struct wild {
	const char *root;
	uint64_t state;
};

static inline unsigned wild_random(struct wild *w, unsigned n)
{
	w->state = w->state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(w->state >> 33) % n;
}

/* Few names, so that things meet; some that are easily mistaken. */
static inline char *wild_path(struct wild *w)
{
	static const char *const names[] = { "a", "b", "c", "d", "e", ".wh.a", "\xff\xfe", "ü \n", "...", "x.img" };
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;
	unsigned depth = 1 + wild_random(w, 4);

	strbuf_adds(&sb, w->root);
	for (unsigned i = 0; i < depth; i++)
		strbuf_addf(&sb, "/%s", names[wild_random(w, wild_random(w, 3) ? 5 : ARRAY_SIZE(names))]);
	return strbuf_take(&sb);
}

/* Data, holes at any place, or nothing but one hole. */
static inline void wild_write(struct wild *w, const char *path)
{
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
	struct stat st;
	char buf[5000];

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	memset(buf, (int)wild_random(w, 256), sizeof(buf));
	for (unsigned i = wild_random(w, 4); i > 0; i--)
		CHECK(pwrite(fd, buf, 1 + wild_random(w, sizeof(buf)), (off_t)wild_random(w, 6) * 100000) > 0);
	if (wild_random(w, 3) == 0)
		CHECK_INT(ftruncate(fd, wild_random(w, 700000)), 0);
}

static inline void wild_acl(const char *path, const char *name)
{
	static const struct {
		uint32_t version;
		struct {
			uint16_t tag, perm;
			uint32_t id;
		} entries[5];
	} acl = { 2, { { 1, 6, ~0U }, { 2, 4, 1234 }, { 4, 5, ~0U }, { 0x10, 7, ~0U }, { 0x20, 0, ~0U } } };

	(void)lsetxattr(path, name, &acl, sizeof(acl), 0);
}

static inline void wild_xattr(struct wild *w, const char *path)
{
	/* struct vfs_cap_data, version 2: cap_net_raw=ep */
	static const char capability[20] = { 1, 0, 0, 2, 0, 0x20 };

	switch (wild_random(w, 6)) {
	case 0:
		(void)lsetxattr(path, "user.note", path, strlen(path) % 50, 0);
		break;
	case 1:
		(void)lsetxattr(path, "trusted.secret", "a\0b", 3, 0);
		break;
	case 2:
		(void)lsetxattr(path, "security.capability", capability, sizeof(capability), 0);
		break;
	case 3:
		wild_acl(path, "system.posix_acl_access");
		break;
	case 4:
		wild_acl(path, "system.posix_acl_default");
		break;
	default:
		(void)lremovexattr(path, "user.note");
		break;
	}
}

static inline void wild_socket(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) < sizeof(sa.sun_path)) {
		strcpy(sa.sun_path, path);
		(void)bind(fd, (struct sockaddr *)&sa, sizeof(sa));
	}
}

static inline void wild_attributes(struct wild *w, const char *path)
{
	const struct timespec t[2] = { { wild_random(w, 2000000000), wild_random(w, 1000000000) },
				       { wild_random(w, 2000000000), wild_random(w, 1000000000) } };
	struct stat st;

	if (lstat(path, &st) < 0)
		return;
	CHECK_INT(lchown(path, wild_random(w, 4000000), wild_random(w, 5)), 0);
	if (!S_ISLNK(st.st_mode))
		(void)chmod(path, wild_random(w, 010000));
	if (wild_random(w, 2))
		wild_xattr(w, path);
	if (wild_random(w, 2))
		(void)utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW);
}

/* Much of what is tried cannot be done. */
static inline void wild_may_fail(int r)
{
	(void)r;
}

static inline void wild_make(struct wild *w, const char *path, const char *other)
{
	switch (wild_random(w, 9)) {
	case 0:
	case 1:
	case 2:
		(void)mkdir(path, 0755);
		break;
	case 3:
		wild_may_fail(symlink(other, path));
		break;
	case 4:
		(void)mkfifo(path, 0640);
		break;
	case 5:
		(void)mknod(path, (wild_random(w, 2) ? S_IFCHR : S_IFBLK) | 0600, makedev(1 + wild_random(w, 300), 3));
		break;
	case 6:
		wild_may_fail(link(other, path));
		break;
	case 7:
		if (wild_random(w, 4) == 0)
			wild_socket(path);
		break;
	default:
		wild_write(w, path);
		break;
	}
}

static inline void wild_step(struct wild *w)
{
	autofree char *path = wild_path(w), *other = wild_path(w);

	switch (wild_random(w, 10)) {
	case 0:
		(void)path_remove_all(path, NULL);
		break;
	case 1: /* one thing instead of another */
		(void)path_remove_all(path, NULL);
		wild_make(w, path, other);
		break;
	case 2:
		(void)rename(path, other);
		break;
	case 3:
		(void)unlink(path);
		break;
	case 4:
	case 5:
		wild_attributes(w, path);
		break;
	case 6:
		wild_write(w, path);
		break;
	default:
		wild_make(w, path, other);
		break;
	}
}

static inline void wild_change(const char *root, uint64_t seed, unsigned steps)
{
	struct wild w = { root, seed * 2654435761U + 1 };

	for (unsigned i = 0; i < steps; i++)
		wild_step(&w);
}

/* ---- what is to be seen ------------------------------------------------------------------------------------------ */

#define WILD_LOOSE 1 /* no times of folders, no attributes of them: Podman's importer cannot set them right */

struct wild_names {
	struct strbuf out;
	int flags;
	char **links; /* "ino path" */
};

static inline void wild_text_xattrs(struct wild_names *w, const char *path)
{
	char names[4096], value[4096];
	ssize_t n = llistxattr(path, names, sizeof(names));
	AUTO(strv_free) char **v = NULL;

	for (ssize_t i = 0; i < n; i += (ssize_t)strlen(names + i) + 1)
		strv_add(&v, names + i);
	strv_sort(v);
	for (size_t i = 0; v && v[i]; i++) {
		ssize_t len = lgetxattr(path, v[i], value, sizeof(value));

		strbuf_addf(&w->out, " %s=", v[i]);
		for (ssize_t k = 0; k < len; k++)
			strbuf_addf(&w->out, "%02x", (unsigned char)value[k]);
	}
}

/* The first name of a file with several. */
static inline void wild_text_link(struct wild_names *w, const struct stat *st, const char *name)
{
	autofree char *key = xasprintf("%llu ", (unsigned long long)st->st_ino);

	for (size_t i = 0; w->links && w->links[i]; i++) {
		const char *first = str_after(w->links[i], key);

		if (!first)
			continue;
		strbuf_addf(&w->out, " same as %s", first);
		return;
	}
	strv_addf(&w->links, "%s%s", key, name);
}

static inline void wild_text_content(struct wild_names *w, const char *path, const struct stat *st)
{
	char digest[DIGEST_HEX_SIZE], target[4096];
	ssize_t n;

	if (S_ISREG(st->st_mode)) {
		autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

		CHECK(fd >= 0 && digest_of_fd(fd, digest, NULL, NULL) == 0);
		strbuf_addf(&w->out, " %lld %.16s", (long long)st->st_size, digest);
	} else if (S_ISLNK(st->st_mode)) {
		n = readlink(path, target, sizeof(target));
		CHECK(n > 0);
		strbuf_addf(&w->out, " -> %.*s", (int)n, target);
	} else if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		strbuf_addf(&w->out, " %u:%u", major(st->st_rdev), minor(st->st_rdev));
	}
}

static inline void wild_text_walk(struct wild_names *w, const char *path, const char *name)
{
	struct dirent **list;
	struct stat st = { 0 };
	bool is_loose;
	int n;

	CHECK(lstat(path, &st) == 0);
	if (S_ISSOCK(st.st_mode))
		return; /* no tar holds them */
	is_loose = S_ISDIR(st.st_mode) && (w->flags & WILD_LOOSE);
	strbuf_addf(&w->out, "%s %o %u:%u", name, is_loose && !*name ? S_IFDIR : st.st_mode, st.st_uid, st.st_gid);
	if (!is_loose) {
		strbuf_addf(&w->out, " %lld.%09ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
		wild_text_xattrs(w, path);
	}
	wild_text_content(w, path, &st);
	if (!S_ISDIR(st.st_mode))
		wild_text_link(w, &st, name);
	strbuf_addc(&w->out, '\n');
	if (!S_ISDIR(st.st_mode))
		return;
	n = scandir(path, &list, NULL, alphasort);
	CHECK(n >= 0);
	for (int i = 0; i < n; i++) {
		autofree char *sub = path_join(path, list[i]->d_name), *sub_name = path_join(name, list[i]->d_name);

		if (strcmp(list[i]->d_name, ".") != 0 && strcmp(list[i]->d_name, "..") != 0)
			wild_text_walk(w, sub, sub_name);
		free(list[i]);
	}
	free(list);
}

static inline char *wild_text(const char *root, int flags)
{
	struct wild_names w = { .out = STRBUF_INIT, .flags = flags };

	wild_text_walk(&w, root, "");
	strv_free(w.links);
	return strbuf_take(&w.out);
}

/* Shows the first lines in which they differ. */
static inline bool wild_same(const char *a, const char *b)
{
	AUTO(strv_free) char **x = strv_split(a, '\n'), **y = strv_split(b, '\n');
	unsigned shown = 0;

	if (str_eq(a, b))
		return true;
	for (size_t i = 0; x[i] && shown < 6; i++)
		if (!strv_has(y, x[i]) && ++shown)
			printf("       only before: %s\n", x[i]);
	for (size_t i = 0; y[i] && shown < 12; i++)
		if (!strv_has(x, y[i]) && ++shown)
			printf("       only after:  %s\n", y[i]);
	return false;
}
