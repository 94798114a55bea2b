/* SPDX-License-Identifier: Apache-2.0 */
/* test-bundle-hostile.c - what archives try, and do not get */
#include <sys/stat.h>

#include "canary.h"
#include "opened.h"

typedef struct tarball_member member;

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
