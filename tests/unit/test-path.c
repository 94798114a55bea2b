/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "test.h"

static void put(const char *dir, const char *name, const char *text)
{
	autofree char *path = path_join(dir, name);

	CHECK_INT(file_write_whole(path, text, strlen(text), 0644, NULL), 0);
}

/* A new folder in the folder of this program. */
static char *folder(const char *name)
{
	char *path = path_join(test_dir(), name);

	CHECK_INT(path_mkdirs(path, 0755, NULL), 0);
	return path;
}

static void check_join(const char *a, const char *b, const char *want)
{
	autofree char *s = path_join(a, b);

	CHECK_STR(s, want);
}

TEST(join)
{
	autofree char *f = path_joinf("/run", "%s.%d", "pid", 7);

	check_join("a", "b", "a/b");
	check_join("a/", "b", "a/b");
	check_join("a", "/b", "a/b");
	check_join("/", "b", "/b");
	check_join("", "b", "b");
	check_join("a", "", "a");
	CHECK_STR(f, "/run/pid.7");
	CHECK_STR(path_base("/a/b"), "b");
	CHECK_STR(path_base("b"), "b");
}

TEST(names)
{
	char long_name[300];

	memset(long_name, 'x', sizeof(long_name));
	long_name[255] = '\0';
	CHECK(path_is_name("a") && path_is_name("...") && path_is_name("a b") && path_is_name(".x"));
	CHECK(path_is_name(long_name));
	long_name[255] = 'x';
	long_name[256] = '\0';
	CHECK(!path_is_name(long_name));
	CHECK(!path_is_name(NULL) && !path_is_name("") && !path_is_name(".") && !path_is_name(".."));
	CHECK(!path_is_name("a/b") && !path_is_name("/") && !path_is_name("a\n") && !path_is_name("\x7f"));
}

TEST(mkdirs)
{
	autofree char *deep = path_join(test_dir(), "m/k/d//i/r/");
	autofree char *top = path_join(test_dir(), "m");
	autofree char *under_file = path_join(test_dir(), "file/x");
	struct err err = ERR_INIT;
	struct stat st;
	mode_t old = umask(077);

	CHECK_INT(path_mkdirs(deep, 0751, &err), 0);
	CHECK_INT(path_mkdirs(deep, 0700, &err), 0);
	umask(old);
	CHECK(stat(deep, &st) == 0 && (st.st_mode & 07777) == 0751);
	CHECK(stat(top, &st) == 0 && (st.st_mode & 07777) == 0751);
	put(test_dir(), "file", "");
	CHECK_INT(path_mkdirs(under_file, 0755, &err), -ENOTDIR);
	CHECK_INT(path_mkdirs("", 0755, &err), -EINVAL);
	CHECK_INT(path_mkdirs("/", 0755, &err), 0);
	CHECK_INT(path_mkdirs("/proc/x", 0755, &err), -ENOENT);
}

TEST(remove_all_of_little)
{
	autofree char *dir = folder("little");
	autofree char *file = path_join(dir, "f");
	autofree char *link = path_join(dir, "l");

	CHECK_INT(path_remove_all("/nonexistent/at/all", NULL), 0);
	put(dir, "f", "x");
	CHECK(symlink(test_dir(), link) == 0);
	CHECK_INT(path_remove_all(link, NULL), 0); /* the link, not what it points to */
	CHECK(!path_exists(link) && path_exists(file));
	CHECK_INT(path_remove_all(file, NULL), 0);
	CHECK(!path_exists(file));
	CHECK_INT(path_remove_all(dir, NULL), 0);
	CHECK(!path_exists(dir));
}

TEST(remove_all_follows_no_symlink)
{
	autofree char *outside = folder("outside");
	autofree char *kept = path_join(outside, "kept");
	autofree char *tree = folder("tree");
	autofree char *link = path_join(tree, "a/b/link");
	autofree char *sub = path_join(tree, "a/b");

	put(outside, "kept", "x");
	CHECK_INT(path_mkdirs(sub, 0755, NULL), 0);
	CHECK(symlink(outside, link) == 0);
	CHECK_INT(path_remove_all(tree, NULL), 0);
	CHECK(!path_exists(tree) && path_exists(kept));
}

TEST(remove_all_of_many)
{
	autofree char *tree = folder("many");

	for (int i = 0; i < 300; i++) {
		autofree char *sub = path_joinf(tree, "d%d/e", i);
		autofree char *name = xasprintf("d%d/e/f", i);
		autofree char *other = xasprintf("f%d", i);

		CHECK_INT(path_mkdirs(sub, 0755, NULL), 0);
		put(tree, name, "");
		put(tree, other, "");
	}
	CHECK_INT(path_remove_all(tree, NULL), 0);
	CHECK(!path_exists(tree));
}

/* Deeper than PATH_MAX and than the limit of descriptors. */
TEST(remove_all_of_the_deep)
{
	autofree char *tree = folder("deep");
	int fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC), next;

	for (int i = 0; i < 3000 && fd >= 0; i++) {
		CHECK(mkdirat(fd, "deeper", 0755) == 0);
		next = openat(fd, "deeper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	REQUIRE(fd >= 0);
	close(fd);
	CHECK_INT(path_remove_all(tree, NULL), 0);
	CHECK(!path_exists(tree));
}

/* In a child with a mount namespace of its own; its exit code is the number of what went wrong. */
static int remove_with_mount(const char *tree, bool is_bind)
{
	autofree char *at = path_join(tree, "x/mnt");
	autofree char *kept = path_join(at, "kept");
	struct err err = ERR_INIT;
	int r;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 77;
	if (path_mkdirs(at, 0755, NULL) < 0)
		return 1;
	/* A bind mount has the same st_dev: only the mount itself tells. */
	if ((is_bind ? mount(tree, at, NULL, MS_BIND, NULL) : mount("t", at, "tmpfs", 0, NULL)) < 0)
		return 77;
	if (file_write_whole(kept, "x", 1, 0600, NULL) < 0)
		return 2;
	r = path_remove_all(at, &err);
	if (r != -EBUSY || !path_exists(kept))
		return 3;
	r = path_remove_all(tree, &err);
	if (r != -EBUSY || !path_exists(at) || (!is_bind && !path_exists(kept)))
		return 4;
	if (umount2(at, MNT_DETACH) < 0)
		return 5;
	return path_remove_all(tree, &err) == 0 ? 0 : 6;
}

static int in_child(const char *tree, bool is_bind)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(remove_with_mount(tree, is_bind));
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(remove_all_stops_at_mounts)
{
	autofree char *a = folder("mount-tmpfs");
	autofree char *b = folder("mount-bind");
	int r;

	r = in_child(a, false);
	if (r == 77)
		SKIP("needs to mount");
	CHECK_INT(r, 0);
	CHECK_INT(in_child(b, true), 0);
}

TEST(open_in_root)
{
	autofree char *root = folder("root");
	autofree char *etc = path_join(root, "etc");
	autofree char *abs = path_join(root, "abs");
	autofree char *up = path_join(root, "up");
	autofree char *magic = path_join(root, "magic");
	autoclose int fd = open(root, O_PATH | O_CLOEXEC);
	struct err err = ERR_INIT;
	char buf[16] = "";
	int f;

	CHECK_INT(path_mkdirs(etc, 0755, NULL), 0);
	put(root, "etc/name", "inside");
	CHECK(symlink("/etc/name", abs) == 0);
	CHECK(symlink("../../../../../../etc/name", up) == 0);
	CHECK(symlink("/proc/self/exe", magic) == 0);
	for (int i = 0; i < 3; i++) {
		static const char *const ways[] = { "abs", "up", "/../../etc/name" };

		f = path_open_in_root(fd, ways[i], O_RDONLY, 0, &err);
		CHECK(f >= 0);
		CHECK(f >= 0 && read(f, buf, 15) == 6 && strcmp(buf, "inside") == 0);
		CHECK(f >= 0 && (fcntl(f, F_GETFD) & FD_CLOEXEC));
		if (f >= 0)
			close(f);
	}
	CHECK_INT(path_open_in_root(fd, "magic", O_RDONLY, 0, &err), -ENOENT);
	f = path_open_in_root(fd, "etc/new", O_WRONLY | O_CREAT, 0640, &err);
	CHECK(f >= 0);
	if (f >= 0)
		close(f);
}

TEST(open_beneath)
{
	autofree char *root = folder("beneath");
	autofree char *link = path_join(root, "link");
	autoclose int fd = open(root, O_PATH | O_CLOEXEC);
	autoclose int good = -1;
	struct err err = ERR_INIT;

	put(root, "f", "x");
	CHECK(symlink("f", link) == 0);
	good = path_open_beneath(fd, "f", O_RDONLY, 0, &err);
	CHECK(good >= 0);
	CHECK_INT(path_open_beneath(fd, "link", O_RDONLY, 0, &err), -ELOOP);
	CHECK_INT(path_open_beneath(fd, "../beneath/f", O_RDONLY, 0, &err), -EXDEV);
	CHECK_INT(path_open_beneath(fd, "/etc/passwd", O_RDONLY, 0, &err), -EXDEV);
	CHECK_INT(path_open_beneath(fd, "nothing", O_RDONLY, 0, &err), -ENOENT);
	CHECK_STR(err.text, "nothing: No such file or directory");
}

struct swapper {
	int dir;
	atomic_bool is_over;
};

/* "sub" is a folder, a symlink that leads outside, a folder … */
static void *swap_always(void *arg)
{
	struct swapper *s = arg;

	while (!atomic_load(&s->is_over))
		(void)renameat2(s->dir, "sub", s->dir, "trap", RENAME_EXCHANGE);
	return NULL;
}

TEST(a_race_of_symlinks_leads_nowhere)
{
	autofree char *outside = folder("race-outside");
	autofree char *root = folder("race");
	autofree char *sub = path_join(root, "sub");
	autofree char *trap = path_join(root, "trap");
	autoclose int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct swapper swapper = { .dir = fd };
	int n_inside = 0, n_outside = 0;
	pthread_t t;

	CHECK_INT(path_mkdirs(sub, 0755, NULL), 0);
	put(outside, "f", "outside");
	put(root, "sub/f", "inside");
	CHECK(symlink(outside, trap) == 0);
	REQUIRE(pthread_create(&t, NULL, swap_always, &swapper) == 0);
	for (int i = 0; i < 20000; i++) {
		char buf[16] = "";
		int f = i % 2 ? path_open_beneath(fd, "sub/f", O_RDONLY, 0, NULL)
			      : path_open_in_root(fd, "sub/f", O_RDONLY, 0, NULL);

		if (f < 0)
			continue;
		if (read(f, buf, 15) > 0)
			(*(strcmp(buf, "inside") == 0 ? &n_inside : &n_outside))++;
		close(f);
	}
	atomic_store(&swapper.is_over, true);
	pthread_join(t, NULL);
	CHECK_INT(n_outside, 0);
	CHECK(n_inside > 0);
}

/* The same race against removal: what is outside must stay. */
TEST(a_race_against_removal)
{
	char base[] = "/dev/shm/stasis-test.XXXXXX"; /* in memory there are more rounds a second */
	autofree char *outside = path_join(mkdtemp(base), "outside");
	autofree char *kept = path_join(outside, "kept");
	autofree char *root = path_join(base, "root");
	int is_ready = path_mkdirs(outside, 0700, NULL) + path_mkdirs(root, 0700, NULL);
	autoclose int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct swapper swapper = { .dir = fd };
	uint64_t end = clock_mono_us() + US_PER_S;
	pthread_t t;

	CHECK_INT(is_ready, 0);
	put(outside, "kept", "x");
	REQUIRE(pthread_create(&t, NULL, swap_always, &swapper) == 0);
	while (clock_mono_us() < end) {
		/* Each round begins with a full folder and a trap, whichever of the two names they have. */
		(void)path_remove_all_at(fd, "sub", NULL);
		(void)path_remove_all_at(fd, "trap", NULL);
		CHECK(symlinkat(outside, fd, "trap") == 0 || errno == EEXIST);
		if (mkdirat(fd, "new", 0755) == 0 || errno == EEXIST)
			(void)mkdirat(fd, "new/x", 0755);
		(void)renameat2(fd, "new", fd, "sub", RENAME_NOREPLACE);
	}
	atomic_store(&swapper.is_over, true);
	pthread_join(t, NULL);
	CHECK(path_exists(kept));
	CHECK_INT(path_remove_all(base, NULL), 0);
}

TEST(disk_usage)
{
	autofree char *dir = folder("usage");
	autofree char *a = path_join(dir, "a");
	autofree char *b = path_join(dir, "b");
	autofree char *sparse = path_join(dir, "sparse");
	autofree char *block = xcalloc(1, 1 << 20);
	autoclose int fd = -1;
	uint64_t empty = 0, one = 0, n = 77;

	memset(block, 'x', 1 << 20);
	CHECK_INT(path_disk_usage(dir, &empty, NULL), 0);
	CHECK_INT(file_write_whole(a, block, 1 << 20, 0600, NULL), 0);
	CHECK_INT(path_disk_usage(dir, &one, NULL), 0);
	CHECK(one - empty >= 1 << 20 && one - empty < (1 << 20) + 65536);
	CHECK(link(a, b) == 0); /* the same file by another name */
	CHECK(symlink("/", sparse) == 0);
	CHECK(unlink(sparse) == 0);
	fd = open(sparse, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(ftruncate(fd, 1 << 30) == 0);
	CHECK_INT(path_disk_usage(dir, &n, NULL), 0);
	CHECK_INT(n, one);
	CHECK_INT(path_disk_usage("/nonexistent", &n, NULL), 0);
	CHECK_INT(n, 0);
	CHECK_INT(path_disk_usage(a, &n, NULL), 0);
	CHECK(n >= 1 << 20);
}
