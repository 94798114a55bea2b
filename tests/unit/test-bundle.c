/* SPDX-License-Identifier: Apache-2.0 */
/* test-bundle.c - checkpoint archives: what is written is read, and nothing else is */
#include "image/bundle.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/json.h"
#include "base/strv.h"
#include "opened.h"

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
			 "rootfs-diff.tar\nvolumes/\nvolumes/data.tar\nstasis.sums\n");
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
