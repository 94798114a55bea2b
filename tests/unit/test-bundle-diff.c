/* SPDX-License-Identifier: Apache-2.0 */
/* test-bundle-diff.c - what a container has changed comes back exactly, and as Podman's importer would bring it back */
#include <sched.h>
#include <sys/mount.h>

#include "base/json.h"
#include "image/bundle.h"
#include "image/rootfs.h"
#include "image/unpack.h"

#include "canary.h"
#include "tarball.h"
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

/* ---- what Podman's own exporter loses, and more -------------------------------------------------------------------
 */

static void text_in(const char *folder, const char *name, const char *text)
{
	autofree char *path = path_join(folder, name);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && file_write_all(fd, text, strlen(text), NULL) == 0);
}

static void folder_in(const char *folder, const char *name)
{
	autofree char *path = path_join(folder, name);

	CHECK_INT(path_mkdirs(path, 0755, NULL), 0);
}

static void gone(const char *folder, const char *name)
{
	autofree char *path = path_join(folder, name);

	CHECK_INT(path_remove_all(path, NULL), 0);
}

static void link_in(const char *folder, const char *from, const char *to)
{
	autofree char *a = path_join(folder, from), *b = path_join(folder, to);

	CHECK_INT(link(a, b), 0);
}

static void symlink_in(const char *folder, const char *target, const char *name)
{
	autofree char *path = path_join(folder, name);

	CHECK_INT(symlink(target, path), 0);
}

static void image_of_losses(const char *at)
{
	folder_in(at, "dir/deep/deeper");
	folder_in(at, "gone");
	text_in(at, "conf", "orig");
	text_in(at, "dir/old", "old");
	text_in(at, "dir/kept", "old");
	text_in(at, "dir/deep/deeper/old", "old");
	text_in(at, "gone/x", "x");
	text_in(at, "file", "file");
	text_in(at, "linked", "orig");
	text_in(at, "target", "must stay");
	link_in(at, "linked", "linked-2");
	link_in(at, "linked", "linked-3");
	link_in(at, "linked", "dir/linked-4");
	symlink_in(at, "target", "sym");
	symlink_in(at, "orig", "retargeted");
}

static void changes_of_losses(const char *at)
{
	autofree char *sparse = path_join(at, "sparse");

	text_in(at, "conf", "changed");
	gone(at, "gone");
	gone(at, "dir");
	folder_in(at, "dir/deep");
	text_in(at, "dir/kept", "new");
	text_in(at, "dir/new", "new");
	gone(at, "file");
	folder_in(at, "file/folder");
	gone(at, "sym"); /* its target stays */
	gone(at, "retargeted");
	symlink_in(at, "new", "retargeted");
	text_in(at, "linked", "changed"); /* and so are linked-2 and linked-3 */
	gone(at, "linked-3");
	text_in(at, "sparse", "x");
	CHECK_INT(truncate(sparse, 200 << 20), 0);
}

static void check_losses(const struct stage *s)
{
	autofree char *sparse = path_join(s->target, "sparse"), *alias = path_join(s->target, "linked-2"), *text = NULL;
	struct stat st = { 0 };

	CHECK(stat(sparse, &st) == 0 && st.st_size == 200 << 20 && st.st_blocks < 100);
	CHECK_INT(file_read(alias, 100, &text, NULL, NULL), 0);
	CHECK_STR(text, "changed");
	CHECK(stat(alias, &st) == 0 && st.st_nlink == 2);
}

TEST(nothing_of_what_podman_loses_is_lost)
{
	AUTO(stage_done) struct stage s = stage_make();
	AUTO(bundle_done) struct bundle b = { 0 };
	autofree char *before = NULL, *after = NULL, *loose = NULL, *imported = NULL;

	NEEDS_MOUNTS();
	stage_first(&s);
	image_of_losses(s.upper);
	stage_push(&s);
	stage_mount(&s);
	changes_of_losses(s.target);
	check_losses(&s);
	before = wild_text(s.target, 0);
	loose = wild_text(s.target, WILD_LOOSE);
	stage_unmount(&s);
	stage_pack(&s, &b);
	CHECK(strv_has(b.deleted, "/gone") && strv_has(b.deleted, "/dir/old") && strv_has(b.deleted, "/sym"));
	CHECK(strv_has(b.deleted, "/dir/deep/deeper") && !strv_has(b.deleted, "/dir") && !strv_has(b.deleted, "/file"));
	stage_restore(&s, &b);
	stage_mount(&s);
	check_losses(&s);
	after = wild_text(s.target, 0);
	CHECK(wild_same(before, after));
	stage_unmount(&s);
	stage_import(&s, &b);
	imported = wild_text(s.target, WILD_LOOSE);
	CHECK(wild_same(loose, imported));
}

/* ---- hostile changes --------------------------------------------------------------------------------------------- */

static int make_upper(struct stage *s, struct strbuf *tar, char *const *deleted, struct err *err)
{
	autofree char *file = path_join(s->folder, "rootfs-diff.tar");

	tarball_end(tar);
	CHECK_INT(file_write_whole(file, tar->s, tar->len, 0600, NULL), 0);
	return bundle_make_upper(file, deleted, s->layers, s->upper, err);
}

TEST(changes_cannot_give_overlayfs_orders)
{
	AUTO(stage_done) struct stage s = stage_make();
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf whiteout = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf pax = STRBUF_INIT;
	autofree char *dir = path_join(s.upper, "d");
	struct err err = ERR_INIT;

	NEEDS_MOUNTS();
	tarball_record(&pax, "SCHILY.xattr.trusted.overlay.opaque", "y", 1);
	tarball_record(&pax, "SCHILY.xattr.trusted.overlay.redirect", "/etc", 4);
	tarball_record(&pax, "SCHILY.xattr.trusted.mine", "x", 1);
	tarball_pax(&tar, &pax);
	tarball_add(&tar, (struct tarball_member){ "d/", '5', .mode = 0700 });
	CHECK_INT(make_upper(&s, &tar, NULL, &err), 0);
	CHECK_STR(err.text, "");
	CHECK(lgetxattr(dir, "trusted.overlay.opaque", NULL, 0) < 0);
	CHECK(lgetxattr(dir, "trusted.overlay.redirect", NULL, 0) < 0);
	CHECK_INT(lgetxattr(dir, "trusted.overlay.overlay.redirect", NULL, 0), 4);
	CHECK_INT(lgetxattr(dir, "trusted.mine", NULL, 0), 1);
	CHECK_INT(path_remove_all(s.upper, NULL), 0);
	tarball_add(&whiteout, (struct tarball_member){ "d", '3' });
	CHECK_INT(make_upper(&s, &whiteout, NULL, &err), -EINVAL);
	CHECK(strstr(err.text, "whiteout") && !path_exists(s.upper));
}

TEST(changes_stay_inside)
{
	static const struct tarball_member members[] = {
		{ "../x", .data = "x" },	{ "a/../../x", .data = "x" }, { "h", '1', "../canary/secret" },
		{ "h", '1', "/canary/secret" }, { "up/x", .data = "x" }, /* through the link that comes before it */
		{ "abs/x", .data = "x" },
	};
	AUTO(stage_done) struct stage s = stage_make();
	autofree char *canary = canary_make("canary"), *before = canary_sum(canary), *after = NULL;
	char *const deleted[] = { (char *)"/up/canary/secret", (char *)"/../canary", (char *)"/abs", NULL };

	NEEDS_MOUNTS();
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;

		tarball_add(&tar, (struct tarball_member){ "up", '2', "../../.." });
		tarball_add(&tar, (struct tarball_member){ "abs", '2', canary });
		tarball_add(&tar, members[i]);
		(void)make_upper(&s, &tar, i % 2 ? deleted : NULL, NULL);
		CHECK_INT(path_remove_all(s.upper, NULL), 0);
	}
	after = canary_sum(canary);
	CHECK_STR(after, before);
	CHECK_INT(path_remove_all(canary, NULL), 0);
}

/* What is in the archive has been counted; what it unpacks to has not. */
TEST(packed_changes_are_refused)
{
	AUTO(stage_done) struct stage s = stage_make();
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;
	autofree char *zeros = xcalloc(1, 4 << 20);
	autofree char *file = path_join(s.folder, "rootfs-diff.tar");
	autoclose int fd = -1, packed = -1, to = -1;
	struct err err = ERR_INIT;

	NEEDS_MOUNTS();
	tarball_add(&tar, (struct tarball_member){ "zeros", .data = zeros, .len = 4 << 20 });
	fd = tarball_open(&tar);
	packed = tarball_packed("gzip", fd);
	if (packed < 0)
		SKIP("there is no gzip");
	to = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(file_copy(packed, to, NULL) >= 0);
	CHECK_INT(bundle_make_upper(file, NULL, s.layers, s.upper, &err), -E2BIG);
	CHECK(!path_exists(s.upper));
}

/* What the layers do not show needs no whiteout, and where nothing is, nothing is made. */
TEST(deletions)
{
	static const char *const names[] = { "/no/such",     "/dir/old", "/dir/deep/deeper/old", "/new/a", "/new/dir/x",
					     "/file/inside", "/conf",	 "/sym/inside" };
	AUTO(stage_done) struct stage s = stage_make();
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;
	AUTO(strv_free) char **deleted = NULL;

	NEEDS_MOUNTS();
	stage_first(&s);
	image_of_losses(s.upper);
	stage_push(&s);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		strv_add(&deleted, names[i]);
	tarball_add(&tar, (struct tarball_member){ "new/a", .data = "x" });
	tarball_add(&tar, (struct tarball_member){ "conf", .data = "x" });
	CHECK_INT(make_upper(&s, &tar, deleted, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		static const bool is_whiteout[] = { false, true, true, false, false, false, true, false };
		autofree char *path = path_join(s.upper, names[i] + 1);
		struct stat st;
		int r = lstat(path, &st);

		CHECK(is_whiteout[i] ? r == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0 : r < 0);
	}
}

/* ---- volumes ----------------------------------------------------------------------------------------------------- */

TEST(volumes_come_back)
{
	AUTO(stage_done) struct stage s = stage_make();
	autofree char *volume = path_join(s.path, "volume"), *again = path_join(s.path, "again");
	autofree char *whiteout = path_join(volume, "whiteout"), *tar = path_join(s.folder, "volumes/data.tar");
	char *const volumes[] = { xasprintf("data=%s", volume), NULL };
	AUTO(json_free) struct json *manifest = json_new_object();
	const struct bundle_source src = { .volumes = volumes, .manifest = manifest };
	const struct bundle_limits limits = { 1 << 30, 1000 };
	autoclose int fd = open(s.archive, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	AUTO(bundle_done) struct bundle b = { 0 };
	autofree char *before = NULL, *after = NULL;
	struct err err = ERR_INIT;
	uint64_t bytes;

	NEEDS_MOUNTS();
	CHECK_INT(mkdir(volume, 0770), 0);
	wild_change(volume, 5, 300);
	/* a volume may hold upper folders of other overlays */
	CHECK_INT(mknod(whiteout, S_IFCHR, 0), 0);
	CHECK_INT(lsetxattr(volume, "trusted.overlay.opaque", "y", 1, 0), 0);
	before = wild_text(volume, 0);
	CHECK_INT(bundle_write(fd, &src, NULL, NULL, &bytes, &err), 0);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK_INT(bundle_read(fd, s.folder, &limits, NULL, NULL, &b, &err), 0);
	CHECK_INT(bundle_make_volume(tar, again, &err), 0);
	CHECK_STR(err.text, "");
	after = wild_text(again, 0);
	CHECK(wild_same(before, after));
	CHECK_INT(bundle_make_volume(tar, again, &err), -EEXIST);
	CHECK(path_exists(again));
	free(volumes[0]);
}

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
