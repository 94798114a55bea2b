/* SPDX-License-Identifier: Apache-2.0 */
/* test-capture-overlay.c - what a container did to its image is in a copy of its upper folder, all of it */
#include <signal.h>
#include <unistd.h>

#include "base/strv.h"
#include "capture-tree.h"
#include "image/rootfs.h"

struct stage {
	struct pair p;
	char **lower, *work[2], *merged[2];
};

static void stage_done(struct stage *s)
{
	struct err err = ERR_INIT;

	if (s->p.dir >= 0)
		(void)close(TAKE_FD(s->p.dir)); /* it is in a mount */
	for (int i = 0; i < 2; i++) {
		CHECK_INT(rootfs_unmount(s->merged[i], /* is_lazy= */ false, &err), 0);
		free(s->merged[i]);
		free(s->work[i]);
	}
	CHECK_STR(err.text, "");
	strv_free(s->lower);
	pair_done(&s->p);
}
AUTO_DEFINE_IN(struct stage, stage_done)

/* An image of two layers. */
static struct stage stage_make(void)
{
	struct stage s = { .p = pair_make("overlay") };
	struct err err = ERR_INIT;

	for (int i = 0; i < 2; i++) {
		autoclose int dir = -1;
		char *lower = path_joinf(s.p.base, "lower%d", i);

		s.work[i] = path_joinf(s.p.base, "work%d", i);
		s.merged[i] = path_joinf(s.p.base, "merged%d", i);
		CHECK(mkdir(lower, 0755) == 0);
		strv_take(&s.lower, lower);
		dir = open(lower, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CHECK(mkdirat(dir, "app", 0755) == 0 && mkdirat(dir, "dir", 0755) == 0);
		tree_put(dir, i ? "app/conf.txt" : "app/hidden.txt", "orig");
		tree_put(dir, i ? "dir/upper" : "dir/lower", "orig");
	}
	(void)close(s.p.dir);
	s.p.dir = open(s.lower[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tree_put(s.p.dir, "linked", "linked");
	CHECK(mkdirat(s.p.dir, "far", 0750) == 0 && mkdirat(s.p.dir, "far/away", 0711) == 0);
	CHECK(linkat(s.p.dir, "linked", s.p.dir, "linked-too", 0) == 0);
	CHECK(linkat(s.p.dir, "linked", s.p.dir, "far/away/linked-as-well", 0) == 0);
	CHECK(symlinkat("app", s.p.dir, "link") == 0);
	(void)close(s.p.dir);
	CHECK_INT(rootfs_mount(s.lower, s.p.from, s.work[0], s.merged[0], &err), 0);
	CHECK_STR(err.text, "");
	s.p.dir = open(s.merged[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s;
}

/* ---- Podman's losses, and more ---------------------------------------------------------------------------------- */

static void modify(int dir)
{
	tree_put(dir, "app/conf.txt", "changed");
	CHECK(fchmodat(dir, "dir/upper", 0600, 0) == 0);
	tree_set_time(dir, "dir/lower", 1500000000, 500000001);
	CHECK(unlinkat(dir, "link", 0) == 0 && symlinkat("dir", dir, "link") == 0);
}

static void remove_in(int dir, const char *name)
{
	autofree char *path = xasprintf("/proc/self/fd/%d/%s", dir, name);

	CHECK_INT(path_remove_all(path, NULL), 0);
}

static void make_folder_again(int dir)
{
	remove_in(dir, "dir");
	CHECK(mkdirat(dir, "dir", 0755) == 0);
	tree_put(dir, "dir/new", "new");
}

static void folder_to_file(int dir)
{
	remove_in(dir, "dir");
	tree_put(dir, "dir", "now a file");
}

static void file_to_folder(int dir)
{
	remove_in(dir, "app/conf.txt");
	CHECK(mkdirat(dir, "app/conf.txt", 0755) == 0);
	tree_put(dir, "app/conf.txt/inside", "x");
}

static void folder_meta(int dir)
{
	CHECK(fchmodat(dir, "app", 02710, 0) == 0 && fchownat(dir, "dir", 11, 22, 0) == 0);
	CHECK(fchownat(dir, ".", 1, 2, 0) == 0);
	tree_set_time(dir, "dir", 1600000000, 600000001);
}

static void write_one_name(int dir)
{
	tree_put(dir, "linked", "changed");
}

/* The index holds the only link. */
static void write_and_remove_one_name(int dir)
{
	tree_put(dir, "linked", "changed");
	CHECK(unlinkat(dir, "linked", 0) == 0);
}

static void rename_one_name(int dir)
{
	CHECK(renameat(dir, "far/away/linked-as-well", dir, "app/renamed") == 0);
	CHECK(linkat(dir, "linked-too", dir, "fourth", 0) == 0);
	tree_put(dir, "app/renamed", "changed");
}

static void hide_other_names(int dir)
{
	tree_put(dir, "linked", "changed");
	remove_in(dir, "far");
	CHECK(unlinkat(dir, "linked-too", 0) == 0);
	tree_put(dir, "linked-too", "another file");
	CHECK(mkdirat(dir, "far", 0700) == 0 && mkdirat(dir, "far/away", 0700) == 0);
}

static void attributes(int dir)
{
	tree_set_xattr(dir, "app/conf.txt", "trusted.mine", "\0\1", 2);
	tree_set_acl(dir, "dir/upper", "system.posix_acl_access");
	tree_set_acl(dir, "dir", "system.posix_acl_default");
	tree_set_capability(dir, "dir/lower");
	tree_set_xattr(dir, "link", "trusted.mine", "x", 1);
}

static void nanoseconds(int dir)
{
	tree_put(dir, "new", "new");
	tree_set_time(dir, "new", 1700000000, 123456789);
}

static void sparse(int dir)
{
	tree_put_sparse(dir, "sparse");
}

static void special(int dir)
{
	CHECK(mknodat(dir, "pipe", S_IFIFO | 0600, 0) == 0 && mknodat(dir, "null", S_IFCHR | 0666, makedev(1, 3)) == 0);
	CHECK(mknodat(dir, "socket", S_IFSOCK | 0600, 0) == 0);
}

static void all_of_it(int dir)
{
	folder_meta(dir);
	attributes(dir);
	write_one_name(dir);
	sparse(dir);
	make_folder_again(dir);
	special(dir);
	file_to_folder(dir);
}

static const struct {
	const char *name;
	void (*change)(int dir);
} losses[] = {
	{ "1 modified files", modify },
	{ "2 a folder removed and made again", make_folder_again },
	{ "3 a folder replaced by a file", folder_to_file },
	{ "4 a file replaced by a folder", file_to_folder },
	{ "5 folders' modes and owners", folder_meta },
	{ "6 names of image files", write_one_name },
	{ "6 the changed name removed", write_and_remove_one_name },
	{ "6 one name renamed, one more", rename_one_name },
	{ "6 names that are hidden", hide_other_names },
	{ "7 trusted attributes, ACLs, capabilities", attributes },
	{ "8 nanoseconds", nanoseconds },
	{ "9 holes", sparse },
	{ "devices, pipes, sockets", special },
	{ "all of it", all_of_it },
};

/* @is_early: the container does it before the first pass, else between the two. */
static void check_loss(const char *name, void (*change)(int dir), bool is_early)
{
	AUTO(stage_done) struct stage s = stage_make();
	AUTO(capture_free) struct capture *c = NULL;
	struct err err = ERR_INIT;

	if (is_early)
		change(s.p.dir);
	CHECK_INT(capture_prepare(s.p.from, s.p.to, NULL, NULL, &c, &err), 0);
	REQUIRE(c);
	CHECK_INT(capture_over(c, s.lower, s.work[0], &err), 0);
	if (!is_early)
		change(s.p.dir);
	CHECK_INT(capture_take(c, NULL, NULL, &err), 0);
	CHECK_INT(rootfs_mount(s.lower, s.p.to, s.work[1], s.merged[1], &err), 0);
	CHECK_STR(err.text, "");
	if (!tree_is_same(s.merged[0], s.merged[1])) {
		CHECK(!"the copy shows what the original shows");
		printf("       after: %s\n", name);
	}
}

TEST(podmans_losses_are_kept)
{
	NEEDS_ROOT();
	for (size_t i = 0; i < ARRAY_SIZE(losses); i++) {
		check_loss(losses[i].name, losses[i].change, /* is_early= */ true);
		check_loss(losses[i].name, losses[i].change, /* is_early= */ false);
	}
}

/* 10: a file that cannot be read is an error, not a missing file. Nothing is unreadable to root but a lease. */
TEST(what_cannot_be_read_is_said)
{
	NEEDS_ROOT();
	AUTO(pair_done) struct pair p = pair_full("lease");
	autofree char *path = path_join(p.from, "plain");
	autoclose int fd = open(path, O_RDWR | O_CLOEXEC);
	struct err err = ERR_INIT;

	(void)signal(SIGIO, SIG_IGN);
	REQUIRE(fcntl(fd, F_SETLEASE, F_WRLCK) == 0);
	CHECK_INT(capture_copy(p.from, p.to, NULL, &err), -EBUSY);
	CHECK(strstr(err.text, "plain") && strstr(err.text, "lease"));
	CHECK(!path_exists(p.to));
}

/* A copy is over other layers what it was over its own: nothing in it refers to their inodes. */
TEST(layers_may_be_unpacked_again)
{
	NEEDS_ROOT();
	AUTO(stage_done) struct stage s = stage_make();
	AUTO(strv_free) char **again = NULL;
	struct err err = ERR_INIT;

	modify(s.p.dir);
	attributes(s.p.dir);
	CHECK_INT(capture_copy(s.p.from, s.p.to, NULL, &err), 0);
	for (size_t i = 0; s.lower[i]; i++) {
		strv_addf(&again, "%s-again", s.lower[i]);
		CHECK_INT(capture_copy(s.lower[i], again[i], NULL, &err), 0);
	}
	CHECK_INT(rootfs_mount(again, s.p.to, s.work[1], s.merged[1], &err), 0);
	CHECK_STR(err.text, "");
	CHECK_SAME(s.merged[0], s.merged[1]);
}
