/* SPDX-License-Identifier: Apache-2.0 */
#include "base/archive.h"

#include <locale.h>
#include <sys/stat.h>

#include "tarball.h"

static const struct archive_limits defaults = ARCHIVE_LIMITS_DEFAULT;

/* Everything in it, as text: "kind name target size mode uid:gid mtime.ns [xattr=value] data\n"; or the error. */
static int dump(int fd, const struct archive_limits *limits, struct strbuf *out, struct archive_sums *sums,
		struct err *err)
{
	AUTO(archive_reader_free) struct archive_reader *rd = NULL;
	struct archive_item item;
	uint64_t offset;
	const void *p;
	size_t n;
	int r;

	r = archive_reader_open(fd, limits, &rd, err);
	while (r >= 0 && (r = archive_reader_next(rd, &item, err)) > 0) {
		strbuf_addf(out, "%d %s", (int)item.kind, item.name);
		if (item.target)
			strbuf_addf(out, " -> %s", item.target);
		strbuf_addf(out, " %llu %o %lld:%lld %lld.%ld", (unsigned long long)item.size, item.mode,
			    (long long)item.uid, (long long)item.gid, (long long)item.mtime.tv_sec, item.mtime.tv_nsec);
		for (size_t i = 0; i < item.n_xattrs; i++)
			strbuf_addf(out, " %s=%.*s", item.xattrs[i].name, (int)item.xattrs[i].size,
				    (const char *)item.xattrs[i].value);
		while ((r = archive_reader_data(rd, &p, &n, &offset, err)) > 0)
			strbuf_addf(out, " @%llu+%zu", (unsigned long long)offset, n);
		strbuf_addc(out, '\n');
	}
	return r < 0 ? r : archive_reader_finish(rd, sums, err);
}

static int dump_string(struct strbuf *tar, const struct archive_limits *limits, struct strbuf *out, struct err *err)
{
	autoclose int fd = tarball_open(tar);
	struct archive_sums sums;

	return dump(fd, limits, out, &sums, err);
}

static void check_error(struct strbuf *tar, const struct archive_limits *limits, int code, const char *words)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct err err = ERR_INIT;

	CHECK_INT(dump_string(tar, limits, &out, &err), code);
	if (!strstr(err.text, words))
		CHECK_STR(err.text, words);
}

static void write_all_kinds(int fd, enum archive_packing packing)
{
	static const struct archive_xattr x = { "user.note", "hi", 2 };
	const struct archive_item items[] = {
		{ ARCHIVE_KIND_DIR, "d", .mode = 01777, .mtime = { 5, 0 } },
		{ ARCHIVE_KIND_FILE, "d/f", .size = 4, .mode = 04755, .uid = 3000000, .gid = 7,
		  .mtime = { 9, 123456789 }, .xattrs = &x, .n_xattrs = 1 },
		{ ARCHIVE_KIND_SYMLINK, "d/s", "../x", .mode = 0777 },
		{ ARCHIVE_KIND_HARDLINK, "d/h", "d/f", .mode = 0644 },
		{ ARCHIVE_KIND_FIFO, "p", .mode = 0600 },
	};
	AUTO(archive_writer_free) struct archive_writer *wr = NULL;
	struct archive_item device = { ARCHIVE_KIND_OTHER, "socket" };

	REQUIRE(archive_writer_open(fd, packing, &wr, NULL) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		CHECK_INT(archive_writer_add(wr, &items[i], NULL), 0);
		if (items[i].size)
			CHECK_INT(archive_writer_data(wr, "data", 4, NULL), 0);
	}
	CHECK_INT(archive_writer_add(wr, &device, NULL), -EINVAL);
	CHECK_INT(archive_writer_data(wr, "more", 4, NULL), -EINVAL);
	CHECK_INT(archive_writer_finish(wr, NULL), 0);
}

static void check_round(enum archive_packing packing)
{
	autoclose int fd = memfd_create("archive", MFD_CLOEXEC), again = memfd_create("again", MFD_CLOEXEC);
	char a[DIGEST_HEX_SIZE], b[DIGEST_HEX_SIZE];
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct archive_sums sums = { 0 };
	struct err err = ERR_INIT;
	uint64_t size;

	write_all_kinds(fd, packing);
	write_all_kinds(again, packing);
	CHECK_INT(digest_of_fd(fd, a, &size, NULL), 0);
	CHECK_INT(digest_of_fd(again, b, &size, NULL), 0);
	CHECK_STR(a, b);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK_INT(dump(fd, &defaults, &out, &sums, &err), 0);
	CHECK_STR(err.text, "");
	CHECK_STR(out.s, "1 d/ 0 1777 0:0 5.0\n"
			 "0 d/f 4 4755 3000000:7 9.123456789 user.note=hi @0+4\n"
			 "2 d/s -> ../x 0 777 0:0 0.0\n"
			 "3 d/h -> d/f 0 644 0:0 0.0\n"
			 "4 p 0 600 0:0 0.0\n");
	CHECK_STR(sums.packed, a);
	CHECK_INT(sums.packed_bytes, size);
	CHECK(packing == ARCHIVE_PACK_NONE ? str_eq(sums.plain, a) : !str_eq(sums.plain, a));
}

TEST(what_is_written_is_read)
{
	check_round(ARCHIVE_PACK_NONE);
	check_round(ARCHIVE_PACK_GZIP);
	check_round(ARCHIVE_PACK_ZSTD);
}

static void check_packed(const char *program, const char *plain_digest)
{
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct archive_sums sums = { 0 };
	autoclose int fd = -1, packed = -1;

	tarball_add(&tar, (struct tarball_member){ .name = "a", .data = "hello" });
	fd = tarball_open(&tar);
	packed = tarball_packed(program, fd);
	if (packed < 0) {
		printf("     no %s here\n", program);
		return;
	}
	CHECK_INT(dump(packed, &defaults, &out, &sums, NULL), 0);
	CHECK_STR(out.s, "0 a 5 644 0:0 0.0 @0+5\n");
	CHECK_STR(sums.plain, plain_digest);
	CHECK_INT(sums.plain_bytes, tar.len);
}

TEST(all_compressions_give_the_same)
{
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;
	char digest[DIGEST_HEX_SIZE];

	tarball_add(&tar, (struct tarball_member){ .name = "a", .data = "hello" });
	tarball_end(&tar);
	digest_of(tar.s, tar.len, digest);
	check_packed("gzip", digest);
	check_packed("bzip2", digest);
	check_packed("xz", digest);
	check_packed("zstd", digest);
}

/* Accents composed and not, Latin-1, and a name only a GNU header holds: the bytes come out, in every locale. */
static void check_names(void)
{
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct err err = ERR_INIT;

	tarball_add(&tar, (struct tarball_member){ .name = "e\xcc\x81" });
	tarball_pax1(&tar, "path", "e\xcc\x81-pax");
	tarball_add(&tar, (struct tarball_member){ .name = "x" });
	tarball_pax1(&tar, "path", "\xe9-pax");
	tarball_add(&tar, (struct tarball_member){ .name = "x" });
	tarball_pax1(&tar, "linkpath", "\xc3\xa9/e\xcc\x81");
	tarball_add(&tar, (struct tarball_member){ .name = "s", .type = '2', .link = "x" });
	tarball_add(&tar, (struct tarball_member){ .name = "L", .type = 'L', .data = "\xe9-gnu", .len = 6 });
	tarball_add(&tar, (struct tarball_member){ .name = "x" });
	CHECK_INT(dump_string(&tar, &defaults, &out, &err), 0);
	CHECK_STR(out.s, "0 e\xcc\x81 0 644 0:0 0.0\n0 e\xcc\x81-pax 0 644 0:0 0.0\n0 \xe9-pax 0 644 0:0 0.0\n"
			 "2 s -> \xc3\xa9/e\xcc\x81 0 644 0:0 0.0\n0 \xe9-gnu 0 644 0:0 0.0\n");
}

TEST(names_are_bytes)
{
	check_names();
	if (!setlocale(LC_ALL, "C.UTF-8"))
		SKIP("no locale C.UTF-8");
	check_names();
	CHECK_STR(setlocale(LC_ALL, NULL), "C.UTF-8");
	(void)setlocale(LC_ALL, "C");
}

TEST(nonsense_is_refused)
{
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	autoclose int empty = tarball_fd("", 0), text = tarball_fd("no archive at all, only words", 29);
	struct archive_sums sums;
	struct err err = ERR_INIT;

	CHECK_INT(dump(empty, &defaults, &out, &sums, &err), -EINVAL);
	CHECK_STR(err.text, "not a tar archive");
	CHECK_INT(dump(text, &defaults, &out, &sums, &err), -EINVAL);
	CHECK_STR(err.text, "not a tar archive");
	tarball_add(&tar, (struct tarball_member){ .name = "a", .data = "x", .size = "77777777777" });
	check_error(&tar, &defaults, -EINVAL, "runcated");
	strbuf_reset(&tar);
	tarball_add(&tar, (struct tarball_member){ .name = "a",
						   .data = "x",
						   .size = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" });
	check_error(&tar, &defaults, -EINVAL, "");
	strbuf_reset(&tar);
	tarball_add(&tar, (struct tarball_member){ .name = "a" });
	tarball_add(&tar, (struct tarball_member){ .name = "b" });
	tar.s[512 + 148] = '7'; /* the second one's checksum */
	check_error(&tar, &defaults, -EINVAL, "amaged");
}

TEST(compressed_twice_is_refused)
{
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	autoclose int fd = -1, once = -1, twice = -1;
	struct archive_sums sums;
	struct err err = ERR_INIT;
	struct stat st;

	tarball_add(&tar, (struct tarball_member){ .name = "a", .data = "hello" });
	fd = tarball_open(&tar);
	once = tarball_packed("gzip", fd);
	twice = tarball_packed("gzip", once);
	REQUIRE(once >= 0 && twice >= 0);
	CHECK_INT(dump(twice, &defaults, &out, &sums, &err), -EINVAL);
	CHECK(strstr(err.text, "more than once"));
	CHECK(fstat(once, &st) == 0 && ftruncate(once, st.st_size - 12) == 0);
	CHECK_INT(dump(once, &defaults, &out, &sums, &err), -EINVAL);
	CHECK(strstr(err.text, "runcated"));
}

static void fill(struct strbuf *tar, int n, size_t len)
{
	autofree char *data = xcalloc(1, len + 1);

	for (int i = 0; i < n; i++)
		tarball_add(tar, (struct tarball_member){ .name = "a", .data = data, .len = len });
}

TEST(limits)
{
	struct archive_limits few = ARCHIVE_LIMITS_DEFAULT, small = ARCHIVE_LIMITS_DEFAULT;
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;

	few.entries = 3;
	small.bytes = 4096;
	fill(&tar, 3, 512);
	CHECK_INT(dump_string(&tar, &few, &out, NULL), 0);
	CHECK_INT(dump_string(&tar, &small, &out, NULL), -E2BIG); /* 3 x 1024 + two end marks */
	strbuf_reset(&tar);
	fill(&tar, 4, 0);
	check_error(&tar, &few, -E2BIG, "more than 3 members");
	strbuf_reset(&tar);
	fill(&tar, 1, 8192);
	check_error(&tar, &small, -E2BIG, "more bytes");
}

TEST(a_bomb_is_refused)
{
	struct archive_limits limits = ARCHIVE_LIMITS_DEFAULT;
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct err err = ERR_INIT;
	struct archive_sums sums;
	autoclose int fd = -1, packed = -1;

	limits.ratio_from = 1 << 20;
	fill(&tar, 8, 1 << 20);
	fd = tarball_open(&tar);
	packed = tarball_packed("gzip", fd);
	REQUIRE(packed >= 0);
	CHECK_INT(dump(packed, &limits, &out, &sums, &err), -E2BIG);
	CHECK(strstr(err.text, "too well"));
	CHECK(lseek(packed, 0, SEEK_SET) == 0);
	limits.ratio = 2000;
	CHECK_INT(dump(packed, &limits, &out, &sums, NULL), 0);
}

/* A sparse map of format 1.0 stands in the data; libarchive keeps all of it in memory. */
TEST(an_endless_sparse_map_is_refused)
{
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf pax = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf map = STRBUF_INIT;

	strbuf_adds(&map, "4000000\n");
	for (int i = 0; i < 4000000; i++)
		strbuf_adds(&map, "0\n0\n");
	tarball_record(&pax, "GNU.sparse.major", "1", 1);
	tarball_record(&pax, "GNU.sparse.minor", "0", 1);
	tarball_record(&pax, "GNU.sparse.name", "a", 1);
	tarball_record(&pax, "GNU.sparse.realsize", "100", 3);
	tarball_pax(&tar, &pax);
	tarball_add(&tar, (struct tarball_member){ .name = "b", .data = map.s, .len = map.len });
	check_error(&tar, &defaults, -E2BIG, "header in it is too large");
}

TEST(data_beyond_the_size_is_refused)
{
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf pax = STRBUF_INIT;
	char data[1024] = "1\n1000\n4\n";

	tarball_record(&pax, "GNU.sparse.major", "1", 1);
	tarball_record(&pax, "GNU.sparse.minor", "0", 1);
	tarball_record(&pax, "GNU.sparse.realsize", "100", 3);
	tarball_pax(&tar, &pax);
	tarball_add(&tar, (struct tarball_member){ .name = "b", .data = data, .len = 516 });
	check_error(&tar, &defaults, -EINVAL, "");
}

static int make_sparse_tar(const char *format)
{
	autofree char *path = path_join(test_dir(), "sparse"), *tar = path_join(test_dir(), "sparse.tar");
	char *argv[] = { (char *)"tar", (char *)"-C",	(char *)test_dir(), (char *)"-cSf",
			 tar,		(char *)format, (char *)"sparse",   NULL };
	struct proc_spec spec = { .argv = argv };
	autoclose int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(pwrite(fd, "begin", 5, 0) == 5 && pwrite(fd, "end", 3, 50 << 20) == 3 && ftruncate(fd, 60 << 20) == 0);
	if (proc_run(&spec, 60 * US_PER_S, NULL, 0, NULL, NULL) < 0)
		return -1;
	return open(tar, O_RDONLY | O_CLOEXEC);
}

TEST(holes_stay_holes)
{
	static const char *const formats[] = { "--format=gnu", "--format=posix", "--sparse-version=0.1",
					       "--sparse-version=0.0" };

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		autoclose int fd = make_sparse_tar(formats[i]);
		AUTO(archive_reader_free) struct archive_reader *rd = NULL;
		bool has_begin = false, has_end = false;
		struct archive_item item;
		uint64_t offset, total = 0;
		const void *p;
		size_t n;

		if (fd < 0)
			SKIP("no GNU tar here");
		REQUIRE(archive_reader_open(fd, &defaults, &rd, NULL) == 0);
		REQUIRE(archive_reader_next(rd, &item, NULL) == 1);
		CHECK_STR(item.name, "sparse");
		CHECK_INT(item.size, 60 << 20);
		while (archive_reader_data(rd, &p, &n, &offset, NULL) > 0) {
			total += n;
			has_begin = has_begin || (n >= 5 && offset == 0 && memcmp(p, "begin", 5) == 0);
			has_end = has_end || (n >= 3 && offset == 50 << 20 && memcmp(p, "end", 3) == 0);
		}
		CHECK(has_begin && has_end && total < 1 << 20);
	}
}

TEST(what_lies_behind_the_end_counts)
{
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	char digest[DIGEST_HEX_SIZE];
	struct archive_sums sums = { 0 };
	autoclose int fd = -1;

	tarball_add(&tar, (struct tarball_member){ .name = "a", .data = "hello" });
	tarball_end(&tar);
	for (int i = 0; i < 200000; i++)
		strbuf_adds(&tar, "trailing");
	digest_of(tar.s, tar.len, digest);
	fd = tarball_fd(tar.s, tar.len);
	CHECK_INT(dump(fd, &defaults, &out, &sums, NULL), 0);
	CHECK_STR(sums.plain, digest);
	CHECK_STR(sums.packed, digest);
	CHECK_INT(sums.packed_bytes, tar.len);
}

TEST(a_pipe_can_be_read)
{
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct archive_sums sums;
	int fds[2];

	tarball_add(&tar, (struct tarball_member){ .name = "a", .data = "hello" });
	tarball_end(&tar);
	REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
	CHECK_INT(file_write_all(fds[1], tar.s, tar.len, NULL), 0);
	close(fds[1]);
	CHECK_INT(dump(fds[0], &defaults, &out, &sums, NULL), 0);
	CHECK_STR(out.s, "0 a 5 644 0:0 0.0 @0+5\n");
	close(fds[0]);
}
