/* SPDX-License-Identifier: Apache-2.0 */
/* test-oci-write.c - the layout of a checkpoint image: digests, annotations, and that it is read back; where it may go
 */
#include "image/oci-write.h"

#include <sys/stat.h>

#include "base/archive.h"
#include "base/clock.h"
#include "image/annotations.h"
#include "image/push.h"
#include "layout.h"

static const struct annotations facts = {
	.name = "web",
	.image = "docker.io/library/debian:12",
	.image_digest = "aa",
	.image_id = "bb",
	.stasis = "0.1.0",
	.criu = "4.2.1",
	.crun = "1.28",
	.conmon = "2.1.6",
	.architecture = "amd64",
	.kernel = "6.18.1",
	.distribution = "debian",
	.distribution_version = "12",
	.created_us = 1700000000 * US_PER_S,
};

/* A tar of one file, packed as a checkpoint's archive is. */
static void make_layer(const char *path, enum archive_packing packing)
{
	static const struct archive_item item = { .name = "config.dump", .size = 2, .mode = 0600 };
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	AUTO(archive_writer_free) struct archive_writer *wr = NULL;

	REQUIRE(fd >= 0 && archive_writer_open(fd, packing, &wr, NULL) == 0);
	CHECK_INT(archive_writer_add(wr, &item, NULL), 0);
	CHECK_INT(archive_writer_data(wr, "{}", 2, NULL), 0);
	CHECK_INT(archive_writer_finish(wr, NULL), 0);
}

struct made {
	char *folder, *layer;
	struct oci_written written;
};

static void made_done(struct made *m)
{
	CHECK_INT(path_remove_all(m->folder, NULL), 0);
	free(m->folder);
	free(m->layer);
}
AUTO_DEFINE_IN(struct made, made_done)

static void make(struct made *m, const char *name, enum archive_packing packing, const char *suffix)
{
	AUTO(json_free) struct json *annotations = annotations_make(&facts);
	struct oci_write w = {
		.layer_suffix = suffix,
		.created_by = "/bin/sh",
		.created_us = facts.created_us,
		.annotations = annotations,
	};
	struct err err = ERR_INIT;

	m->folder = path_join(test_dir(), name);
	m->layer = path_joinf(test_dir(), "%s.layer", name);
	CHECK_INT(path_mkdirs(m->folder, 0700, NULL), 0);
	make_layer(m->layer, packing);
	w.folder = m->folder;
	w.layer = m->layer;
	CHECK_INT(oci_write(&w, &m->written, &err), 0);
	CHECK_STR(err.text, "");
}

static void open_made(const struct made *m, struct oci_image **ret)
{
	autoclose int fd = open(m->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err err = ERR_INIT;

	REQUIRE(fd >= 0);
	CHECK_INT(oci_open(fd, ret, &err), 0);
	CHECK_STR(err.text, "");
	REQUIRE(*ret != NULL);
}

/* Of a blob: it is what its name says, and nobody else may read it. */
static void check_blob(const struct made *m, const char *digest)
{
	autofree char *path = path_joinf(m->folder, "blobs/sha256/%s", digest);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	char is[DIGEST_HEX_SIZE] = "";
	struct stat st = { 0 };

	REQUIRE(fd >= 0 && fstat(fd, &st) == 0);
	CHECK_INT(st.st_mode & 0777, 0600);
	CHECK_INT(digest_of_fd(fd, is, NULL, NULL), 0);
	CHECK_STR(is, digest);
}

static void check_diff_id(const struct made *m, const struct oci_image *image)
{
	const struct archive_limits limits = ARCHIVE_LIMITS_DEFAULT;
	AUTO(archive_reader_free) struct archive_reader *rd = NULL;
	autofree char *path = path_join(m->folder, image->layers[0].path);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct archive_sums sums = { 0 };

	REQUIRE(archive_reader_open(fd, &limits, &rd, NULL) == 0);
	CHECK_INT(archive_reader_finish(rd, &sums, NULL), 0);
	CHECK_STR(image->layers[0].diff_id, sums.plain);
	CHECK_STR(image->layers[0].digest, sums.packed);
	CHECK_INT(image->layers[0].size, sums.packed_bytes);
	CHECK_INT(image->layers[0].size, m->written.layer_bytes);
}

TEST(a_layout_is_written_and_read_back)
{
	static const struct {
		const char *name, *suffix;
		enum archive_packing packing;
	} kinds[] = { { "gzip", "+gzip", ARCHIVE_PACK_GZIP },
		      { "zstd", "+zstd", ARCHIVE_PACK_ZSTD },
		      { "none", "", ARCHIVE_PACK_NONE } };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		AUTO(oci_image_free) struct oci_image *image = NULL;
		AUTO(made_done) struct made m = { 0 };
		AUTO(json_free) struct json *manifest = NULL;
		autofree char *type = xasprintf("application/vnd.oci.image.layer.v1.tar%s", kinds[i].suffix);

		make(&m, kinds[i].name, kinds[i].packing, kinds[i].suffix);
		open_made(&m, &image);
		CHECK(!path_exists(m.layer));
		CHECK_STR(image->fingerprint, m.written.manifest);
		CHECK_STR(image->name, OCI_WRITE_NAME);
		CHECK_INT(image->n_layers, 1);
		CHECK_INT(image->parsed->created_us, facts.created_us);
		check_diff_id(&m, image);
		check_blob(&m, m.written.manifest);
		check_blob(&m, m.written.config);
		check_blob(&m, m.written.layer);
		CHECK_INT(json_parse(image->manifest, strlen(image->manifest), &manifest, NULL), 0);
		CHECK_STR(json_str(json_at(manifest, "/layers/0/mediaType")), type);
		CHECK_INT(annotations_check(image->manifest, NULL), 0);
	}
}

TEST(what_is_no_archive_is_not_written)
{
	autofree char *folder = path_join(test_dir(), "bad"), *layer = path_join(test_dir(), "bad.layer");
	const struct oci_write w = { .folder = folder, .layer = layer, .layer_suffix = "", .created_by = "" };
	struct oci_written written;

	CHECK_INT(path_mkdirs(folder, 0700, NULL), 0);
	CHECK_INT(oci_write(&w, &written, NULL), -ENOENT);
	CHECK_INT(file_write_whole(layer, "not an archive", 14, 0600, NULL), 0);
	CHECK_INT(oci_write(&w, &written, NULL), -EINVAL);
	CHECK_INT(unlink(layer), 0);
	CHECK_INT(path_remove_all(folder, NULL), 0);
}

TEST(every_engine_finds_its_annotations)
{
	static const struct {
		const char *key, *value;
	} rows[] = {
		{ "io.podman.annotations.checkpoint.name", "web" },
		{ "io.podman.annotations.checkpoint.rawImageName", "docker.io/library/debian:12" },
		{ "io.podman.annotations.checkpoint.rootfsImageID", "bb" },
		{ "io.podman.annotations.checkpoint.rootfsImageName", "docker.io/library/debian:12" },
		{ "io.podman.annotations.checkpoint.podman.version", "stasis 0.1.0" },
		{ "io.podman.annotations.checkpoint.criu.version", "40201" },
		{ "io.podman.annotations.checkpoint.runtime.name", "crun" },
		{ "io.podman.annotations.checkpoint.runtime.version", "crun version 1.28" },
		{ "io.podman.annotations.checkpoint.conmon.version", "2.1.6" },
		{ "io.podman.annotations.checkpoint.host.arch", "amd64" },
		{ "io.podman.annotations.checkpoint.host.kernel", "6.18.1" },
		{ "io.podman.annotations.checkpoint.cgroups.version", "v2" },
		{ "io.podman.annotations.checkpoint.distribution.name", "debian" },
		{ "io.podman.annotations.checkpoint.distribution.version", "12" },
		{ "io.kubernetes.cri-o.annotations.checkpoint.name", "web" },
		{ "org.criu.checkpoint.container.name", "web" },
		{ "org.criu.checkpoint.engine.name", "stasis" },
		{ "org.criu.checkpoint.criu.version", "4.2.1" },
		{ "org.criu.checkpoint.rootfsImageName", "docker.io/library/debian:12" },
		{ "org.opencontainers.image.base.digest", "sha256:aa" },
		{ "org.opencontainers.image.created", "2023-11-14T22:13:20.000000Z" },
	};
	AUTO(json_free) struct json *o = annotations_make(&facts);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK_STR(json_get_str(o, rows[i].key), rows[i].value);
}

TEST(what_is_not_known_is_left_out)
{
	const struct annotations a = { .name = "web", .crun = "", .criu = "unknown" };
	AUTO(json_free) struct json *o = annotations_make(&a);

	CHECK_STR(json_get_str(o, "io.podman.annotations.checkpoint.runtime.name"), "crun");
	CHECK(!json_has(o, "io.podman.annotations.checkpoint.runtime.version"));
	CHECK(!json_has(o, "io.podman.annotations.checkpoint.criu.version"));
	CHECK(!json_has(o, "org.criu.checkpoint.host.kernel"));
}

TEST(a_checkpoint_is_known_by_its_annotations)
{
	static const char *const good[] = {
		"{\"annotations\":{\"io.podman.annotations.checkpoint.runtime.name\":\"crun\"}}",
		"{\"annotations\":{\"io.kubernetes.cri-o.annotations.checkpoint.name\":\"c\"}}",
		"{\"annotations\":{\"org.criu.checkpoint.container.name\":\"c\"}}",
		"{\"annotations\":{\"org.criu.checkpoint.engine.name\":\"Podman\"}}",
	};
	static const char *const bad[] = { "{}",
					   "{\"annotations\":{\"a\":\"b\"}}",
					   "{\"annotations\":[]}",
					   "[]",
					   "x",
					   "{\"annotations\":{\"org.criu.checkpoint.container.name\":1}}" };
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		CHECK_INT(annotations_check(good[i], NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_INT(annotations_check(bad[i], NULL), -EINVAL);
	(void)annotations_check("{}", &err);
	CHECK(strstr(err.text, "is not a checkpoint") != NULL);
}

TEST(places_for_images)
{
	static const char *const good[] = { "docker://127.0.0.1:5000/a/b:1",
					    "oci:/a/b:tag",
					    "oci:/a/b",
					    "oci-archive:/a/b.tar",
					    "oci-archive:/a/b.tar:n/a:1",
					    "containers-storage:localhost/x:1" };
	static const char *const bad[] = {
		"",	     "web",	"oci:",	 "oci:relative:tag",	"oci-archive:x",   "docker://", "docker:x",
		"oci:/a/ b", "oci:/a/", "oci:/", "docker-archive:/a/b", "docker-daemon:a", "dir:/a",	"--help",
		"oci:/a\n"
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		CHECK_INT(push_check(good[i], NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_INT(push_check(bad[i], NULL), -EINVAL);
}
