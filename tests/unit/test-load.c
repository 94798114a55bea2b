/* SPDX-License-Identifier: Apache-2.0 */
/* test-load.c - from files and folders to layers in the store; the built-in image */
#include "image/load.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#include "image/busybox.h"
#include "image/pull.h"
#include "image/scratch.h"
#include "layout.h"

#define NEEDS_ROOT()                                                                                                   \
	do {                                                                                                           \
		if (geteuid() != 0)                                                                                    \
			SKIP("owners and whiteouts need root");                                                        \
	} while (0)

/* A state folder of its own. */
static char *state(const char *name)
{
	char *path = path_join(test_dir(), name);

	CHECK_INT(path_mkdirs(path, 0700, NULL), 0);
	return path;
}

static size_t n_entries(const char *state_dir, const char *sub)
{
	autofree char *path = path_join(state_dir, sub);
	struct dirent **list;
	size_t found = 0;
	int n = scandir(path, &list, NULL, NULL);

	for (int i = 0; i < n; i++) {
		found += list[i]->d_name[0] != '.';
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return found;
}

static int load(const char *state_dir, int fd, struct loaded **ret, struct err *err)
{
	struct load_request rq = { .state_dir = state_dir };

	return load_any(&rq, fd, ret, err);
}

static int load_layout(const char *state_dir, const struct layout *l, struct loaded **ret, struct err *err)
{
	autoclose int fd = open(l->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return load(state_dir, fd, ret, err);
}

static void check_file(const char *state_dir, const struct loaded *l, size_t layer, const char *name, const char *want)
{
	autofree char *folder = layer_folder(state_dir, l->layers[layer].diff_id), *path = path_join(folder, name);
	autofree char *text = NULL;

	CHECK_INT(file_read(path, 1 << 20, &text, NULL, NULL), 0);
	CHECK_STR(text, want);
}

static void two_layers(struct layout *l, const char *name)
{
	layout_init(l, name);
	layout_add(l, "a", "one");
	layout_add(l, "b", "two");
}

static void check_loaded(const char *state_dir, int fd, bool is_new, char fingerprint[DIGEST_HEX_SIZE])
{
	AUTO(loaded_free) struct loaded *l = NULL;
	struct err err = ERR_INIT;

	CHECK_INT(load(state_dir, fd, &l, &err), 0);
	CHECK_STR(err.text, "");
	if (!l)
		return;
	CHECK_INT(l->image->n_layers, 2);
	CHECK_INT(l->layers[0].is_new, is_new);
	CHECK_INT(l->layers[1].bytes, is_new ? 3 : 0);
	check_file(state_dir, l, 0, "a", "one");
	check_file(state_dir, l, 1, "b", "two");
	CHECK_INT(n_entries(state_dir, "layers"), 2);
	CHECK_INT(n_entries(state_dir, "tmp"), 0);
	memcpy(fingerprint, l->image->fingerprint, DIGEST_HEX_SIZE);
}

TEST(a_layout_as_folder_and_as_tar)
{
	autofree char *dir = state("layout-state");
	AUTO(layout_done) struct layout l = { 0 };
	autoclose int folder = -1, tar = -1, packed = -1;
	char a[DIGEST_HEX_SIZE] = "", b[DIGEST_HEX_SIZE] = "", c[DIGEST_HEX_SIZE] = "";

	NEEDS_ROOT();
	two_layers(&l, "layout");
	layout_write(&l);
	folder = open(l.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tar = layout_tar(&l);
	packed = tarball_packed("gzip", tar);
	check_loaded(dir, folder, /* is_new= */ true, a);
	check_loaded(dir, tar, /* is_new= */ false, b);
	check_loaded(dir, packed, /* is_new= */ false, c);
	CHECK(*a && str_eq(a, b) && str_eq(b, c));
}

TEST(a_docker_archive_as_folder_and_as_tar)
{
	autofree char *dir = state("docker-state");
	AUTO(layout_done) struct layout l = { 0 };
	autoclose int folder = -1, tar = -1;
	char a[DIGEST_HEX_SIZE] = "", b[DIGEST_HEX_SIZE] = "";

	NEEDS_ROOT();
	two_layers(&l, "docker");
	layout_write_docker(&l, "web:1");
	folder = open(l.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tar = layout_tar(&l);
	check_loaded(dir, tar, /* is_new= */ true, a);
	check_loaded(dir, folder, /* is_new= */ false, b);
	CHECK(*a && str_eq(a, b));
}

static int open_rootfs_tar(void)
{
	AUTO(strbuf_done) struct strbuf tar = STRBUF_INIT;

	tarball_add(&tar, (struct tarball_member){ .name = "./", .type = '5', .mode = 0755 });
	tarball_add(&tar, (struct tarball_member){ .name = "./bin/", .type = '5', .mode = 0755 });
	tarball_add(&tar, (struct tarball_member){ .name = "./bin/sh", .data = "shell", .mode = 0755 });
	return tarball_open(&tar);
}

TEST(a_rootfs_tar_becomes_an_image)
{
	autofree char *dir = state("rootfs-state");
	autoclose int fd = open_rootfs_tar(), xz = tarball_packed("xz", fd);
	AUTO(loaded_free) struct loaded *l = NULL;
	AUTO(loaded_free) struct loaded *again = NULL;
	autofree char *folder = NULL;
	struct stat st;

	NEEDS_ROOT();
	REQUIRE(load(dir, fd, &l, NULL) == 0);
	CHECK_INT(l->image->n_layers, 1);
	CHECK_STR(l->image->layers[0].digest, l->layers[0].diff_id);
	CHECK_STR(l->image->parsed->cmd[0], "/bin/sh");
	CHECK(str_after(l->image->parsed->env[0], "PATH="));
	CHECK_INT(l->layers[0].bytes, 5);
	folder = layer_folder(dir, l->layers[0].diff_id);
	CHECK(stat(folder, &st) == 0 && st.st_mode == (S_IFDIR | 0555) && st.st_uid == 0);
	if (xz < 0)
		SKIP("no xz here");
	REQUIRE(load(dir, xz, &again, NULL) == 0);
	CHECK_STR(again->image->fingerprint, l->image->fingerprint);
	CHECK_INT(n_entries(dir, "layers"), 1);
	CHECK_INT(n_entries(dir, "tmp"), 0);
}

static void check_refused(const char *state_dir, int fd, int code, const char *words)
{
	AUTO(loaded_free) struct loaded *l = NULL;
	struct err err = ERR_INIT;

	CHECK_INT(load(state_dir, fd, &l, &err), code);
	if (!strstr(err.text, words))
		CHECK_STR(err.text, words);
	CHECK_INT(n_entries(state_dir, "layers"), 0);
	CHECK_INT(n_entries(state_dir, "tmp"), 0);
}

TEST(rubbish_leaves_nothing)
{
	static const char zeros[10240];
	autofree char *dir = state("rubbish-state");
	autoclose int empty = tarball_fd("", 0), zero = tarball_fd(zeros, sizeof(zeros)),
		      null = open("/dev/null", O_RDONLY);
	autoclose int words = tarball_fd("not an archive, only words", 26), cut = open_rootfs_tar();

	NEEDS_ROOT();
	check_refused(dir, empty, -EINVAL, "not a tar archive");
	check_refused(dir, zero, -EINVAL, "the archive is empty");
	check_refused(dir, words, -EINVAL, "not a tar archive");
	check_refused(dir, null, -EINVAL, "neither a file nor a folder");
	CHECK_INT(ftruncate(cut, 1024 + 512 + 3), 0);
	check_refused(dir, cut, -EINVAL, "runcated");
}

/* One byte of the second layer is wrong; the first one stays, for the next sweep. */
static void check_damaged(const char *name, size_t at, bool is_docker, const char *words)
{
	autofree char *dir = state(name), *path = NULL, *blob = NULL;
	AUTO(loaded_free) struct loaded *l = NULL;
	AUTO(layout_done) struct layout lay = { 0 };
	char digest[DIGEST_HEX_SIZE];
	struct err err = ERR_INIT;

	two_layers(&lay, "damaged");
	digest_of(lay.layers[1].s, lay.layers[1].len, digest);
	blob = is_docker ? xstrdup("layer-1/layer.tar") : xasprintf("blobs/sha256/%s", digest);
	if (is_docker)
		layout_write_docker(&lay, NULL);
	else
		layout_write(&lay);
	path = path_join(lay.folder, blob);
	lay.layers[1].s[at] ^= 1;
	CHECK_INT(file_write_whole(path, lay.layers[1].s, lay.layers[1].len, 0644, NULL), 0);
	CHECK_INT(load_layout(dir, &lay, &l, &err), -EINVAL);
	CHECK(strstr(err.text, "layer 2 of 2: damaged"));
	CHECK(strstr(err.text, words ? words : digest));
	if (!strstr(err.text, words ? words : digest))
		printf("     %s\n", err.text);
	CHECK_INT(n_entries(dir, "layers"), 1);
	CHECK_INT(n_entries(dir, "tmp"), 0);
}

TEST(damaged_layers_are_refused)
{
	NEEDS_ROOT();
	check_damaged("damage-data", 513, /* is_docker= */ false, NULL);
	check_damaged("damage-header", 10, /* is_docker= */ false, NULL); /* the checksum of tar does not fit either */
	check_damaged("damage-padding", 1000, /* is_docker= */ false, NULL);
	check_damaged("damage-docker", 513, /* is_docker= */ true, "the image's configuration says");
}

/* A layer that is in the store already is not unpacked again, but its blob must be right all the same. */
TEST(a_known_layer_is_verified_too)
{
	autofree char *dir = state("known-state"), *path = NULL;
	AUTO(loaded_free) struct loaded *l = NULL;
	AUTO(loaded_free) struct loaded *again = NULL;
	AUTO(layout_done) struct layout lay = { 0 };
	char digest[DIGEST_HEX_SIZE];
	struct err err = ERR_INIT;

	NEEDS_ROOT();
	two_layers(&lay, "known");
	layout_write(&lay);
	CHECK_INT(load_layout(dir, &lay, &l, NULL), 0);
	digest_of(lay.layers[0].s, lay.layers[0].len, digest);
	path = path_joinf(lay.folder, "blobs/sha256/%s", digest);
	lay.layers[0].s[513] ^= 1;
	CHECK_INT(file_write_whole(path, lay.layers[0].s, lay.layers[0].len, 0644, NULL), 0);
	CHECK_INT(load_layout(dir, &lay, &again, &err), -EINVAL);
	CHECK(strstr(err.text, "layer 1 of 2: damaged: its SHA-256"));
	CHECK_INT(n_entries(dir, "layers"), 2);
}

/* The manifest names another layer's blob under a diff id that is in the store. */
TEST(a_known_diff_id_is_no_password)
{
	autofree char *dir = state("lie-state"), *other = NULL;
	AUTO(loaded_free) struct loaded *l = NULL;
	AUTO(loaded_free) struct loaded *again = NULL;
	AUTO(layout_done) struct layout lay = { 0 };
	struct err err = ERR_INIT;

	NEEDS_ROOT();
	two_layers(&lay, "lie");
	layout_write_docker(&lay, NULL);
	CHECK_INT(load_layout(dir, &lay, &l, NULL), 0);
	other = path_join(lay.folder, "layer-1/layer.tar");
	CHECK_INT(file_write_whole(other, lay.layers[0].s, lay.layers[0].len, 0644, NULL), 0);
	CHECK_INT(load_layout(dir, &lay, &again, &err), -EINVAL);
	CHECK(strstr(err.text, "layer 2 of 2: damaged: its diff id is"));
	CHECK_INT(n_entries(dir, "layers"), 2);
}

struct racer {
	const char *state_dir;
	const struct layout *layout;
	int n_new;
};

static void *race(void *arg)
{
	struct racer *r = arg;

	for (int i = 0; i < 5; i++) {
		AUTO(loaded_free) struct loaded *l = NULL;
		struct err err = ERR_INIT;

		CHECK_INT(load_layout(r->state_dir, r->layout, &l, &err), 0);
		CHECK_STR(err.text, "");
		for (int k = 0; l && k < 2; k++)
			r->n_new += l->layers[k].is_new;
	}
	return NULL;
}

TEST(two_imports_of_the_same_layers_at_once)
{
	autofree char *dir = state("race-state");
	AUTO(layout_done) struct layout l = { 0 };
	struct racer racers[4];
	pthread_t threads[4];
	int n_new = 0;

	NEEDS_ROOT();
	two_layers(&l, "race");
	layout_write(&l);
	for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
		racers[i] = (struct racer){ dir, &l, 0 };
		CHECK_INT(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
		CHECK_INT(pthread_join(threads[i], NULL), 0);
		n_new += racers[i].n_new;
	}
	CHECK_INT(n_new, 2);
	CHECK_INT(n_entries(dir, "layers"), 2);
	CHECK_INT(n_entries(dir, "tmp"), 0);
}

static int keep_one(void *ctx, const char *diff_id, struct err *err)
{
	return str_eq(ctx, diff_id);
}

TEST(layers_that_nobody_needs_go)
{
	autofree char *dir = state("sweep-state"), *foreign = path_join(dir, "tmp/foreign");
	AUTO(loaded_free) struct loaded *l = NULL;
	AUTO(layout_done) struct layout lay = { 0 };
	autofree char *left = NULL;
	int lock;

	NEEDS_ROOT();
	two_layers(&lay, "sweep");
	layout_write(&lay);
	REQUIRE(load_layout(dir, &lay, &l, NULL) == 0);
	CHECK_INT(layer_lock_shared(dir, &lock, NULL), 0);
	CHECK_INT(layer_sweep(dir, keep_one, l->layers[1].diff_id, NULL), 0);
	CHECK_INT(n_entries(dir, "layers"), 2); /* somebody imports */
	close(lock);
	CHECK_INT(layer_sweep(dir, keep_one, l->layers[1].diff_id, NULL), 0);
	CHECK_INT(n_entries(dir, "layers"), 1);
	check_file(dir, l, 1, "b", "two");
	/* what a crash leaves */
	left = path_join(dir, "tmp/image-left/deep");
	CHECK_INT(path_mkdirs(left, 0700, NULL), 0);
	CHECK_INT(path_mkdirs(foreign, 0700, NULL), 0);
	CHECK_INT(scratch_sweep(dir, NULL), 0);
	CHECK(!path_exists(left) && path_exists(foreign));
}

static int cancel(void *ctx, const char *what, uint64_t bytes, struct err *err)
{
	return err_set(err, -ECANCELED, "cancelled");
}

TEST(a_stream_is_spooled)
{
	autofree char *dir = state("spool-state");
	struct image_watch watch = { cancel, NULL };
	struct load_request rq = { .state_dir = dir };
	autoclose int out = -1;
	struct err err = ERR_INIT;
	char text[8] = "";
	int fds[2];

	REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
	CHECK(write(fds[1], "stream", 6) == 6);
	close(fds[1]);
	out = load_spool(&rq, fds[0], &err);
	CHECK(out >= 0);
	CHECK(pread(out, text, sizeof(text), 0) == 6 && str_eq(text, "stream"));
	close(fds[0]);
	CHECK_INT(n_entries(dir, "tmp"), 0); /* it has no name */
	REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
	CHECK(write(fds[1], "stream", 6) == 6);
	rq.watch = &watch;
	CHECK_INT(load_spool(&rq, fds[0], &err), -ECANCELED);
	close(fds[0]);
	close(fds[1]);
}

static bool has_link(const char *folder, const char *name)
{
	autofree char *path = path_join(folder, name);
	char target[64] = "";

	return readlink(path, target, sizeof(target) - 1) > 0 && str_eq(target, "/bin/busybox");
}

TEST(the_built_in_image)
{
	autofree char *dir = state("busybox-state"), *description = NULL, *again = NULL, *folder = NULL, *tmp = NULL;
	struct load_request rq = { .state_dir = dir };
	AUTO(loaded_free) struct loaded *l = NULL;
	AUTO(loaded_free) struct loaded *second = NULL;
	struct err err = ERR_INIT;
	struct stat st;

	NEEDS_ROOT();
	if (busybox_load(&rq, BUSYBOX_PATH, &l, &description, &err) == -ENOENT)
		SKIP("no static busybox here");
	CHECK_STR(err.text, "");
	REQUIRE(l);
	CHECK(str_after(description, "busybox 1.") && str_ends(description, " (built in)"));
	folder = layer_folder(dir, l->layers[0].diff_id);
	CHECK(has_link(folder, "bin/sh") && has_link(folder, "usr/bin/awk") && !has_link(folder, "bin/busybox"));
	tmp = path_join(folder, "tmp");
	CHECK(stat(tmp, &st) == 0 && st.st_mode == (S_IFDIR | 01777));
	check_file(dir, l, 0, "etc/shells", "/bin/sh\n");
	CHECK_STR(l->image->parsed->cmd[0], "/bin/sh");
	CHECK_INT(busybox_load(&rq, BUSYBOX_PATH, &second, &again, NULL), 0);
	CHECK_STR(second->image->fingerprint, l->image->fingerprint);
	CHECK_INT(n_entries(dir, "layers"), 1);
}

static void check_no_busybox(const char *path, const char *words)
{
	autofree char *dir = state("no-busybox"), *description = NULL;
	struct load_request rq = { .state_dir = dir };
	AUTO(loaded_free) struct loaded *l = NULL;
	struct err err = ERR_INIT;

	CHECK_INT(busybox_load(&rq, path, &l, &description, &err), -ENOENT);
	CHECK(strstr(err.text, "busybox-static"));
	if (!strstr(err.text, words))
		CHECK_STR(err.text, words);
}

TEST(a_busybox_that_will_not_do)
{
	check_no_busybox("/nonexistent/busybox", "is missing");
	check_no_busybox("/etc/passwd", "is no program");
	check_no_busybox("/bin/cat", "is dynamically linked");
}

/* Its command as PID 1: idles, and goes at once when told. */
TEST(the_default_command_ends_at_sigterm)
{
	AUTO(json_free) struct json *process = load_default_process();
	AUTO(strv_free) char **argv = json_to_strv(json_get(process, "Cmd"));
	struct proc_spec spec = { .argv = argv, .new_session = true };
	AUTO(proc_done) struct proc p = PROC_NONE;
	int status = -1;
	pid_t pid;

	CHECK_STR(argv[0], "/bin/sh");
	REQUIRE(proc_start(&p, &spec, NULL) == 0);
	CHECK_INT(proc_wait(&p, 300 * US_PER_MS, &status, NULL), 0);
	pid = p.pid; /* which is forgotten once it was waited for */
	CHECK_INT(kill(pid, SIGTERM), 0);
	CHECK_INT(proc_wait(&p, 5 * US_PER_S, &status, NULL), 1);
	CHECK_INT(status, 0);
	CHECK_INT(kill(-pid, SIGKILL), 0); /* its sleep, which in a container ends with it */
}

static void check_reference(const char *given, const char *want, const char *name)
{
	autofree char *full = NULL;
	struct err err = ERR_INIT;
	int r = pull_reference(given, &full, &err);

	CHECK_INT(r, want ? 0 : -EINVAL);
	CHECK_STR(full, want);
	if (full)
		CHECK_STR(pull_name(full), name);
}

TEST(references)
{
	check_reference("docker://host:5000/a/b:1", "docker://host:5000/a/b:1", "host:5000/a/b:1");
	check_reference("host:5000/a/b:1", "docker://host:5000/a/b:1", "host:5000/a/b:1");
	check_reference("debian", "docker://debian", "debian");
	check_reference("oci:/some/folder:tag", "oci:/some/folder:tag", NULL);
	check_reference("docker-archive:/f.tar", "docker-archive:/f.tar", NULL);
	check_reference("", NULL, NULL);
	check_reference("--help", NULL, NULL);
	check_reference("http://host/x", NULL, NULL);
	check_reference("/etc/passwd", NULL, NULL);
	check_reference("a b", NULL, NULL);
	check_reference("a\nb", NULL, NULL);
}
