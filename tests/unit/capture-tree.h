/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* capture-tree.h - trees with everything a file system can hold, and whether two are the same */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "image/capture.h"
#include "test.h"

#define NEEDS_ROOT()                                                                                                   \
	do {                                                                                                           \
		if (!tree_has_mounts())                                                                                \
			SKIP("devices, trusted attributes and mounts need root");                                      \
	} while (0)

/* Mounts of a test are its own. False where that is not possible. */
static inline bool tree_has_mounts(void)
{
	static bool is_private;

	if (!is_private && geteuid() == 0)
		is_private = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return is_private;
}

/* The text of a tree's digest; the caller's. */
static inline char *tree_text(const char *tree)
{
	/* It is synced, which takes long on a disk. */
	autofree char *path =
		xasprintf("%s/stasis-test-%d", access("/dev/shm", W_OK) < 0 ? "/tmp" : "/dev/shm", getpid());
	char hex[DIGEST_HEX_SIZE], again[DIGEST_HEX_SIZE], *text = NULL;
	struct err err = ERR_INIT;
	size_t len = 0;

	CHECK_INT(capture_digest(tree, path, /* content= */ true, hex, &err), 0);
	CHECK_STR(err.text, "");
	(void)file_read(path, 64 << 20, &text, &len, NULL);
	(void)unlink(path);
	if (!text)
		return xstrdup("");
	digest_of(text, len, again);
	CHECK_STR(hex, again);
	return text;
}

/* Prints the first line in which two trees differ. */
static inline bool tree_is_same(const char *a, const char *b)
{
	autofree char *x = tree_text(a), *y = tree_text(b);
	const char *p = x, *q = y;

	if (str_eq(x, y))
		return true;
	for (size_t n = strcspn(p, "\n"); *p && n == strcspn(q, "\n") && memcmp(p, q, n) == 0; n = strcspn(p, "\n")) {
		p += n + (p[n] == '\n');
		q += n + (q[n] == '\n');
	}
	printf("       %.*s\n       %.*s\n", (int)strcspn(p, "\n"), p, (int)strcspn(q, "\n"), q);
	return false;
}

#define CHECK_SAME(a, b) CHECK(tree_is_same(a, b))

static inline void tree_put(int dir, const char *name, const char *text)
{
	autoclose int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* A hole, a megabyte of data, a hole at the end. */
static inline void tree_put_sparse(int dir, const char *name)
{
	autoclose int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	autofree char *data = xmalloc(1 << 20);

	memset(data, 's', 1 << 20);
	CHECK(fd >= 0 && pwrite(fd, data, 1 << 20, 4 << 20) == 1 << 20);
	CHECK(ftruncate(fd, (12 << 20) + 1) == 0);
}

static inline void tree_set_time(int dir, const char *name, time_t s, long ns)
{
	struct timespec t[2] = { { .tv_sec = s, .tv_nsec = ns }, { .tv_sec = s, .tv_nsec = ns } };

	CHECK(utimensat(dir, name, t, AT_SYMLINK_NOFOLLOW) == 0);
}

/* An ACL as the kernel stores it: user 1000 may read and write. @name: system.posix_acl_access or _default. */
static inline void tree_set_acl(int dir, const char *name, const char *acl)
{
	static const struct {
		uint32_t version;
		struct {
			uint16_t tag, perm;
			uint32_t id;
		} entries[5];
	} value = { 2, { { 1, 7, ~0U }, { 2, 6, 1000 }, { 4, 5, ~0U }, { 0x10, 7, ~0U }, { 0x20, 4, ~0U } } };
	autofree char *path = xasprintf("/proc/self/fd/%d/%s", dir, name);

	CHECK(lsetxattr(path, acl, &value, sizeof(value), 0) == 0);
}

static inline void tree_set_xattr(int dir, const char *name, const char *attr, const void *value, size_t len)
{
	autofree char *path = xasprintf("/proc/self/fd/%d/%s", dir, name);

	CHECK(lsetxattr(path, attr, value, len, 0) == 0);
}

static inline int tree_remove_xattr(int dir, const char *name, const char *attr)
{
	autofree char *path = xasprintf("/proc/self/fd/%d/%s", dir, name);

	return lremovexattr(path, attr);
}

static inline void tree_set_capability(int dir, const char *name)
{
	static const uint32_t value[5] = { 0x02000001, 1U << 10 }; /* cap_net_bind_service=ep */

	tree_set_xattr(dir, name, "security.capability", value, sizeof(value));
}

/* Everything, in a new folder. */
static inline void tree_make(const char *path)
{
	autoclose int dir = -1, sub = -1;

	CHECK(mkdir(path, 0755) == 0);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tree_put(dir, "plain", "content");
	tree_put(dir, "empty", "");
	tree_put(dir, "setuid", "#!");
	tree_put(dir, "capable", "#!");
	tree_put_sparse(dir, "sparse");
	tree_put(dir, "\xff\n \\name", "odd");
	CHECK(fchownat(dir, "setuid", 12, 34, 0) == 0 && fchmodat(dir, "setuid", 06755, 0) == 0);
	CHECK(fchownat(dir, "capable", 12, 34, 0) == 0);
	tree_set_capability(dir, "capable");
	tree_set_xattr(dir, "capable", "trusted.mine", "t\0t", 3);
	tree_set_xattr(dir, "plain", "user.mine", "", 0);
	tree_set_acl(dir, "plain", "system.posix_acl_access");
	CHECK(symlinkat("/etc/passwd", dir, "link") == 0 && fchownat(dir, "link", 5, 6, AT_SYMLINK_NOFOLLOW) == 0);
	tree_set_xattr(dir, "link", "trusted.on-a-link", "x", 1);
	tree_set_time(dir, "link", 1234567890, 987654321);
	CHECK(mknodat(dir, "pipe", S_IFIFO | 0600, 0) == 0 && mknodat(dir, "socket", S_IFSOCK | 0711, 0) == 0);
	CHECK(mknodat(dir, "whiteout", S_IFCHR, makedev(0, 0)) == 0);
	CHECK(mknodat(dir, "device", S_IFBLK | 0640, makedev(250, 70000)) == 0);
	CHECK(fchmodat(dir, "pipe", 0622, 0) == 0);
	tree_set_xattr(dir, "pipe", "trusted.on-a-pipe", "x", 1);
	CHECK(mkdirat(dir, "sub", 0755) == 0);
	sub = openat(dir, "sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tree_put(sub, "file", "deep");
	CHECK(linkat(dir, "plain", sub, "plain-too", 0) == 0 && linkat(dir, "link", sub, "link-too", 0) == 0);
	CHECK(linkat(dir, "device", dir, "a-device-too", 0) == 0);
	CHECK(mkdirat(sub, "empty", 0) == 0);
	tree_set_acl(dir, "sub", "system.posix_acl_default");
	tree_set_xattr(dir, "sub", "trusted.overlay.opaque", "y", 1);
	tree_put(sub, "heir", "has an ACL");
	tree_put(sub, "disowned", "has none");
	CHECK(tree_remove_xattr(sub, "disowned", "system.posix_acl_access") == 0);
	CHECK(fchownat(dir, "sub", 77, 88, 0) == 0 && fchmodat(dir, "sub", 03751, 0) == 0);
	tree_set_time(sub, "file", 1700000000, 123456789);
	tree_set_time(dir, "sub", 1, 1);
	CHECK(chown(path, 9, 10) == 0 && chmod(path, 0555) == 0);
	tree_set_time(AT_FDCWD, path, 1000000000, 999999999);
}

/* Folders of one test, empty: what is to be copied, and the copy's name. */
struct pair {
	char *base, *from, *to;
	int dir; /* @from */
};

static inline void pair_done(struct pair *p)
{
	struct err err = ERR_INIT;

	if (p->dir >= 0)
		(void)close(p->dir);
	CHECK_INT(path_remove_all(p->base, &err), 0);
	CHECK_STR(err.text, "");
	free(p->base);
	free(p->from);
	free(p->to);
}
AUTO_DEFINE_IN(struct pair, pair_done)

static inline struct pair pair_make(const char *name)
{
	struct pair p = { .base = path_join(test_dir(), name), .dir = -1 };

	p.from = path_join(p.base, "from");
	p.to = path_join(p.base, "to");
	CHECK_INT(path_mkdirs(p.base, 0700, NULL), 0);
	return p;
}

static inline struct pair pair_full(const char *name)
{
	struct pair p = pair_make(name);

	tree_make(p.from);
	p.dir = open(p.from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return p;
}
