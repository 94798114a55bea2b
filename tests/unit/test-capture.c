/* SPDX-License-Identifier: Apache-2.0 */
/* test-capture.c - what a copy keeps, what a second pass finds, and how a tree is put into words */
#include "base/strv.h"
#include "capture-tree.h"

static struct stat stat_in(const char *folder, const char *name)
{
	autofree char *path = path_join(folder, name);
	struct stat st = { 0 };

	CHECK(lstat(path, &st) == 0);
	return st;
}

TEST(a_copy_is_the_same)
{
	NEEDS_ROOT();
	AUTO(pair_done) struct pair p = pair_full("copy");
	autofree char *before = tree_text(p.from), *after = NULL;
	struct capture_stats stats = { 0 };
	struct err err = ERR_INIT;
	struct stat a, b;

	CHECK_INT(capture_copy(p.from, p.to, &stats, &err), 0);
	CHECK_STR(err.text, "");
	CHECK_SAME(p.from, p.to);
	after = tree_text(p.from);
	CHECK_STR(before, after);
	a = stat_in(p.from, "sparse");
	b = stat_in(p.to, "sparse");
	CHECK(a.st_size == b.st_size && a.st_blocks == b.st_blocks && b.st_blocks < (2 << 20) / 512);
	a = stat_in(p.from, "plain");
	b = stat_in(p.to, "plain");
	CHECK(a.st_atim.tv_sec == b.st_atim.tv_sec && a.st_atim.tv_nsec == b.st_atim.tv_nsec);
	CHECK_INT(stats.files, 10);
	CHECK_INT(stats.folders, 3);
	CHECK_INT(stats.others, 7);
	CHECK_INT(stats.early_bytes, 0);
	CHECK_INT(stats.bytes, stats.late_bytes + stats.cloned_bytes);
	CHECK(stats.bytes >= 1 << 20 && stats.bytes < 2 << 20);
}

/* What a container does between the two passes. */
static void rewrite_same_size(int dir)
{
	tree_put(dir, "sub/file", "peed");
}

static void rewrite_and_put_the_time_back(int dir)
{
	struct stat st;

	CHECK(fstatat(dir, "sub/file", &st, 0) == 0);
	tree_put(dir, "sub/file", "peed");
	tree_set_time(dir, "sub/file", st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void rename_over(int dir)
{
	tree_put(dir, "new", "content");
	CHECK(renameat(dir, "new", dir, "plain") == 0);
}

static void change_mode(int dir)
{
	CHECK(fchmodat(dir, "empty", 04711, 0) == 0 && fchmodat(dir, "sub", 0700, 0) == 0);
}

static void change_owner(int dir)
{
	CHECK(fchownat(dir, "capable", 1, 1, 0) == 0 && fchownat(dir, "link", 1, 1, AT_SYMLINK_NOFOLLOW) == 0);
}

static void change_attributes(int dir)
{
	tree_set_xattr(dir, "pipe", "trusted.on-a-pipe", "y", 1);
	tree_set_xattr(dir, ".", "user.root", "y", 1);
	tree_set_xattr(dir, "sub", "trusted.more", "y", 1);
	tree_put(dir, "sub/heir", "longer than before");
}

static void drop_attributes(int dir)
{
	CHECK(tree_remove_xattr(dir, "sub", "trusted.overlay.opaque") == 0);
	CHECK(tree_remove_xattr(dir, "sub", "system.posix_acl_default") == 0);
	CHECK(tree_remove_xattr(dir, "plain", "user.mine") == 0);
	CHECK(tree_remove_xattr(dir, "plain", "system.posix_acl_access") == 0);
}

static void write_below_a_default_acl(int dir)
{
	tree_put(dir, "sub/bare", "no ACL though its folder gives one");
	CHECK(tree_remove_xattr(dir, "sub/bare", "system.posix_acl_access") == 0);
}

static void add_a_name(int dir)
{
	CHECK(linkat(dir, "sub/file", dir, "a-file-too", 0) == 0);
	CHECK(linkat(dir, "plain", dir, "zz-plain-too", 0) == 0);
}

static void drop_a_name(int dir)
{
	CHECK(unlinkat(dir, "plain", 0) == 0);
}

static void write_through_a_name(int dir)
{
	tree_put(dir, "sub/plain-too", "CONTENT");
}

static void part_names(int dir)
{
	CHECK(unlinkat(dir, "plain", 0) == 0);
	tree_put(dir, "plain", "content");
}

/* The names' inode is not touched; the way to one of them is another. */
static void rename_the_folder_of_a_name(int dir)
{
	CHECK(renameat(dir, "sub", dir, "a-sub") == 0);
}

static void swap_folders(int dir)
{
	CHECK(mkdirat(dir, "other", 0755) == 0);
	tree_put(dir, "other/file", "other");
	CHECK(renameat2(dir, "other", dir, "sub", RENAME_EXCHANGE) == 0);
}

static void file_becomes_folder(int dir)
{
	CHECK(unlinkat(dir, "empty", 0) == 0 && mkdirat(dir, "empty", 0700) == 0);
	tree_put(dir, "empty/now", "full");
}

static void folder_becomes_link(int dir)
{
	autofree char *sub = xasprintf("/proc/self/fd/%d/sub", dir);

	CHECK_INT(path_remove_all(sub, NULL), 0);
	CHECK(symlinkat("/etc", dir, "sub") == 0);
}

static void retarget_a_link(int dir)
{
	CHECK(unlinkat(dir, "link", 0) == 0 && symlinkat("/etc/shadow", dir, "link") == 0);
}

static void remove_all(int dir)
{
	autofree char *path = xasprintf("/proc/self/fd/%d/.", dir);
	autofree char *real = realpath(path, NULL);

	CHECK_INT(path_remove_all(real, NULL), 0);
	CHECK(mkdir(real, 0700) == 0);
}

static void nothing(int dir)
{
}

static const struct {
	const char *name;
	void (*change)(int dir);
} changes[] = {
	{ "nothing", nothing },
	{ "same size", rewrite_same_size },
	{ "same size and time", rewrite_and_put_the_time_back },
	{ "renamed over", rename_over },
	{ "mode", change_mode },
	{ "owner", change_owner },
	{ "attributes", change_attributes },
	{ "attributes gone", drop_attributes },
	{ "new below a default ACL", write_below_a_default_acl },
	{ "one more name", add_a_name },
	{ "one name less", drop_a_name },
	{ "written through a name", write_through_a_name },
	{ "no longer one file", part_names },
	{ "folder renamed", rename_the_folder_of_a_name },
	{ "folders swapped", swap_folders },
	{ "file becomes folder", file_becomes_folder },
	{ "folder becomes link", folder_becomes_link },
	{ "link leads elsewhere", retarget_a_link },
};

static void check_change(const char *name, void (*change)(int dir))
{
	AUTO(pair_done) struct pair p = pair_full("change");
	AUTO(capture_free) struct capture *c = NULL;
	struct capture_stats stats;
	struct err err = ERR_INIT;

	CHECK_INT(capture_prepare(p.from, p.to, NULL, NULL, &c, &err), 0);
	change(p.dir);
	if (c)
		CHECK_INT(capture_take(c, NULL, &stats, &err), 0);
	CHECK_STR(err.text, "");
	if (!tree_is_same(p.from, p.to)) {
		CHECK(!"the copy is the original");
		printf("       after: %s\n", name);
	}
}

TEST(a_second_pass_finds_what_changed)
{
	NEEDS_ROOT();
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		check_change(changes[i].name, changes[i].change);
}

TEST(a_tree_may_be_replaced_as_a_whole)
{
	NEEDS_ROOT();
	AUTO(pair_done) struct pair p = pair_full("whole");
	AUTO(capture_free) struct capture *c = NULL;
	struct err err = ERR_INIT;

	CHECK_INT(capture_prepare(p.from, p.to, NULL, NULL, &c, &err), 0);
	remove_all(p.dir);
	REQUIRE(c);
	/* what was opened is gone: said, not captured as empty */
	CHECK(capture_take(c, NULL, NULL, &err) == 0 || err.text[0]);
}

TEST(what_did_not_change_is_not_copied_again)
{
	NEEDS_ROOT();
	AUTO(pair_done) struct pair p = pair_full("early");
	AUTO(capture_free) struct capture *c = NULL;
	autofree char *plain = path_join(p.to, "plain"), *sparse = path_join(p.to, "sparse");
	AUTO(strv_free) char **always = strv_new("sub/plain-too", "no/such/file", NULL);
	struct capture_stats stats = { 0 };
	struct err err = ERR_INIT;
	struct stat a, b, c0, c1;

	(void)usleep(50000); /* older than a clock tick */
	CHECK_INT(capture_prepare(p.from, p.to, NULL, NULL, &c, &err), 0);
	REQUIRE(c && stat(sparse, &a) == 0 && stat(plain, &c0) == 0);
	CHECK_INT(capture_take(c, always, &stats, &err), 0);
	CHECK_STR(err.text, "");
	REQUIRE(stat(sparse, &b) == 0 && stat(plain, &c1) == 0);
	CHECK(a.st_ino == b.st_ino);
	/* asked for by its other name */
	CHECK(c0.st_ino != c1.st_ino || c0.st_ctim.tv_nsec != c1.st_ctim.tv_nsec);
	CHECK_INT(stats.files, 10);
	CHECK_INT(stats.others, 7);
	CHECK_INT(stats.bytes, stats.early_bytes + stats.late_bytes + stats.cloned_bytes);
	CHECK(stats.late_bytes <= 7 && stats.bytes >= 1 << 20);
	CHECK_SAME(p.from, p.to);
}

static bool is_second(void *ctx)
{
	return ++*(int *)ctx >= 2;
}

TEST(failures_leave_nothing)
{
	NEEDS_ROOT();
	AUTO(pair_done) struct pair p = pair_full("fail");
	AUTO(capture_free) struct capture *c = NULL;
	autofree char *small = path_join(p.base, "small"), *to = path_join(small, "to");
	struct err err = ERR_INIT;
	int n = 0;

	CHECK_INT(capture_prepare(p.from, p.to, is_second, &n, &c, &err), -ECANCELED);
	CHECK(!path_exists(p.to) && !c);
	CHECK(mkdir(p.to, 0700) == 0);
	CHECK_INT(capture_prepare(p.from, p.to, NULL, NULL, &c, &err), -EEXIST);
	CHECK_INT(capture_copy(p.from, p.to, NULL, &err), -EEXIST);
	CHECK(path_exists(p.to));
	CHECK_INT(capture_copy(p.to, "/nowhere/to", NULL, &err), -ENOENT);
	CHECK(mkdir(small, 0700) == 0 && mount("small", small, "tmpfs", 0, "size=512k") == 0);
	CHECK_INT(capture_copy(p.from, to, NULL, &err), -ENOSPC);
	CHECK(strstr(err.text, "sparse") && !path_exists(to));
	CHECK(umount(small) == 0);
}

/* ---- digests ---------------------------------------------------------------------------------------------------- */

/* Written down by hand, so that a digest made by one version is understood by the next. */
TEST(a_digest_is_this_text)
{
	NEEDS_ROOT();
	AUTO(pair_done) struct pair p = pair_make("text");
	autofree char *text = NULL;

	CHECK(mkdir(p.from, 0755) == 0);
	p.dir = open(p.from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tree_put(p.dir, "b c\n\\\xe4", "abc");
	CHECK(linkat(p.dir, "b c\n\\\xe4", p.dir, "z", 0) == 0 && symlinkat("to there", p.dir, "l") == 0);
	CHECK(mknodat(p.dir, "w", S_IFCHR | 0640, makedev(0, 0)) == 0 && mkdirat(p.dir, "d", 01777) == 0);
	CHECK(fchmodat(p.dir, "d", 01777, 0) == 0 && mknodat(p.dir, "d/p", S_IFIFO | 0600, 0) == 0);
	CHECK(fchownat(p.dir, "w", 4294967294, 3, 0) == 0);
	tree_set_xattr(p.dir, "l", "trusted.x", "y", 1);
	tree_set_xattr(p.dir, "d", "trusted.overlay.origin", "y", 1);
	for (const char *const *s = (const char *const[]){ "b c\n\\\xe4", "l", "w", "d/p", "d", ".", NULL }; *s; s++)
		tree_set_time(p.dir, *s, 1, 5);
	text = tree_text(p.from);
	CHECK_STR(text, "d 0755 0 0 1.000000005 0 - - .\n"
			"f 0644 0 0 1.000000005 3 - ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad "
			"b\\x20c\\x0a\\x5c\\xe4\n"
			"d 1777 0 0 1.000000005 0 - - d\n"
			"p 0600 0 0 1.000000005 0 - - d/p\n"
			"l 0777 0 0 1.000000005 8 d7662ee81642e2e14adfc09bb0ceccfbc12b469f03a9aa8feebba6eeaafd4d6c "
			"to\\x20there l\n"
			"c 0640 4294967294 3 1.000000005 0 - 0:0 w\n"
			"h 0644 0 0 1.000000005 3 - b\\x20c\\x0a\\x5c\\xe4 z\n");
}

TEST(a_digest_without_content)
{
	NEEDS_ROOT();
	AUTO(pair_done) struct pair p = pair_full("quick");
	char a[DIGEST_HEX_SIZE], b[DIGEST_HEX_SIZE], full[DIGEST_HEX_SIZE];
	autofree char *out = path_join(p.base, "out");
	struct err err = ERR_INIT;
	struct stat st;

	CHECK_INT(capture_digest(p.from, out, /* content= */ false, a, &err), 0);
	CHECK_INT(capture_digest(p.from, out, /* content= */ true, full, &err), 0);
	st = stat_in(p.base, "out");
	CHECK_INT(st.st_mode, S_IFREG | 0600);
	rewrite_and_put_the_time_back(p.dir);
	CHECK_INT(capture_digest(p.from, out, /* content= */ false, b, &err), 0);
	CHECK_STR(a, b);
	CHECK_INT(capture_digest(p.from, out, /* content= */ true, b, &err), 0);
	CHECK(strcmp(full, b) != 0);
	CHECK_INT(capture_digest(p.to, out, /* content= */ true, b, &err), -ENOENT);
	CHECK(path_exists(out)); /* the old one */
}

/* A change that is no change of the text is a lost one. */
TEST(a_digest_tells_every_change)
{
	NEEDS_ROOT();
	for (size_t i = 1; i < ARRAY_SIZE(changes); i++) {
		AUTO(pair_done) struct pair p = pair_full("tell");
		autofree char *before = tree_text(p.from), *after = NULL;

		changes[i].change(p.dir);
		after = tree_text(p.from);
		if (str_eq(before, after))
			printf("       %s\n", changes[i].name);
		CHECK(!str_eq(before, after));
	}
}
