/* SPDX-License-Identifier: Apache-2.0 */
/* test-oci.c - layouts and docker archives: which image is taken, and what is not believed */
#include "image/oci.h"

#include <sys/stat.h>

#include "layout.h"

static int open_folder(const struct layout *l, struct oci_image **ret, struct err *err)
{
	autoclose int fd = open(l->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(fd >= 0);
	return oci_open(fd, ret, err);
}

static void check_error(const struct layout *l, int code, const char *words)
{
	AUTO(oci_image_free) struct oci_image *image = NULL;
	struct err err = ERR_INIT;

	CHECK_INT(open_folder(l, &image, &err), code);
	if (!strstr(err.text, words))
		CHECK_STR(err.text, words);
}

static void check_text_digest(const char *text, const char *want)
{
	char digest[DIGEST_HEX_SIZE];

	digest_of(text, strlen(text), digest);
	CHECK_STR(digest, want);
}

TEST(a_layout_is_read)
{
	static const char process[] =
		"{\"Entrypoint\":[\"/bin/a\"],\"Cmd\":[\"-x\",\"y z\"],\"Env\":[\"PATH=/bin\",\"no-value\",\"E=\"],"
		"\"WorkingDir\":\"w\",\"User\":\"1:2\",\"StopSignal\":\"SIGINT\",\"Labels\":{\"a\":\"b\"}}";
	AUTO(oci_image_free) struct oci_image *image = NULL;
	AUTO(layout_done) struct layout l = { 0 };
	struct err err = ERR_INIT;

	layout_init(&l, "read");
	layout_add(&l, "a", "1");
	layout_add(&l, "b", "22");
	l.process = process;
	l.created = "2026-01-02T03:04:05Z";
	l.ref_name = "web:1";
	layout_write(&l);
	REQUIRE(open_folder(&l, &image, &err) == 0);
	check_text_digest(l.manifest, image->fingerprint);
	CHECK_STR(image->manifest, l.manifest);
	CHECK_STR(image->name, "web:1");
	CHECK_INT(image->n_layers, 2);
	CHECK_STR(image->layers[0].digest, image->layers[0].diff_id);
	CHECK_INT(image->layers[1].size, l.layers[1].len);
	CHECK_STR(image->parsed->entrypoint[0], "/bin/a");
	CHECK_STR(image->parsed->cmd[1], "y z");
	CHECK(image->parsed->env && str_eq(image->parsed->env[0], "PATH=/bin"));
	CHECK(str_eq(image->parsed->env[1], "E=") && !image->parsed->env[2]);
	CHECK_STR(image->parsed->cwd, "/w");
	CHECK_STR(image->parsed->user, "1:2");
	CHECK_STR(image->parsed->stop_signal, "SIGINT");
	CHECK_STR(image->parsed->architecture, oci_architecture());
	CHECK_INT(image->parsed->created_us, 1767323045000000);
}

TEST(an_index_leads_to_this_hosts_image)
{
	AUTO(oci_image_free) struct oci_image *image = NULL;
	AUTO(layout_done) struct layout l = { 0 };

	layout_init(&l, "nested");
	layout_add(&l, "a", "1");
	l.is_nested = true;
	l.ref_name = "many";
	layout_write(&l);
	REQUIRE(open_folder(&l, &image, NULL) == 0);
	check_text_digest(l.manifest, image->fingerprint);
	CHECK_STR(image->name, "many");
}

/* With platforms in the first index, variants of one architecture, and buildx's attestations. */
TEST(platforms_and_variants)
{
	AUTO(oci_image_free) struct oci_image *image = NULL;
	AUTO(layout_done) struct layout l = { 0 };
	struct json *d[4];
	char want[DIGEST_HEX_SIZE];

	layout_init(&l, "variants");
	layout_add(&l, "a", "1");
	d[0] = layout_platform(layout_manifest(&l), "linux", oci_architecture(), "v3");
	l.created = "2026-01-02T03:04:05Z"; /* another image */
	d[1] = layout_platform(layout_manifest(&l), "linux", oci_architecture(), NULL);
	digest_of(l.manifest, strlen(l.manifest), want);
	d[2] = layout_platform(layout_blob(&l, "application/x", "{}", 2), "unknown", "unknown", NULL);
	d[3] = layout_platform(layout_blob(&l, "application/x", "{ }", 3), "windows", oci_architecture(), NULL);
	layout_put_index(&l, d, 4);
	REQUIRE(open_folder(&l, &image, NULL) == 0);
	CHECK_STR(image->fingerprint, want);
}

TEST(no_image_for_this_host)
{
	AUTO(layout_done) struct layout l = { 0 };
	struct json *d[2];

	layout_init(&l, "foreign");
	layout_add(&l, "a", "1");
	d[0] = layout_platform(layout_manifest(&l), "linux", "sparc", NULL);
	d[1] = layout_platform(layout_manifest(&l), "plan9", oci_architecture(), NULL);
	layout_put_index(&l, d, 2);
	check_error(&l, -EINVAL, "it has: linux/sparc, plan9/");
	layout_put_index(&l, NULL, 0);
	check_error(&l, -EINVAL, "it has: none");
	l.architecture = "sparc";
	layout_write(&l);
	check_error(&l, -EINVAL, "it is an image for sparc, this host is ");
	l.architecture = NULL;
	l.os = "windows";
	layout_write(&l);
	check_error(&l, -EINVAL, "for windows, not for linux");
}

TEST(only_a_person_can_choose)
{
	AUTO(oci_image_free) struct oci_image *image = NULL;
	AUTO(layout_done) struct layout l = { 0 };
	struct json *d[2];

	layout_init(&l, "choice");
	layout_add(&l, "a", "1");
	d[0] = layout_named(layout_manifest(&l), "one");
	l.created = "2026-01-02T03:04:05Z";
	d[1] = layout_named(layout_manifest(&l), "two");
	layout_put_index(&l, d, 2);
	check_error(&l, -EINVAL, "more than one image (one and two)");
	d[0] = layout_named(layout_manifest(&l), "one"); /* two names of the same one */
	d[1] = layout_named(layout_manifest(&l), "two");
	layout_put_index(&l, d, 2);
	CHECK_INT(open_folder(&l, &image, NULL), 0);
}

static char *blob_path(const struct layout *l, const char *text)
{
	char digest[DIGEST_HEX_SIZE];

	digest_of(text, strlen(text), digest);
	return path_joinf(l->folder, "blobs/sha256/%s", digest);
}

TEST(damaged_blobs_are_refused)
{
	AUTO(layout_done) struct layout l = { 0 };
	autofree char *path = NULL;

	layout_init(&l, "damaged");
	layout_add(&l, "a", "1");
	layout_write(&l);
	path = blob_path(&l, l.manifest);
	l.manifest[3] ^= 1;
	CHECK_INT(file_write_whole(path, l.manifest, strlen(l.manifest), 0644, NULL), 0);
	check_error(&l, -EINVAL, "damaged: its SHA-256 is");
	CHECK_INT(file_write_whole(path, l.manifest, strlen(l.manifest) - 1, 0644, NULL), 0);
	check_error(&l, -EINVAL, "its descriptor says");
	CHECK_INT(unlink(path), 0);
	check_error(&l, -ENOENT, "blobs/sha256/");
	CHECK_INT(symlink("/etc/passwd", path), 0);
	check_error(&l, -ENOENT, "blobs/sha256/");
	CHECK_INT(unlink(path), 0);
	CHECK_INT(mkfifo(path, 0644), 0);
	check_error(&l, -EINVAL, "not a plain file");
}

static void check_index(const char *index, int code, const char *words)
{
	AUTO(layout_done) struct layout l = { 0 };

	layout_init(&l, "index");
	layout_put(&l, "index.json", index, strlen(index));
	check_error(&l, code, words);
}

#define HEX "0123456789012345678901234567890123456789012345678901234567890123"

TEST(nonsense_in_the_index)
{
	check_index("", -EINVAL, "index.json");
	check_index("{", -EINVAL, "index.json");
	check_index("[]", -EINVAL, "holds no image");
	check_index("{\"manifests\":7}", -EINVAL, "holds no image");
	check_index("{\"manifests\":[7]}", -EINVAL, "no digest");
	check_index("{\"manifests\":[{}]}", -EINVAL, "a manifest has no digest");
	check_index("{\"manifests\":[{\"digest\":\"sha512:00\"}]}", -EINVAL, "'sha512:00', which is not");
	check_index("{\"manifests\":[{\"digest\":\"sha256:../../etc/passwd\"}]}", -EINVAL, "which is not");
	check_index("{\"manifests\":[{\"digest\":\"sha256:" HEX "\"}]}", -EINVAL, "has no size");
	check_index("{\"manifests\":[{\"digest\":\"sha256:" HEX "\",\"size\":-5}]}", -EINVAL, "has no size");
	check_index("{\"manifests\":[{\"digest\":\"sha256:" HEX "\",\"size\":\"5\"}]}", -EINVAL, "has no size");
	check_index("{\"manifests\":[{\"digest\":\"sha256:" HEX "\",\"size\":5}]}", -ENOENT, "blobs/sha256/" HEX);
}

static void check_manifest(const char *manifest, const char *words)
{
	AUTO(layout_done) struct layout l = { 0 };
	struct json *d;

	layout_init(&l, "manifest");
	d = layout_blob(&l, "application/vnd.oci.image.manifest.v1+json", manifest, strlen(manifest));
	layout_put_index(&l, &d, 1);
	check_error(&l, -EINVAL, words);
}

TEST(nonsense_in_the_manifest)
{
	check_manifest("{}", "schema version 2");
	check_manifest("{\"schemaVersion\":1}", "schema version 2");
	check_manifest("{\"schemaVersion\":2}", "the configuration has no digest");
	check_manifest("{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/vnd.cncf.helm.config.v1+json\","
		       "\"digest\":\"sha256:" HEX "\",\"size\":2}}",
		       "it is not a container image");
	check_manifest("{\"manifests\":[]}", "holds no image");
	check_manifest("no json", "blobs/sha256/");
}

/* An index that leads to itself cannot be made with digests; one in another, and so on, can. */
TEST(indexes_without_end)
{
	AUTO(layout_done) struct layout l = { 0 };
	struct json *d;

	layout_init(&l, "endless");
	layout_add(&l, "a", "1");
	d = layout_manifest(&l);
	for (int i = 0; i < 10; i++) {
		autofree char *text = layout_index(&d, 1);

		d = layout_blob(&l, "application/vnd.oci.image.index.v1+json", text, strlen(text));
	}
	layout_put_index(&l, &d, 1);
	check_error(&l, -EINVAL, "more than 4 indexes");
}

TEST(layers_and_configuration_must_fit)
{
	AUTO(layout_done) struct layout l = { 0 };
	autofree char *config = NULL;

	layout_init(&l, "fit");
	layout_write(&l);
	check_error(&l, -EINVAL, "it has no layers");
	layout_add(&l, "a", "1");
	l.layer_type = "application/vnd.oci.image.layer.v1.tar+encrypted";
	layout_write(&l);
	check_error(&l, -EINVAL, "a layer of the type application/vnd.oci.image.layer.v1.tar+encrypted");
	l.layer_type = NULL;
	l.process = "{\"Cmd\":\"a string\"}";
	layout_write(&l);
	check_error(&l, -EINVAL, "Cmd is not a list");
	l.process = "{\"Env\":[7]}";
	layout_write(&l);
	check_error(&l, -EINVAL, "Env has something in it that is not a string");
	l.process = "{\"Env\":null,\"Cmd\":null,\"User\":null}";
	layout_write(&l);
	{
		AUTO(oci_image_free) struct oci_image *image = NULL;

		CHECK_INT(open_folder(&l, &image, NULL), 0);
	}
	/* one layer more than the configuration knows */
	config = layout_config(&l);
	layout_add(&l, "b", "2");
	{
		AUTO(json_free) struct json *m = json_new_object();
		struct json *layers = json_new_array(), *d;
		autofree char *text = NULL;

		for (int i = 0; i < 2; i++)
			json_add(layers, layout_blob(&l, "application/vnd.oci.image.layer.v1.tar", l.layers[i].s,
						     l.layers[i].len));
		json_set_int(m, "schemaVersion", 2);
		json_set(m, "config",
			 layout_blob(&l, "application/vnd.oci.image.config.v1+json", config, strlen(config)));
		json_set(m, "layers", layers);
		text = json_print(m, JSON_COMPACT);
		d = layout_blob(&l, "application/vnd.oci.image.manifest.v1+json", text, strlen(text));
		layout_put_index(&l, &d, 1);
	}
	check_error(&l, -EINVAL, "it has 2 layers, its configuration names 1");
}

TEST(a_docker_archive_is_read)
{
	AUTO(oci_image_free) struct oci_image *image = NULL;
	AUTO(oci_image_free) struct oci_image *again = NULL;
	AUTO(layout_done) struct layout l = { 0 };

	layout_init(&l, "docker");
	layout_add(&l, "a", "1");
	layout_add(&l, "b", "2");
	layout_write_docker(&l, "web:latest");
	REQUIRE(open_folder(&l, &image, NULL) == 0);
	CHECK_STR(image->name, "web:latest");
	CHECK_INT(image->n_layers, 2);
	CHECK_STR(image->layers[1].path, "layer-1/layer.tar");
	CHECK_STR(image->layers[1].digest, image->layers[1].diff_id);
	check_text_digest(image->manifest, image->fingerprint);
	REQUIRE(open_folder(&l, &again, NULL) == 0);
	CHECK_STR(again->fingerprint, image->fingerprint);
}

/* Older dockers wrote a layer that occurs twice as a symlink. */
TEST(docker_links_layers)
{
	AUTO(oci_image_free) struct oci_image *image = NULL;
	AUTO(layout_done) struct layout l = { 0 };
	autofree char *path = NULL;
	struct err err = ERR_INIT;

	layout_init(&l, "docker-link");
	layout_add(&l, "a", "1");
	layout_add(&l, "a", "1");
	layout_write_docker(&l, NULL);
	path = path_join(l.folder, "layer-1/layer.tar");
	CHECK_INT(unlink(path), 0);
	CHECK_INT(symlink("../layer-0/layer.tar", path), 0);
	CHECK_INT(open_folder(&l, &image, &err), 0);
	CHECK_STR(err.text, "");
	CHECK_INT(unlink(path), 0);
	CHECK_INT(symlink("../../../../../../../etc/passwd", path), 0);
	check_error(&l, -ENOENT, "layer.tar");
}

static void check_docker(const char *manifest, int code, const char *words)
{
	AUTO(layout_done) struct layout l = { 0 };

	layout_init(&l, "docker-bad");
	layout_put(&l, "manifest.json", manifest, strlen(manifest));
	layout_put(&l, HEX ".json", "{}", 2);
	layout_put(&l, "c.json", "{}", 2);
	check_error(&l, code, words);
}

TEST(nonsense_in_a_docker_archive)
{
	check_docker("{}", -EINVAL, "names no image");
	check_docker("[]", -EINVAL, "names no image");
	check_docker("[{}]", -EINVAL, "names no configuration");
	check_docker("[{},{}]", -EINVAL, "more than one image");
	check_docker("[{\"Config\":\"../../../etc/passwd\"}]", -ENOENT, "etc/passwd");
	check_docker("[{\"Config\":\"" HEX ".json\"}]", -EINVAL, "damaged");
	check_docker("[{\"Config\":\"c.json\"}]", -EINVAL, "no layers");
	check_docker("[{\"Config\":\"c.json\",\"Layers\":[\"none\"]}]", -ENOENT, "none");
	check_docker("[{\"Config\":\"c.json\",\"Layers\":[\"c.json\"]}]", -EINVAL, "it has 1 layers");
	check_docker("[{\"Config\":\"c.json\",\"Layers\":7}]", -EINVAL, "Layers is not a list");
}

TEST(neither)
{
	AUTO(layout_done) struct layout l = { 0 };

	layout_init(&l, "neither");
	check_error(&l, -ENOENT, "neither an OCI layout (index.json) nor a docker archive (manifest.json)");
}
