/* SPDX-License-Identifier: Apache-2.0 */
/* test-rootfs.c - overlays as the kernel shows them, and users as an image names them */
#include "image/rootfs.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strv.h"
#include "test.h"

/* Mounts of a test are its own. False where that is not possible. */
static bool has_mounts(void)
{
	static bool is_private;

	if (!is_private && geteuid() == 0)
		is_private = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return is_private;
}

#define NEEDS_MOUNTS()                                                                                                 \
	do {                                                                                                           \
		if (!has_mounts())                                                                                     \
			SKIP("mounting needs root");                                                                   \
	} while (0)

static void put(const char *folder, const char *name, const char *text)
{
	autofree char *path = path_join(folder, name);

	CHECK_INT(file_write_whole(path, text, strlen(text), 0644, NULL), 0);
}

static void check_text(const char *folder, const char *name, const char *want)
{
	autofree char *path = path_join(folder, name), *text = NULL;

	CHECK_INT(file_read(path, 1 << 20, &text, NULL, NULL), 0);
	CHECK_STR(text, want);
}

static bool exists(const char *folder, const char *name)
{
	autofree char *path = path_join(folder, name);

	return path_exists(path);
}

/* Folders for one overlay. */
struct stage {
	char *path, *upper, *work, *target, **lower;
};

static void stage_done(struct stage *s)
{
	struct err err = ERR_INIT;

	if (s->target)
		CHECK_INT(rootfs_unmount(s->target, /* is_lazy= */ false, &err), 0);
	CHECK_STR(err.text, "");
	if (s->path)
		CHECK_INT(path_remove_all(s->path, &err), 0);
	free(s->path);
	free(s->upper);
	free(s->work);
	free(s->target);
	strv_free(s->lower);
}
AUTO_DEFINE_IN(struct stage, stage_done)

static void stage_add(struct stage *s)
{
	char *lower = path_joinf(s->path, "layer-%zu", strv_len(s->lower));

	CHECK_INT(path_mkdirs(lower, 0755, NULL), 0);
	strv_take(&s->lower, lower);
}

static struct stage stage_make(const char *name, int n_lower)
{
	struct stage s = { .path = path_join(test_dir(), name) };

	s.upper = path_join(s.path, "upper");
	s.work = path_join(s.path, "work");
	s.target = path_join(s.path, "merged");
	CHECK_INT(path_mkdirs(s.path, 0700, NULL), 0);
	for (int i = 0; i < n_lower; i++)
		stage_add(&s);
	return s;
}

static void check_layers(bool by_text, const char *name)
{
	AUTO(stage_done) struct stage s = stage_make(name, 3);
	autofree char *gone = path_join(s.lower[2], "gone"), *dir = path_join(s.lower[2], "dir");
	autofree char *dir0 = path_join(s.lower[0], "dir");
	struct err err = ERR_INIT;
	struct stat st;

	put(s.lower[0], "low", "0");
	put(s.lower[0], "both", "0");
	put(s.lower[0], "gone", "0");
	put(s.lower[1], "both", "1");
	CHECK_INT(mkdir(dir, 0755), 0);
	CHECK_INT(mkdir(dir0, 0755), 0);
	put(dir0, "hidden", "x");
	CHECK_INT(mknod(gone, S_IFCHR, makedev(0, 0)), 0);
	CHECK_INT(setxattr(dir, "trusted.overlay.opaque", "y", 1, 0), 0);
	CHECK_INT(rootfs_mount_by(by_text, s.lower, s.upper, s.work, s.target, &err), 0);
	CHECK_STR(err.text, "");
	CHECK_INT(rootfs_is_mounted(s.target, NULL), 1);
	check_text(s.target, "low", "0");
	check_text(s.target, "both", "1");
	CHECK(!exists(s.target, "gone") && exists(s.target, "dir") && !exists(s.target, "dir/hidden"));
	CHECK(stat(s.target, &st) == 0 && st.st_mode == (S_IFDIR | 0555));
	put(s.target, "mine", "u");
	check_text(s.upper, "mine", "u");
	CHECK_INT(rootfs_mount_by(by_text, s.lower, s.upper, s.work, s.target, &err), -EBUSY);
}

TEST(layers_are_stacked)
{
	NEEDS_MOUNTS();
	check_layers(/* by_text= */ false, "new");
	check_layers(/* by_text= */ true, "old");
}

/* The fields of /proc/self/mountinfo behind "overlay overlay", for @target. */
static char *options_of(const char *target)
{
	autofree char *text = NULL;
	AUTO(strv_free) char **lines = NULL;

	CHECK_INT(file_read("/proc/self/mountinfo", 16 << 20, &text, NULL, NULL), 0);
	lines = strv_split(text ? text : "", '\n');
	for (size_t i = 0; lines[i]; i++) {
		const char *options = strstr(lines[i], " - overlay overlay ");

		if (options && strstr(lines[i], target))
			return xstrdup(options);
	}
	return xstrdup("none");
}

TEST(files_have_handles)
{
	AUTO(stage_done) struct stage s = stage_make("handles", 2);
	struct {
		struct file_handle h;
		char room[MAX_HANDLE_SZ];
	} handle = { .h.handle_bytes = MAX_HANDLE_SZ };
	autofree char *options = NULL, *file = path_join(s.target, "f");
	struct err err = ERR_INIT;
	int mount_id;

	NEEDS_MOUNTS();
	put(s.lower[0], "f", "x");
	CHECK_INT(rootfs_mount(s.lower, s.upper, s.work, s.target, &err), 0);
	CHECK_STR(err.text, "");
	options = options_of(s.target);
	CHECK(strstr(options, "index=on") && strstr(options, "nfs_export=on"));
	CHECK(!strstr(options, "metacopy=on") && !strstr(options, "redirect_dir=on"));
	CHECK_INT(name_to_handle_at(AT_FDCWD, file, &handle.h, &mount_id, 0), 0);
}

TEST(what_is_written_is_there_after_a_second_mount)
{
	AUTO(stage_done) struct stage s = stage_make("again", 2);
	autofree char *low = path_join(s.target, "low"), *mine = path_join(s.target, "mine");
	struct stat before, after;

	NEEDS_MOUNTS();
	put(s.lower[0], "low", "0");
	for (int i = 0; i < 3; i++) {
		CHECK_INT(rootfs_mount(s.lower, s.upper, s.work, s.target, NULL), 0);
		if (i == 0)
			put(s.target, "mine", "kept");
		if (i == 1)
			CHECK_INT(unlink(low), 0);
		check_text(s.target, "mine", "kept");
		CHECK(exists(s.target, "low") == (i == 0));
		CHECK(stat(mine, i == 0 ? &before : &after) == 0);
		CHECK_INT(rootfs_unmount(s.target, /* is_lazy= */ false, NULL), 0);
		CHECK_INT(rootfs_is_mounted(s.target, NULL), 0);
	}
	CHECK(before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
}

TEST(many_layers)
{
	AUTO(stage_done) struct stage s = stage_make("many", 300);
	struct err err = ERR_INIT;

	NEEDS_MOUNTS();
	put(s.lower[0], "first", "0");
	put(s.lower[299], "last", "299");
	CHECK_INT(rootfs_mount_by(/* by_text= */ true, s.lower, s.upper, s.work, s.target, &err), -E2BIG);
	CHECK(strstr(err.text, "300 layers do not fit"));
	CHECK_INT(rootfs_is_mounted(s.target, NULL), 0);
	CHECK_INT(rootfs_mount_by(/* by_text= */ false, s.lower, s.upper, s.work, s.target, &err), 0);
	check_text(s.target, "first", "0");
	check_text(s.target, "last", "299");
}

TEST(awkward_paths)
{
	AUTO(strv_free) char **names = strv_new("a:b", "a,b", "a\\b", "a b", NULL);

	NEEDS_MOUNTS();
	for (size_t i = 0; names[i]; i++)
		for (int by_text = 0; by_text < 2; by_text++) {
			AUTO(stage_done) struct stage s = stage_make(names[i], 2);
			struct err err = ERR_INIT;

			put(s.lower[0], "low", "0");
			CHECK_INT(rootfs_mount_by(by_text, s.lower, s.upper, s.work, s.target, &err), 0);
			CHECK_STR(err.text, "");
			check_text(s.target, "low", "0");
		}
}

TEST(long_paths)
{
	char name[200];
	autofree char *deep = NULL;

	NEEDS_MOUNTS();
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	deep = xasprintf("%s/%s", name, name);
	{
		AUTO(stage_done) struct stage s = stage_make(deep, 2);
		struct err err = ERR_INIT;

		put(s.lower[0], "low", "0");
		CHECK_INT(rootfs_mount_by(/* by_text= */ false, s.lower, s.upper, s.work, s.target, &err), 0);
		CHECK_STR(err.text, "");
		check_text(s.target, "low", "0");
	}
}

TEST(what_cannot_be_mounted)
{
	AUTO(stage_done) struct stage s = stage_make("cannot", 1);
	AUTO(strv_free) char **missing = strv_new("/nonexistent/layer", NULL);
	struct err err = ERR_INIT;

	NEEDS_MOUNTS();
	CHECK_INT(rootfs_mount(NULL, s.upper, s.work, s.target, &err), -EINVAL);
	CHECK_INT(rootfs_mount(missing, s.upper, s.work, s.target, &err), -ENOENT);
	CHECK(strstr(err.text, "/nonexistent/layer"));
	CHECK_INT(rootfs_mount_by(/* by_text= */ true, missing, s.upper, s.work, s.target, &err), -ENOENT);
	CHECK_INT(rootfs_mount(s.lower, s.upper, s.upper, s.target, &err), -EINVAL);
	CHECK(strstr(err.text, "cannot mount the root file system"));
	CHECK_INT(rootfs_is_mounted(s.target, NULL), 0);
}

TEST(an_upper_has_one_user)
{
	AUTO(stage_done) struct stage s = stage_make("one", 1);
	autofree char *other = path_join(s.path, "other");
	struct err err = ERR_INIT;

	NEEDS_MOUNTS();
	CHECK_INT(rootfs_mount(s.lower, s.upper, s.work, s.target, NULL), 0);
	CHECK_INT(rootfs_mount(s.lower, s.upper, s.work, other, &err), -EBUSY);
	CHECK(strstr(err.text, other));
}

TEST(in_use_is_unmounted_only_when_told)
{
	AUTO(stage_done) struct stage s = stage_make("busy", 1);
	struct err err = ERR_INIT;
	autoclose int fd = -1;

	NEEDS_MOUNTS();
	put(s.lower[0], "f", "x");
	CHECK_INT(rootfs_mount(s.lower, s.upper, s.work, s.target, NULL), 0);
	fd = open(s.target, O_RDONLY | O_CLOEXEC);
	CHECK_INT(rootfs_unmount(s.target, /* is_lazy= */ false, &err), -EBUSY);
	CHECK_INT(rootfs_is_mounted(s.target, NULL), 1);
	CHECK_INT(rootfs_unmount(s.target, /* is_lazy= */ true, &err), 0);
	CHECK_INT(rootfs_is_mounted(s.target, NULL), 0);
	CHECK_INT(rootfs_unmount("/nonexistent", /* is_lazy= */ false, NULL), 0);
	CHECK_INT(rootfs_is_mounted("/nonexistent", NULL), 0);
}

/* ---- users ------------------------------------------------------------------------------------------------------- */

static char *make_root(const char *name, const char *passwd, const char *group)
{
	char *root = path_join(test_dir(), name);
	autofree char *etc = path_join(root, "etc");

	CHECK_INT(path_mkdirs(etc, 0755, NULL), 0);
	if (passwd)
		put(etc, "passwd", passwd);
	if (group)
		put(etc, "group", group);
	return root;
}

/* "uid:gid:group,group:home", or the error. */
static char *lookup(const char *root, const char *spec)
{
	AUTO(rootfs_user_done) struct rootfs_user u = { 0 };
	struct err err = ERR_INIT;
	char *s;

	if (rootfs_lookup_user(root, spec, &u, &err) < 0)
		return xstrdup(err.text);
	s = xasprintf("%u:%u:", u.uid, u.gid);
	for (size_t i = 0; i < u.n_groups; i++) {
		char *more = xasprintf("%s%s%u", s, i ? "," : "", u.groups[i]);

		free(s);
		s = more;
	}
	{
		char *all = xasprintf("%s:%s", s, u.home);

		free(s);
		return all;
	}
}

static void check_user(const char *root, const char *spec, const char *want)
{
	autofree char *s = lookup(root, spec);

	CHECK_STR(s, want);
}

TEST(users_are_looked_up)
{
	autofree char *root = make_root("root",
					"root:x:0:0:root:/root:/bin/sh\n"
					"rubbish\n::::::\nbad:x:12a:4:::\nweb:x:33:33:www:/var/www:/bin/sh\n"
					"1000:x:77:78::/odd:\nnohome:x:5:6::relative:\nbig:x:4294967295:0::/:\n",
					"root:x:0:\nweb:x:33:\nlog:x:4:web,root\naudio:x:29:web\nnone:x:30:\n");
	autofree char *bare = make_root("bare", NULL, NULL);

	check_user(root, NULL, "0:0:4:/root");
	check_user(root, "", "0:0:4:/root");
	check_user(root, "web", "33:33:4,29:/var/www");
	check_user(root, "33", "33:33:4,29:/var/www");
	check_user(root, "web:log", "33:4::/var/www");
	check_user(root, "web:", "33:33:4,29:/var/www");
	check_user(root, "web:1234", "33:1234::/var/www");
	check_user(root, ":log", "0:4::/root");
	check_user(root, "4711", "4711:0::/");
	check_user(root, "4711:4712", "4711:4712::/");
	check_user(root, "1000", "77:78::/odd");
	check_user(root, "nohome", "5:6::/");
	check_user(root, "nobody", "no user 'nobody' in the image's etc/passwd");
	check_user(root, "web:nogroup", "no group 'nogroup' in the image's etc/group");
	check_user(root, "big", "no user 'big' in the image's etc/passwd");
	check_user(root, "4294967295", "no user '4294967295' in the image's etc/passwd");
	check_user(root, "-1", "no user '-1' in the image's etc/passwd");
	check_user(bare, "5:6", "5:6::/");
	check_user(bare, NULL, "0:0::/");
	check_user(bare, "web", "no user 'web' in the image's etc/passwd");
}

/* etc/passwd leads to the host's, or is no file: neither is read. */
TEST(hostile_passwd)
{
	autofree char *link = make_root("link", NULL, NULL), *pipe_root = make_root("pipe", NULL, NULL);
	autofree char *inside = make_root("inside", NULL, NULL), *usr = path_join(inside, "usr");
	autofree char *a = path_join(link, "etc/passwd"), *b = path_join(pipe_root, "etc/passwd");
	autofree char *c = path_join(inside, "etc/passwd"), *text = NULL;

	CHECK_INT(symlink("/etc/passwd", a), 0);
	text = lookup(link, "root");
	CHECK(strstr(text, "passwd") && !strstr(text, "/root"));
	CHECK_INT(unlink(a), 0);
	CHECK_INT(symlink("../../../../../../../../../../etc/hostname", a), 0);
	check_user(link, "0", "0:0::/");
	CHECK_INT(mkfifo(b, 0644), 0);
	check_user(pipe_root, "root", "etc/passwd is not a plain file");
	CHECK_INT(mkdir(usr, 0755), 0);
	put(usr, "passwd", "web:x:33:33::/var/www:\n");
	CHECK_INT(symlink("/usr/passwd", c), 0);
	check_user(inside, "web", "33:33::/var/www");
}
