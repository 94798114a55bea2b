/* SPDX-License-Identifier: Apache-2.0 */
/* test-capture-live.c - trees that are written to while they are captured, on each file system that can be had here */
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strv.h"
#include "base/sync.h"
#include "canary.h"
#include "capture-tree.h"

/* ---- a container that never rests ------------------------------------------------------------------------------- */

struct writer {
	pthread_t thread;
	atomic_bool is_over;
	uint64_t seed;
	int dir;
	uint64_t n_done;
};

static uint64_t draw(struct writer *w, uint64_t below)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return w->seed % below;
}

/* One of some 300 paths, of one to three parts; some ways to it are folders, some are not. */
static const char *any_path(struct writer *w, char buf[32])
{
	unsigned a = (unsigned)draw(w, 6), b = (unsigned)draw(w, 6), c = (unsigned)draw(w, 8);

	switch (draw(w, 3)) {
	case 0:
		(void)snprintf(buf, 32, "f%u", c);
		break;
	case 1:
		(void)snprintf(buf, 32, "d%u/f%u", a, c);
		break;
	default:
		(void)snprintf(buf, 32, "d%u/d%u/f%u", a, b, c);
	}
	if (draw(w, 8) == 0 && strrchr(buf, '/'))
		*strrchr(buf, '/') = '\0'; /* the folder */
	return buf;
}

static void scribble(struct writer *w, const char *path)
{
	autoclose int fd = openat(w->dir, path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	char text[64];

	memset(text, 'a' + (int)draw(w, 26), sizeof(text));
	if (fd < 0)
		return;
	(void)!pwrite(fd, text, 1 + draw(w, sizeof(text)), (off_t)(draw(w, 4) * (draw(w, 20) ? 100 : 100000)));
	if (draw(w, 8) == 0)
		(void)!ftruncate(fd, (off_t)draw(w, 200));
	if (draw(w, 4) == 0) /* back in time, as rsync does */
		(void)futimens(fd, (struct timespec[2]){ { .tv_sec = 5 }, { .tv_sec = 5 } });
}

static void remove_any(struct writer *w, const char *path)
{
	if (draw(w, 10) == 0)
		(void)path_remove_all_at(w->dir, path, NULL);
	else
		(void)unlinkat(w->dir, path, 0);
}

static void set_any(struct writer *w, const char *path)
{
	autofree char *proc = xasprintf("/proc/self/fd/%d/%s", w->dir, path);
	char value[8] = { 0 };

	switch (draw(w, 4)) {
	case 0:
		(void)!fchownat(w->dir, path, (uid_t)draw(w, 9), (gid_t)draw(w, 9), AT_SYMLINK_NOFOLLOW);
		break;
	case 1:
		(void)lremovexattr(proc, "trusted.some");
		break;
	case 2:
		memset(value, (int)draw(w, 256), sizeof(value));
		(void)lsetxattr(proc, "trusted.some", value, draw(w, sizeof(value)), 0);
		break;
	default:
		if (lsetxattr(proc, "trusted.is-no-link", "", 0, 0) == 0 && draw(w, 2))
			(void)lremovexattr(proc, "trusted.is-no-link");
	}
}

static void do_something(struct writer *w)
{
	char a[32], b[32];

	any_path(w, a);
	any_path(w, b);
	switch (draw(w, 16)) {
	case 0:
		(void)mkdirat(w->dir, a, (mode_t)draw(w, 01000));
		break;
	case 1:
	case 2:
		remove_any(w, a);
		break;
	case 3:
		(void)!linkat(w->dir, a, w->dir, b, 0);
		break;
	case 4:
		(void)renameat(w->dir, a, w->dir, b);
		break;
	case 5:
		(void)renameat2(w->dir, a, w->dir, b, RENAME_EXCHANGE);
		break;
	case 6:
		(void)!symlinkat(b, w->dir, a);
		break;
	case 7:
		(void)mknodat(w->dir, a, draw(w, 2) ? S_IFIFO | 0600 : S_IFCHR | 0600, makedev(0, 0));
		break;
	case 8:
	case 9:
		set_any(w, a);
		break;
	default:
		scribble(w, a);
	}
}

static void *write_on(void *arg)
{
	struct writer *w = arg;

	while (!atomic_load(&w->is_over)) {
		do_something(w);
		w->n_done++;
	}
	return NULL;
}

static void writer_start(struct writer *w, const char *path, uint64_t seed)
{
	struct err err = ERR_INIT;
	char name[8];

	*w = (struct writer){ .seed = seed | 1, .dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	for (int i = 0; i < 36; i++) {
		(void)snprintf(name, sizeof(name), i < 6 ? "d%d" : "d%d/d%d", i % 6, i / 6 - 1);
		(void)mkdirat(w->dir, name, 0755);
	}
	for (int i = 0; i < 2000; i++)
		do_something(w);
	CHECK_INT(thread_start(&w->thread, "writer", write_on, w, &err), 0);
}

static void writer_freeze(struct writer *w)
{
	atomic_store(&w->is_over, true);
	(void)pthread_join(w->thread, NULL);
	(void)close(w->dir);
}

/* Returns whether the copy was the original. */
static bool check_round(const char *base, uint64_t seed)
{
	autofree char *from = path_join(base, "from"), *to = path_join(base, "to");
	AUTO(capture_free) struct capture *c = NULL;
	struct capture_stats stats = { 0 };
	struct err err = ERR_INIT;
	bool is_good = false;
	struct writer w;

	CHECK(mkdir(from, 0755) == 0);
	writer_start(&w, from, seed);
	CHECK_INT(capture_prepare(from, to, NULL, NULL, &c, &err), 0);
	clock_sleep_us(draw(&(struct writer){ .seed = seed | 1 }, 4000));
	writer_freeze(&w);
	if (c && test_check_int(capture_take(c, NULL, &stats, &err), 0, __FILE__, __LINE__, "take"))
		is_good = tree_is_same(from, to);
	CHECK_STR(err.text, "");
	CHECK_INT(path_remove_all(from, NULL), 0);
	CHECK_INT(path_remove_all(to, NULL), 0);
	return is_good;
}

static void check_writer(const char *base, int n)
{
	uint64_t seed = 0;

	(void)!getrandom(&seed, sizeof(seed), 0);
	if (getenv("ROUNDS")) /* to look longer */
		n = atoi(getenv("ROUNDS"));
	if (getenv("SEED"))
		seed = strtoull(getenv("SEED"), NULL, 0);
	for (int i = 0; i < n; i++, seed++) {
		if (check_round(base, seed))
			continue;
		CHECK(!"a tree that is written to is captured as it was when frozen");
		printf("       SEED=%llu\n", (unsigned long long)seed);
		return;
	}
}

/* ---- what else depends on the file system ----------------------------------------------------------------------- */

/* Writes through a mapping that is dirty already move no time stamp. */
static void check_mapped(const char *base)
{
	autofree char *from = path_join(base, "from"), *to = path_join(base, "to"), *path = path_join(from, "mapped");
	AUTO(strv_free) char **always = strv_new("mapped", NULL);
	AUTO(capture_free) struct capture *c = NULL;
	autoclose int fd = -1;
	struct err err = ERR_INIT;
	char *map;

	CHECK(mkdir(from, 0755) == 0);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	REQUIRE(fd >= 0 && ftruncate(fd, 65536) == 0);
	map = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(map != MAP_FAILED);
	memset(map, 'a', 65536);
	clock_sleep_us(50000);
	memset(map, 'b', 65536);
	CHECK_INT(capture_prepare(from, to, NULL, NULL, &c, &err), 0);
	memset(map, 'c', 65536);
	if (c)
		CHECK_INT(capture_take(c, always, NULL, &err), 0);
	CHECK_STR(err.text, "");
	CHECK_SAME(from, to);
	(void)munmap(map, 65536);
	CHECK_INT(path_remove_all(from, NULL), 0);
	CHECK_INT(path_remove_all(to, NULL), 0);
}

static struct capture_stats check_all_kinds(const char *base)
{
	autofree char *from = path_join(base, "from"), *to = path_join(base, "to"), *again = path_join(base, "again");
	AUTO(capture_free) struct capture *c = NULL;
	struct capture_stats stats = { 0 };
	struct err err = ERR_INIT;

	tree_make(from);
	clock_sleep_us(50000);
	CHECK_INT(capture_prepare(from, to, NULL, NULL, &c, &err), 0);
	if (c)
		CHECK_INT(capture_take(c, NULL, &stats, &err), 0);
	CHECK_INT(capture_copy(to, again, NULL, &err), 0);
	CHECK_STR(err.text, "");
	CHECK_SAME(from, to);
	CHECK_SAME(from, again);
	CHECK_INT(path_remove_all(from, NULL), 0);
	CHECK_INT(path_remove_all(to, NULL), 0);
	CHECK_INT(path_remove_all(again, NULL), 0);
	return stats;
}

static struct capture_stats check_file_system(const char *base, int n_rounds)
{
	struct capture_stats stats = check_all_kinds(base);

	check_mapped(base);
	check_writer(base, n_rounds);
	CHECK(stats.bytes >= 1 << 20);
	CHECK_INT(stats.bytes, stats.early_bytes + stats.late_bytes + stats.cloned_bytes);
	return stats;
}

TEST(where_the_tests_run)
{
	NEEDS_ROOT();
	struct capture_stats stats = check_file_system(test_dir(), 6);

	printf("     %s: %llu bytes early, %llu late, %llu shared\n", test_dir(), (unsigned long long)stats.early_bytes,
	       (unsigned long long)stats.late_bytes, (unsigned long long)stats.cloned_bytes);
}

TEST(tmpfs)
{
	NEEDS_ROOT();
	autofree char *base = path_join(test_dir(), "tmpfs");
	struct capture_stats stats;

	REQUIRE(mkdir(base, 0700) == 0 && mount("tmpfs", base, "tmpfs", 0, "size=64m") == 0);
	stats = check_file_system(base, 5);
	CHECK_INT(stats.early_bytes, 0); /* its times do not tell of mapped writes */
	CHECK(umount(base) == 0);
}

/* From one file system to another nothing can be shared. */
TEST(from_one_file_system_to_another)
{
	NEEDS_ROOT();
	autofree char *base = path_join(test_dir(), "other"), *from = path_join(test_dir(), "from"),
		      *to = path_join(base, "to");
	struct err err = ERR_INIT;

	REQUIRE(mkdir(base, 0700) == 0 && mount("tmpfs", base, "tmpfs", 0, "size=64m") == 0);
	tree_make(from);
	CHECK_INT(capture_copy(from, to, NULL, &err), 0);
	CHECK_STR(err.text, "");
	CHECK_SAME(from, to);
	CHECK(umount(base) == 0);
	CHECK_INT(path_remove_all(from, NULL), 0);
}

/* A file system on a loop device; NULL, having said why, where that cannot be. */
static const char *loop_mount(const char *mkfs, const char *base)
{
	autofree char *image = xasprintf("%s.image", base);
	autofree char *make = xasprintf("%s %s >/dev/null 2>&1", mkfs, image);
	autofree char *mnt = xasprintf("mount -o loop %s %s 2>/dev/null", image, base);
	const char *missing = NULL;

	CHECK(mkdir(base, 0700) == 0);
	CHECK_INT(file_write_whole(image, "", 0, 0600, NULL), 0);
	CHECK(truncate(image, 320 << 20) == 0);
	if (system(make) != 0)
		missing = "its mkfs is missing";
	else if (system(mnt) != 0)
		missing = "no loop device, or the kernel does not have it";
	(void)unlink(image); /* goes away with the mount */
	return missing;
}

static void check_loop(const char *mkfs, const char *name)
{
	autofree char *base = path_join(test_dir(), name);
	const char *missing = loop_mount(mkfs, base);
	struct capture_stats stats;

	if (missing)
		SKIP(missing);
	stats = check_file_system(base, 5);
	CHECK(stats.cloned_bytes >= 1 << 20);
	CHECK(umount(base) == 0);
}

TEST(xfs_with_reflinks)
{
	NEEDS_ROOT();
	check_loop("mkfs.xfs -q -m reflink=1", "xfs");
}

TEST(btrfs)
{
	NEEDS_ROOT();
	check_loop("mkfs.btrfs -q", "btrfs");
}

/* ---- led astray? ------------------------------------------------------------------------------------------------ */

struct swapper {
	pthread_t thread;
	atomic_bool is_over;
	int dir;
};

static void *swap_on(void *arg)
{
	struct swapper *s = arg;

	while (!atomic_load(&s->is_over))
		for (const char *const *n = (const char *const[]){ "d", "f", "p", NULL }; *n; n++) {
			char evil[8];

			(void)snprintf(evil, sizeof(evil), "%s.evil", *n);
			(void)renameat2(s->dir, *n, s->dir, evil, RENAME_EXCHANGE);
		}
	return NULL;
}

/* A folder that turns into a link out of the tree, a file into another, a file into a pipe, while we look. */
TEST(nothing_leads_outside)
{
	NEEDS_ROOT();
	autofree char *canary = canary_make("canary"), *secret = path_join(canary, "secret"),
		      *before = canary_sum(canary);
	autofree char *from = path_join(test_dir(), "from"), *to = path_join(test_dir(), "to"), *after = NULL;
	struct swapper s = { .dir = -1 };
	struct err err = ERR_INIT;

	CHECK(mkdir(from, 0755) == 0);
	s.dir = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(mkdirat(s.dir, "d", 0755) == 0 && mkdirat(s.dir, "d/folder", 0755) == 0);
	tree_put(s.dir, "d/secret", "mine");
	tree_put(s.dir, "d/folder/deep", "mine");
	tree_put(s.dir, "f", "mine");
	tree_put(s.dir, "p", "mine");
	CHECK(symlinkat(canary, s.dir, "d.evil") == 0 && symlinkat(secret, s.dir, "f.evil") == 0);
	CHECK(mknodat(s.dir, "p.evil", S_IFIFO | 0600, 0) == 0);
	REQUIRE(thread_start(&s.thread, "swapper", swap_on, &s, &err) == 0);
	for (int i = 0; i < 50; i++) {
		AUTO(capture_free) struct capture *c = NULL;
		autofree char *text = NULL;

		CHECK_INT(capture_prepare(from, to, NULL, NULL, &c, &err), 0);
		/* a frozen container does not do this; whoever does gets an error at worst */
		if (c && capture_take(c, NULL, NULL, &err) == 0)
			text = tree_text(to);
		/* the canary's contents by their digests */
		CHECK(!text || (!strstr(text, "d59c2a5f721ce135") && !strstr(text, "49e6be7e0fb23511")));
		CHECK_INT(path_remove_all(to, NULL), 0);
	}
	atomic_store(&s.is_over, true);
	(void)pthread_join(s.thread, NULL);
	(void)close(s.dir);
	after = canary_sum(canary);
	CHECK_STR(before, after);
	CHECK_INT(path_remove_all(from, NULL), 0);
}
