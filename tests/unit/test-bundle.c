/* SPDX-License-Identifier: Apache-2.0 */
/* test-bundle.c - checkpoint archives: what is written is read, and nothing else is */
#include "image/bundle.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/json.h"
#include "canary.h"
#include "tarball.h"

typedef struct tarball_member member;

static const struct bundle_limits roomy = { 1 << 30, 10000 };

/* An archive that was unpacked, below the folder of this program. */
struct opened {
	char *path;
	struct bundle b;
	struct err err;
	int code;
};

static void opened_done(struct opened *o)
{
	bundle_done(&o->b);
	CHECK_INT(path_remove_all(o->path, NULL), 0);
	free(o->path);
}
AUTO_DEFINE_IN(struct opened, opened_done)

static struct opened open_fd(int fd, const struct bundle_limits *limits)
{
	struct opened o = { .path = path_join(test_dir(), "opened"), .err = ERR_INIT };

	CHECK_INT(mkdir(o.path, 0700), 0);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	o.code = bundle_read(fd, o.path, limits, NULL, NULL, &o.b, &o.err);
	return o;
}

static struct opened open_tar(struct strbuf *tar)
{
	autoclose int fd = tarball_open(tar);

	return open_fd(fd, &roomy);
}

static void check_file(const char *folder, const char *name, const char *want)
{
	autofree char *path = path_join(folder, name), *text = NULL;
	struct stat st;

	CHECK_INT(file_read(path, 1 << 20, &text, NULL, NULL), 0);
	CHECK_STR(text, want);
	CHECK(lstat(path, &st) == 0 && st.st_mode == (S_IFREG | 0600) && st.st_nlink == 1);
}

/* ---- written and read -------------------------------------------------------------------------------------------- */

/* Everything that an archive can hold, in a folder of its own. */
struct stuff {
	char *path, *images, *upper, *lower[2], *volumes[2], *volume, *spec, *log, *stats;
	struct json *config, *manifest, *network;
	struct bundle_source src;
};

static void put(const char *folder, const char *name, const char *text)
{
	autofree char *path = path_join(folder, name);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && file_write_all(fd, text, strlen(text), NULL) == 0);
}

static char *sub(const char *folder, const char *name)
{
	char *path = path_join(folder, name);

	CHECK_INT(path_mkdirs(path, 0755, NULL), 0);
	return path;
}

static struct stuff stuff_make(void)
{
	struct stuff s = { .path = sub(test_dir(), "stuff") };

	s.images = sub(s.path, "images");
	s.upper = sub(s.path, "upper");
	s.lower[0] = sub(s.path, "lower");
	s.volume = sub(s.path, "volume");
	s.volumes[0] = xasprintf("data=%s", s.volume);
	put(s.images, "inventory.img", "inventory");
	put(s.images, "pages-1.img", "pages");
	put(s.images, "descriptors.json", "[\"/dev/null\", \"pipe:[1]\", \"pipe:[2]\"]");
	put(s.upper, "new", "new text");
	put(s.volume, "in-volume", "volume text");
	put(s.path, "config.json", "{\"ociVersion\": \"1.0.2\", \"big\": 18446744073709551615}");
	put(s.path, "log", "a log\n");
	put(s.path, "stats", "statistics");
	s.spec = path_join(s.path, "config.json");
	s.log = path_join(s.path, "log");
	s.stats = path_join(s.path, "stats");
	s.config = json_new_object();
	json_set_str(s.config, "name", "web");
	s.manifest = json_new_object();
	json_set_int(s.manifest, "format", 1);
	s.network = json_new_object();
	s.src = (struct bundle_source){ .images = s.images,
					.upper = s.upper,
					.config = s.config,
					.manifest = s.manifest,
					.spec = s.spec,
					.log = s.log,
					.stats = s.stats,
					.network = s.network,
					.threads = 2 };
	return s;
}

static void stuff_done(struct stuff *s)
{
	CHECK_INT(path_remove_all(s->path, NULL), 0);
	free(s->path);
	free(s->images);
	free(s->upper);
	free(s->lower[0]);
	free(s->volume);
	free(s->volumes[0]);
	free(s->spec);
	free(s->log);
	free(s->stats);
	json_free(s->config);
	json_free(s->manifest);
	json_free(s->network);
}
AUTO_DEFINE_IN(struct stuff, stuff_done)

/* Its "lower" and "volumes" point into the structure, which moves when it is returned. */
static const struct bundle_source *source(struct stuff *s)
{
	s->src.lower = s->lower;
	s->src.volumes = s->volumes;
	return &s->src;
}

static int pack(const struct bundle_source *src, uint64_t *bytes)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	struct stat st;

	CHECK_INT(bundle_write(fd, src, NULL, NULL, bytes, &err), 0);
	CHECK_STR(err.text, "");
	CHECK(fstat(fd, &st) == 0 && (uint64_t)st.st_size == *bytes);
	return fd;
}

static void check_round(struct stuff *s, enum bundle_compression compression)
{
	autoclose int fd = -1;
	uint64_t bytes = 0, estimate = 0;

	s->src.compression = compression;
	fd = pack(source(s), &bytes);
	CHECK_INT(bundle_estimate(source(s), &estimate, NULL), 0);
	CHECK(estimate >= bytes);
	{
		AUTO(opened_done) struct opened o = open_fd(fd, &roomy);

		CHECK_INT(o.code, 0);
		CHECK_STR(o.err.text, "");
		CHECK(o.b.has_images && o.b.has_rootfs && o.b.has_log && o.b.has_stats && !o.b.has_shm);
		CHECK_STR(json_get_str(o.b.config, "name"), "web");
		CHECK_INT(json_get_int(o.b.manifest, "format", 0), 1);
		CHECK(json_has(o.b.spec, "big") && o.b.network && o.b.n_skipped == 0 && !o.b.deleted);
		CHECK(strv_len(o.b.volumes) == 1 && str_eq(o.b.volumes[0], "data"));
		check_file(o.path, "checkpoint/pages-1.img", "pages");
		check_file(o.path, "ctr.log", "a log\n");
		check_file(o.path, "stats-dump", "statistics");
		CHECK(path_exists(o.path));
	}
}

TEST(what_is_written_is_read)
{
	AUTO(stuff_done) struct stuff s = stuff_make();

	check_round(&s, BUNDLE_NONE);
	check_round(&s, BUNDLE_GZIP);
	check_round(&s, BUNDLE_ZSTD);
}

/* What "tar" says about it: names, order, owners. */
TEST(others_read_it)
{
	AUTO(stuff_done) struct stuff s = stuff_make();
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	autoclose int fd = -1;
	struct proc_fd fds[1];
	struct proc_spec spec = { .argv = PROC_ARGV("tar", "tf", "-"), .fds = fds, .n_fds = 1 };
	uint64_t bytes;

	s.src.compression = BUNDLE_NONE;
	fd = pack(source(&s), &bytes);
	fds[0] = (struct proc_fd){ fd, 0 };
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK_INT(proc_run(&spec, 20 * US_PER_S, &out, 1 << 16, NULL, NULL), 0);
	CHECK_STR(out.s, "artifacts/\nconfig.dump\nspec.dump\nnetwork.status\nstats-dump\nctr.log\nstasis.json\n"
			 "checkpoint/\ncheckpoint/descriptors.json\ncheckpoint/inventory.img\ncheckpoint/pages-1.img\n"
			 "rootfs-diff.tar\nvolumes/\nvolumes/data.tar\n");
	spec.argv = PROC_ARGV("tar", "tvf", "-", "--numeric-owner");
	strbuf_reset(&out);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK_INT(proc_run(&spec, 20 * US_PER_S, &out, 1 << 16, NULL, NULL), 0);
	CHECK(str_after(out.s, "drwx------ 0/0 "));
	CHECK(strstr(out.s, "-rw------- 0/0 ") && !strstr(out.s, "-rw-r"));
}

TEST(parts_can_be_left_out)
{
	AUTO(stuff_done) struct stuff s = stuff_make();
	const struct bundle_source src = { .spec = s.spec, .config = s.config, .manifest = s.manifest };
	uint64_t bytes;
	autoclose int fd = pack(&src, &bytes);
	AUTO(opened_done) struct opened o = open_fd(fd, &roomy);

	CHECK_INT(o.code, 0);
	CHECK(!o.b.has_images && !o.b.has_rootfs && !o.b.has_log && !o.b.volumes && !o.b.network && o.b.spec);
}

struct watcher {
	uint64_t done, total;
	int calls, until;
};

static bool watch(uint64_t done, uint64_t total, void *ctx)
{
	struct watcher *w = ctx;

	CHECK(done >= w->done && done <= total);
	w->done = done;
	w->total = total;
	return ++w->calls < w->until;
}

TEST(progress_and_cancelling)
{
	AUTO(stuff_done) struct stuff s = stuff_make();
	autofree char *pages = path_join(s.images, "pages-1.img");
	autoclose int fd = memfd_create("archive", MFD_CLOEXEC);
	struct watcher w = { .until = 1000 };
	struct err err = ERR_INIT;
	uint64_t bytes = 0;

	CHECK_INT(truncate(pages, 20 << 20), 0);
	CHECK_INT(bundle_write(fd, source(&s), watch, &w, &bytes, &err), 0);
	CHECK(w.calls >= 10 && w.done == w.total && w.total > 20 << 20 && bytes < 1 << 20);
	w = (struct watcher){ .until = 3 };
	CHECK_INT(bundle_write(fd, source(&s), watch, &w, &bytes, &err), -ECANCELED);
	CHECK_INT(w.calls, 3);
}

TEST(what_cannot_be_written_is_named)
{
	AUTO(stuff_done) struct stuff s = stuff_make();
	autoclose int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct err err = ERR_INIT;
	uint64_t bytes;

	CHECK_INT(bundle_write(fd, source(&s), NULL, NULL, &bytes, &err), -ENOSPC);
	CHECK(strstr(err.text, "No space left"));
	s.volumes[0][0] = '/';
	CHECK_INT(bundle_write(fd, source(&s), NULL, NULL, &bytes, &err), -EINVAL);
	s.volumes[0][0] = 'd';
	s.src.log = "/nowhere/log";
	CHECK_INT(bundle_write(fd, source(&s), NULL, NULL, &bytes, &err), -ENOENT);
	CHECK(strstr(err.text, "/nowhere/log"));
}

/* ---- hostile ----------------------------------------------------------------------------------------------------- */

#define DESCRIPTORS "[\"a\",\"b\",\"c\"]"

static void add_good(struct strbuf *tar)
{
	tarball_add(tar, (member){ "./spec.dump", .data = "{}" });
	tarball_add(tar, (member){ "./checkpoint/", '5' });
	tarball_add(tar, (member){ "./checkpoint//inventory.img", .data = "i" });
	tarball_add(tar, (member){ "checkpoint/./descriptors.json", .data = DESCRIPTORS });
	tarball_add(tar, (member){ "volumes/v.tar", .data = "v" });
}

/* Nothing may appear or change outside of the folder. */
static void check_hostile(struct strbuf *tar, const struct bundle_limits *limits, int code, const char *words)
{
	autofree char *canary = canary_make("canary"), *before = canary_sum(canary), *after = NULL;
	autoclose int fd = tarball_open(tar);
	AUTO(opened_done) struct opened o = open_fd(fd, limits);
	autofree char *escaped = path_join(test_dir(), "x");

	CHECK_INT(o.code, code);
	if (!strstr(o.err.text, words))
		CHECK_STR(o.err.text, words);
	for (const char *c = o.err.text; *c; c++)
		CHECK((unsigned char)*c >= 0x20);
	CHECK(!path_exists(escaped));
	after = canary_sum(canary);
	CHECK_STR(after, before);
	CHECK_INT(path_remove_all(canary, NULL), 0);
}

static const struct {
	member m;
	const char *words;
} corpus[] = {
	/* ways out */
	{ { "../x", .data = "x" }, "leads out" },
	{ { "..", '5' }, "leads out" },
	{ { "./../x", .data = "x" }, "leads out" },
	{ { "a/../../x", .data = "x" }, "leads out" },
	{ { "checkpoint/..", '5' }, "leads out" },
	{ { "checkpoint/../x", .data = "x" }, "leads out" },
	{ { "checkpoint/../../x", .data = "x" }, "leads out" },
	{ { "checkpoint/../spec.dump", .data = "{}" }, "leads out" },
	{ { "volumes/../../x.tar", .data = "x" }, "leads out" },
	{ { "volumes/..", '2', "/" }, "leads out" },
	{ { "/x", .data = "x" }, "absolute" },
	{ { "//x", .data = "x" }, "absolute" },
	{ { "/checkpoint/x.img", .data = "x" }, "absolute" },
	{ { "/tmp/\33[2Jx", .data = "x" }, "'/tmp/?[2Jx'" },
	/* what is no file */
	{ { "ctr.log", '2', "/etc/passwd" }, "neither" },
	{ { "ctr.log", '1', "spec.dump" }, "neither" },
	{ { "spec.dump", '2', "/etc/passwd" }, "neither" },
	{ { "checkpoint", '2', "../canary" }, "neither" },
	{ { "checkpoint/x.img", '2', "../../canary/secret" }, "neither" },
	{ { "checkpoint/x.img", '1', "checkpoint/inventory.img" }, "neither" },
	{ { "checkpoint/x.img", '6' }, "neither" },
	{ { "checkpoint/x.img", '3' }, "neither" },
	{ { "checkpoint/parent", '2', "../pre-checkpoint" }, "neither" },
	{ { "rootfs-diff.tar", '4' }, "neither" },
	{ { "volumes", '2', "/" }, "neither" },
	{ { "volumes/w.tar", '2', "/etc/passwd" }, "neither" },
	{ { "unknown", '2', "/etc/passwd" }, "neither" },
	{ { "unknown", '3' }, "neither" },
	/* not what it should be */
	{ { "artifacts", .data = "x" }, "should be a folder" },
	{ { "volumes", .data = "x" }, "should be a folder" },
	{ { "config.dump", '5' }, "should be a file" },
	{ { "rootfs-diff.tar/", '5' }, "should be a file" },
	{ { "ctr.log/", '5' }, "should be a file" },
	/* twice */
	{ { "spec.dump", .data = "{}" }, "twice" },
	{ { ".//spec.dump", .data = "{}" }, "twice" },
	{ { "checkpoint", '5' }, "twice" },
	{ { "checkpoint/inventory.img", .data = "x" }, "twice" },
	{ { "./checkpoint/./descriptors.json", .data = DESCRIPTORS }, "twice" },
	{ { "volumes//v.tar", .data = "x" }, "twice" },
	/* documents */
	{ { "config.dump", .data = "{" }, "config.dump" },
	{ { "config.dump", .data = "" }, "config.dump" },
	{ { "config.dump", .data = "{} {}" }, "config.dump" },
	{ { "config.dump", .data = "[]" }, "no JSON object" },
	{ { "config.dump", .data = "{\"a\": 1, \"a\": 2}" }, "config.dump" },
	{ { "config.dump", .data = "{\"a\": \"\xff\"}" }, "config.dump" },
	{ { "config.json", .data = "7" }, "no JSON object" },
	{ { "stasis.json", .data = "\"x\"" }, "no JSON object" },
	{ { "network.status", .data = "[1]" }, "no JSON object" },
	{ { "deleted.files", .data = "{}" }, "no JSON array" },
	{ { "deleted.files", .data = "[1]" }, "no path" },
	{ { "deleted.files", .data = "[null]" }, "no path" },
	{ { "deleted.files", .data = "[\"\"]" }, "no path" },
	{ { "deleted.files", .data = "[\"/\"]" }, "no path" },
	{ { "deleted.files", .data = "[\"//./\"]" }, "no path" },
	{ { "deleted.files", .data = "[\"a\"]" }, "no path" },
	{ { "deleted.files", .data = "[\"/../x\"]" }, "no path" },
	{ { "deleted.files", .data = "[\"/a/../../x\"]" }, "no path" },
	{ { "deleted.files.raw", .data = "/a" }, "cut off" },
	{ { "deleted.files.raw", .data = "/\xff\0b", .len = 5 }, "no path" },
	/* headers */
	{ { "checkpoint/x.img", .size = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" }, "" },
	{ { "checkpoint/x.img", .size = "77777777777" }, "more than" },
};

TEST(hostile_members_are_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(corpus); i++) {
		AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;
		bool is_large = str_eq(corpus[i].words, "more than");

		add_good(&tar);
		tarball_add(&tar, corpus[i].m);
		check_hostile(&tar, &roomy, is_large ? -E2BIG : -EINVAL, corpus[i].words);
	}
}

TEST(names_that_are_not_known_are_skipped)
{
	static const char *const names[] = {
		"checkpoint../x",
		"checkpoint.img",
		"checkpoint/sub/x.img",
		"checkpoint/.hidden.img",
		"checkpoint/-x.img",
		"checkpoint/dump.log",
		"checkpoint/img",
		"checkpoint/a b.img",
		"checkpoint/\33[2J.img",
		"checkpoint/x.img.exe",
		"volumes/x",
		"volumes/.tar",
		"volumes/a/b.tar",
		"volumes../x.tar",
		"artifacts/x",
		"spec.dump.bak",
		"spec.dump/x",
		"pre-checkpoint/x.img",
		"x",
		"CTR.LOG",
		"deleted.files2",
		"rootfs-diff.tar/x",
		"bind.mounts",
	};
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;

	add_good(&tar);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		tarball_add(&tar, (member){ names[i], .data = "x" });
	tarball_add(&tar, (member){ "./", '5' });
	tarball_add(&tar, (member){ "checkpoint/folder.img", '5' });
	{
		AUTO(opened_done) struct opened o = open_tar(&tar);
		autofree char *all = NULL;

		CHECK_INT(o.code, 0);
		CHECK_STR(o.err.text, "");
		CHECK_INT(o.b.n_skipped, ARRAY_SIZE(names) + 1);
		check_file(o.path, "checkpoint/inventory.img", "i");
		check_file(o.path, "volumes/v.tar", "v");
		all = canary_sum(o.path);
		CHECK(!strstr(all, "x.img") && !strstr(all, "dump.log") && !strstr(all, "artifacts"));
		CHECK_INT(o.b.bytes, 2 + strlen(DESCRIPTORS));
	}
}

static void check_images(const char *descriptors, bool has_inventory, const char *words)
{
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;

	tarball_add(&tar, (member){ "config.json", .data = "{}" });
	tarball_add(&tar, (member){ "checkpoint/core-1.img", .data = "x" });
	if (has_inventory)
		tarball_add(&tar, (member){ "checkpoint/inventory.img", .data = "x" });
	if (descriptors)
		tarball_add(&tar, (member){ "checkpoint/descriptors.json", .data = descriptors });
	check_hostile(&tar, &roomy, *words ? -EINVAL : 0, words);
}

TEST(images_are_whole)
{
	check_images(DESCRIPTORS, true, "");
	check_images(DESCRIPTORS, false, "inventory.img is missing");
	check_images(NULL, true, "descriptors.json is missing");
	check_images("[\"a\", \"b\"]", true, "three strings");
	check_images("[\"a\", \"b\", \"c\", \"d\"]", true, "three strings");
	check_images("[1, 2, 3]", true, "three strings");
	check_images("[\"a\", \"b\", null]", true, "three strings");
	check_images("{\"0\": \"a\", \"1\": \"b\", \"2\": \"c\"}", true, "three strings");
	check_images("", true, "three strings");
	check_images("[\"a\", \"b\", \"c\"] x", true, "three strings");
}

TEST(limits)
{
	static const struct bundle_limits small = { 1000, 6 };
	static const char map[512] = "1\n1000000000000000000\n0\n";
	AUTO(strbuf_done) struct strbuf much = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf many = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf hole = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf json = STRBUF_INIT;
	autofree char *text = xmalloc((16 << 20) + 2);

	add_good(&much);
	tarball_add(&much, (member){ "ctr.log", .data = text, .len = 2000 });
	check_hostile(&much, &small, -E2BIG, "'ctr.log'");
	add_good(&many);
	tarball_add(&many, (member){ "unknown", .data = "x" });
	tarball_add(&many, (member){ "unknown", .data = "x" });
	check_hostile(&many, &small, -E2BIG, "more than 6 members");
	/* a file that is one hole of an exabyte */
	add_good(&hole);
	{
		AUTO(strbuf_done) struct strbuf pax = STRBUF_INIT;

		tarball_record(&pax, "GNU.sparse.major", "1", 1);
		tarball_record(&pax, "GNU.sparse.minor", "0", 1);
		tarball_record(&pax, "GNU.sparse.name", "ctr.log", 7);
		tarball_record(&pax, "GNU.sparse.realsize", "1000000000000000000", 19);
		tarball_pax(&hole, &pax);
		tarball_add(&hole, (member){ "GNUSparseFile.0/ctr.log", .data = map, .len = sizeof(map) });
	}
	check_hostile(&hole, &roomy, -E2BIG, "'ctr.log'");
	memset(text, ' ', (16 << 20) + 1);
	text[0] = '{';
	text[16 << 20] = '}';
	tarball_add(&json, (member){ "config.dump", .data = text, .len = (16 << 20) + 1 });
	check_hostile(&json, &roomy, -E2BIG, "'config.dump'");
}

TEST(what_is_no_archive)
{
	AUTO(strbuf_done) struct strbuf empty = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf other = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf cut = STRBUF_INIT;
	autoclose int fd = tarball_fd("hello", 5), cut_fd = -1;

	{
		AUTO(opened_done) struct opened o = open_fd(fd, &roomy);

		CHECK_INT(o.code, -EINVAL);
	}
	check_hostile(&empty, &roomy, -EINVAL, "nothing in it is known");
	tarball_add(&other, (member){ "manifest.json", .data = "{}" });
	check_hostile(&other, &roomy, -EINVAL, "nothing in it is known");
	add_good(&cut);
	cut_fd = tarball_fd(cut.s, cut.len - 700);
	{
		AUTO(opened_done) struct opened o = open_fd(cut_fd, &roomy);

		CHECK_INT(o.code, -EINVAL);
	}
}

TEST(a_cut_archive_is_refused_in_every_packing)
{
	static const enum bundle_compression all[] = { BUNDLE_ZSTD, BUNDLE_GZIP };
	AUTO(stuff_done) struct stuff s = stuff_make();

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		autoclose int fd = -1;
		uint64_t bytes = 0;

		s.src.compression = all[i];
		fd = pack(source(&s), &bytes);
		for (uint64_t cut = 1; cut < bytes; cut += bytes / 7) {
			CHECK_INT(ftruncate(fd, (off_t)(bytes - cut)), 0);
			AUTO(opened_done) struct opened o = open_fd(fd, &roomy);

			CHECK_INT(o.code, -EINVAL);
		}
	}
}
