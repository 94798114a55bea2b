/* SPDX-License-Identifier: Apache-2.0 */
/* test-bundle-diff.c - what a container has changed comes back exactly, and as Podman's importer would bring it back */
#include <sched.h>
#include <sys/mount.h>

#include "base/json.h"
#include "image/bundle.h"
#include "image/rootfs.h"
#include "image/unpack.h"
#include "wild.h"

static bool has_mounts(void)
{
	static bool is_private;

	if (!is_private && geteuid() == 0)
		is_private = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return is_private;
}

/* An overlay that is taken apart and put together again. */
struct stage {
	char *path, *layers[3], *upper, *work, *target, *archive, *folder;
	size_t n_layers;
	bool is_mounted;
};

static struct stage stage_make(void)
{
	struct stage s = { .path = path_join(test_dir(), "stage") };

	s.upper = path_join(s.path, "upper");
	s.work = path_join(s.path, "work");
	s.target = path_join(s.path, "target");
	s.archive = path_join(s.path, "archive");
	s.folder = path_join(s.path, "folder");
	CHECK_INT(path_mkdirs(s.folder, 0700, NULL), 0);
	return s;
}

static void stage_unmount(struct stage *s)
{
	struct err err = ERR_INIT;

	if (s->is_mounted)
		CHECK_INT(rootfs_unmount(s->target, /* is_lazy= */ false, &err), 0);
	s->is_mounted = false;
	CHECK_STR(err.text, "");
}

static void stage_done(struct stage *s)
{
	stage_unmount(s);
	CHECK_INT(path_remove_all(s->path, NULL), 0);
	for (size_t i = 0; i < s->n_layers; i++)
		free(s->layers[i]);
	free(s->path);
	free(s->upper);
	free(s->work);
	free(s->target);
	free(s->archive);
	free(s->folder);
}
AUTO_DEFINE_IN(struct stage, stage_done)

static void stage_mount(struct stage *s)
{
	struct err err = ERR_INIT;

	CHECK_INT(rootfs_mount(s->layers, s->upper, s->work, s->target, &err), 0);
	CHECK_STR(err.text, "");
	s->is_mounted = true;
}

/* What is the upper folder now becomes a layer. */
static void stage_push(struct stage *s)
{
	char *layer = path_joinf(s->path, "layer-%zu", s->n_layers);

	stage_unmount(s);
	CHECK_INT(rename(s->upper, layer), 0);
	CHECK_INT(path_remove_all(s->work, NULL), 0);
	s->layers[s->n_layers++] = layer;
}

static void stage_first(struct stage *s)
{
	CHECK_INT(path_mkdirs(s->upper, 0555, NULL), 0);
}

/* From the upper folder into an archive and out of it: @b says what was in it. */
static void stage_pack(struct stage *s, struct bundle *b)
{
	autoclose int fd = open(s->archive, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const struct bundle_source src = { .upper = s->upper, .lower = s->layers, .compression = BUNDLE_NONE };
	const struct bundle_limits limits = { 1 << 30, 1000 };
	AUTO(json_free) struct json *manifest = json_new_object();
	struct bundle_source with = src;
	struct err err = ERR_INIT;
	uint64_t bytes = 0;

	with.manifest = manifest;
	CHECK_INT(path_remove_all(s->folder, NULL), 0);
	CHECK_INT(mkdir(s->folder, 0700), 0);
	CHECK_INT(bundle_write(fd, &with, NULL, NULL, &bytes, &err), 0);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK_INT(bundle_read(fd, s->folder, &limits, NULL, NULL, b, &err), 0);
	CHECK_STR(err.text, "");
}

/* A new upper folder in the place of the old one, from the archive. */
static void stage_restore(struct stage *s, const struct bundle *b)
{
	autofree char *tar = path_join(s->folder, "rootfs-diff.tar");
	struct err err = ERR_INIT;

	CHECK_INT(path_remove_all(s->upper, NULL), 0);
	CHECK_INT(path_remove_all(s->work, NULL), 0);
	CHECK_INT(bundle_make_upper(tar, b->deleted, s->layers, s->upper, &err), 0);
	CHECK_STR(err.text, "");
}

/* As Podman does it: unpacked over the mounted overlay, then the deleted files are removed. */
static void stage_import(struct stage *s, const struct bundle *b)
{
	static const struct unpack_tree tree = { .is_upper = false };
	static const struct unpack_options options = { .limits = ARCHIVE_LIMITS_DEFAULT, .tree = &tree };
	autofree char *tar = path_join(s->folder, "rootfs-diff.tar");
	autoclose int fd = open(tar, O_RDONLY | O_CLOEXEC), target = -1;
	struct unpack_result result;
	struct err err = ERR_INIT;

	CHECK_INT(path_remove_all(s->upper, NULL), 0);
	CHECK_INT(path_remove_all(s->work, NULL), 0);
	stage_mount(s);
	target = open(s->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_INT(unpack_archive(fd, target, &options, &result, &err), 0);
	for (size_t i = 0; b->deleted && b->deleted[i]; i++) {
		autofree char *path = path_join(s->target, b->deleted[i] + 1);
		struct stat st;

		CHECK(lstat(path, &st) == 0 && !S_ISLNK(st.st_mode)); /* Podman would follow it */
		CHECK_INT(path_remove_all(path, &err), 0);
	}
	CHECK_STR(err.text, "");
}

/* A file that a layer has under two names was changed under one, and that one is gone: the change is in overlayfs's
 * index, in the work folder, and nowhere in the upper one. */
static bool has_orphans(const struct stage *s)
{
	autofree char *index = path_join(s->work, "index");
	struct dirent **list;
	bool is_found = false;
	int n = scandir(index, &list, NULL, NULL);

	for (int i = 0; i < n; i++) {
		autofree char *path = path_join(index, list[i]->d_name);
		struct stat st;

		if (lstat(path, &st) == 0 && !S_ISDIR(st.st_mode) && st.st_nlink == 1)
			is_found |= !(S_ISCHR(st.st_mode) && st.st_rdev == 0);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return is_found;
}

#define NEEDS_MOUNTS()                                                                                                 \
	do {                                                                                                           \
		if (!has_mounts())                                                                                     \
			SKIP("mounting needs root");                                                                   \
	} while (0)

/* The property: whatever is done to a tree is there afterwards. */
static bool round_trip(uint64_t seed)
{
	AUTO(stage_done) struct stage s = stage_make();
	AUTO(bundle_done) struct bundle b = { 0 };
	autofree char *before = NULL, *before_loose = NULL, *after = NULL, *after_loose = NULL;
	bool is_same;

	stage_first(&s);
	wild_change(s.upper, seed, 60);
	stage_push(&s);
	stage_mount(&s);
	if (seed % 2) {
		wild_change(s.target, seed + 1000, 60);
		stage_push(&s);
		stage_mount(&s);
	}
	wild_change(s.target, seed + 2000, 5 + seed % 80);
	stage_unmount(&s); /* a mounted overlay may show folders that it has cached */
	stage_mount(&s);
	before = wild_text(s.target, 0);
	before_loose = wild_text(s.target, WILD_LOOSE);
	stage_unmount(&s);
	if (has_orphans(&s))
		return true;
	stage_pack(&s, &b);
	stage_restore(&s, &b);
	stage_mount(&s);
	after = wild_text(s.target, 0);
	stage_unmount(&s);
	is_same = wild_same(before, after);
	stage_import(&s, &b);
	after_loose = wild_text(s.target, WILD_LOOSE);
	return wild_same(before_loose, after_loose) && is_same;
}

TEST(wild_trees_come_back)
{
	const char *text = getenv("STASIS_SEED"), *rounds = getenv("STASIS_ROUNDS");
	uint64_t first = text ? strtoull(text, NULL, 10) : 1, n = rounds ? strtoull(rounds, NULL, 10) : 40;

	NEEDS_MOUNTS();
	for (uint64_t seed = first; seed < first + (text && !rounds ? 1 : n); seed++) {
		bool is_same = round_trip(seed);

		CHECK(is_same);
		if (!is_same)
			printf("       STASIS_SEED=%llu\n", (unsigned long long)seed);
	}
}
