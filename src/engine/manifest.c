/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/manifest.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/operation.h"

#define MANIFEST_MAX (16 << 20)
#define FORMAT	     1
#define DESCRIPTORS  "descriptors.json"
#define IMAGES	     "checkpoint"

static struct json *file_entry(const char *name, uint64_t size, const char *digest)
{
	struct json *o = json_new_object();

	json_set_str(o, "name", name);
	json_set_int(o, "size", (int64_t)size);
	json_set_str(o, "sha256", digest);
	return o;
}

/* How far the copying is; what is told becomes the operation's progress. */
struct copying {
	struct operation *op;
	uint64_t done, total;
};

static bool tell(uint64_t done, void *ctx)
{
	const struct copying *c = ctx;
	uint64_t percent = (c->done + done) * 100 / c->total;

	operation_progress(c->op, "checkpoint_progress", "Writing memory: %llu%%",
			   (unsigned long long)(percent > 100 ? 100 : percent));
	return !operation_is_cancelled(c->op);
}

/* Copies (or, where @from_dir is NULL, only digests) one image and adds it to the list. */
static int take_image(const char *from_dir, const char *to_dir, const char *name, struct json *files,
		      struct copying *copying, struct err *err)
{
	const struct digest_watch watch = { .tell = tell, .ctx = copying };
	autofree char *entry = path_join("checkpoint", name);
	autofree char *from = path_join(from_dir ? from_dir : to_dir, name), *to = path_join(to_dir, name);
	autoclose int from_fd = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), to_fd = -1;
	char digest[DIGEST_HEX_SIZE];
	uint64_t size;
	int r;

	if (from_fd < 0)
		return err_sys(err, "'%s'", from);
	if (from_dir) {
		to_fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (to_fd < 0)
			return err_sys(err, "'%s'", to);
		r = digest_copy(from_fd, to_fd, &watch, digest, &size, err);
	} else {
		(void)fchmod(from_fd, 0600);
		r = digest_of_fd(from_fd, digest, &size, err);
	}
	if (r < 0)
		return err_wrap(err, r, "'%s'", name);
	json_add(files, file_entry(entry, size, digest));
	copying->done += size;
	return 0;
}

static int list_folder(const char *dir, char ***ret, struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char **v = NULL;

	if (!d)
		return err_sys(err, "'%s'", dir);
	while ((e = readdir(d)))
		if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
			strv_add(&v, e->d_name);
	(void)closedir(d);
	strv_sort(v);
	*ret = v;
	return 0;
}

static uint64_t folder_bytes(const char *dir)
{
	uint64_t bytes = 0;

	(void)path_disk_usage(dir, &bytes, NULL);
	return bytes ? bytes : 1;
}

static bool note_taken(const struct json *taken, const char *name, struct json *files, struct copying *copying)
{
	autofree char *entry = path_join(IMAGES, name);

	if (!taken)
		return false;
	copying->done += (uint64_t)json_get_int(taken, "size", 0);
	json_add(files, file_entry(entry, (uint64_t)json_get_int(taken, "size", 0), json_get_str(taken, "sha256")));
	return true;
}

int manifest_take_images(const char *folder, const char *from, const char *descriptors, const struct json *taken,
			 struct json *files, struct operation *op, uint64_t *ret_bytes, struct err *err)
{
	autofree char *to = path_join(folder, IMAGES), *replaced = path_join(from ? from : to, DESCRIPTORS);
	AUTO(strv_free) char **names = NULL;
	struct copying copying = { .op = op, .total = folder_bytes(from ? from : to) };
	int r = 0;

	if (descriptors)
		r = file_write_whole(replaced, descriptors, strlen(descriptors), 0600, err);
	if (r == 0)
		r = list_folder(from ? from : to, &names, err);
	for (size_t i = 0; r == 0 && names && names[i]; i++)
		if (!note_taken(json_get(taken, names[i]), names[i], files, &copying))
			r = take_image(from, to, names[i], files, &copying, err);
	*ret_bytes += copying.done;
	return r;
}

static int write_text(const char *folder, const char *name, const char *text, struct err *err)
{
	autofree char *path = path_join(folder, name);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return err_sys(err, "'%s'", path);
	r = file_write_all(fd, text, strlen(text), err);
	return r < 0 ? err_wrap(err, r, "'%s'", path) : 0;
}

int manifest_take_text(const char *folder, const char *name, const char *text, struct json *files, struct err *err)
{
	char digest[DIGEST_HEX_SIZE];
	int r = write_text(folder, name, text, err);

	if (r < 0)
		return r;
	digest_of(text, strlen(text), digest);
	json_add(files, file_entry(name, strlen(text), digest));
	return 0;
}

int manifest_take_file(const char *folder, const char *name, struct json *files, struct err *err)
{
	autofree char *path = path_join(folder, name);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char digest[DIGEST_HEX_SIZE];
	uint64_t size;
	int r;

	if (fd < 0)
		return err_sys(err, "'%s'", path);
	r = digest_of_fd(fd, digest, &size, err);
	if (r < 0)
		return err_wrap(err, r, "'%s'", path);
	json_add(files, file_entry(name, size, digest));
	return 0;
}

/* The manifest vouches for the files, and this for the manifest: the SHA-256 of all its other members, printed
 * compactly. */
static void seal(struct json *m)
{
	autofree char *text = json_print(m, JSON_COMPACT);
	char digest[DIGEST_HEX_SIZE];

	digest_of(text, strlen(text), digest);
	json_set_str(m, "seal", digest);
}

static bool is_sealed(const struct json *m)
{
	AUTO(json_free) struct json *copy = json_copy(m);

	json_unset(copy, "seal");
	seal(copy);
	return str_eq(json_get_str(copy, "seal"), json_get_str(m, "seal"));
}

int manifest_write(const char *folder, struct json *m, struct json *files, struct err *err)
{
	autofree char *text = NULL;

	json_set_int(m, "format", FORMAT);
	json_set(m, "files", files);
	seal(m);
	text = json_print(m, JSON_PRETTY);
	return write_text(folder, MANIFEST_NAME, text, err);
}

int manifest_rewrite(const char *folder, struct json *m, struct err *err)
{
	autofree char *path = path_join(folder, MANIFEST_NAME), *text = NULL;

	json_unset(m, "seal");
	seal(m);
	text = json_print(m, JSON_PRETTY);
	return file_write_whole(path, text, strlen(text), 0600, err);
}

/* Only names that we give: nothing may lead out of the folder. */
static bool is_our_name(const char *name)
{
	const char *image = str_after(name, IMAGES "/"), *volume = str_after(name, "volumes/");

	if (image)
		return path_is_name(image);
	if (volume)
		return path_is_name(volume) && str_ends(volume, ".sums");
	return str_eq(name, "spec.dump") || str_eq(name, "upper.sums") || str_eq(name, "shm.sums") ||
	       str_eq(name, "stats-dump");
}

static int judge(const struct json *m, struct err *err)
{
	const struct json *files = json_get(m, "files");

	if (json_get_int(m, "format", 0) != FORMAT)
		return err_set(err, -EPROTO, "its format %lld is not one that this stasis knows (%d)",
			       (long long)json_get_int(m, "format", 0), FORMAT);
	if (!is_sealed(m))
		return err_set(err, -EUCLEAN, "it is not what was written");
	if (json_type(files) != JSON_ARRAY)
		return err_set(err, -EUCLEAN, "it names no files");
	for (size_t i = 0; i < json_len(files); i++) {
		const char *name = json_get_str(json_item(files, i), "name");

		if (!name || !is_our_name(name))
			return err_set(err, -EUCLEAN, "it names a file '%.80s' that does not belong there",
				       name ? name : "");
	}
	return 0;
}

int manifest_read(const char *folder, struct json **ret, struct err *err)
{
	autofree char *path = path_join(folder, MANIFEST_NAME);
	AUTO(json_free) struct json *m = NULL;
	int r = json_parse_file(path, MANIFEST_MAX, &m, err);

	if (r == 0)
		r = judge(m, err);
	if (r < 0)
		return err_wrap(err, r, "the manifest (" MANIFEST_NAME ") is damaged");
	*ret = TAKE_PTR(m);
	return 0;
}

static int verify_file(const char *folder, const struct json *entry, bool with_digest, struct err *err)
{
	const char *name = json_get_str(entry, "name"), *wanted = json_get_str(entry, "sha256");
	autofree char *path = path_join(folder, name);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char digest[DIGEST_HEX_SIZE];
	struct stat st;
	int r;

	if (fd < 0)
		return err_set(err, -EUCLEAN, "'%s' is missing", name);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, -EUCLEAN, "'%s' is not a file", name);
	if (st.st_size != json_get_int(entry, "size", -1))
		return err_set(err, -EUCLEAN, "'%s' has %lld bytes instead of %lld", name, (long long)st.st_size,
			       (long long)json_get_int(entry, "size", -1));
	if (!with_digest)
		return 0;
	r = digest_of_fd(fd, digest, NULL, err);
	if (r < 0)
		return err_wrap(err, r, "'%s'", name);
	if (!str_eq(digest, wanted))
		return err_set(err, -EUCLEAN, "'%s' is not what was written (its SHA-256 differs)", name);
	return 0;
}

/* Nothing may have been added: CRIU reads whatever lies in the folder. */
static int verify_nothing_added(const char *folder, const struct json *files, struct err *err)
{
	autofree char *dir = path_join(folder, IMAGES);
	AUTO(strv_free) char **names = NULL, **known = NULL;
	int r = path_exists(dir) ? list_folder(dir, &names, err) : 0;

	if (r < 0)
		return r;
	for (size_t i = 0; i < json_len(files); i++)
		strv_add(&known, path_base(json_get_str(json_item(files, i), "name")));
	for (size_t i = 0; names && names[i]; i++)
		if (!strv_has(known, names[i]))
			return err_set(err, -EUCLEAN, "'checkpoint/%.80s' was added", names[i]);
	return 0;
}

int manifest_verify(const char *folder, const struct json *m, enum manifest_part part, struct err *err)
{
	const struct json *files = json_get(m, "files");
	int r = part == MANIFEST_PAGES ? 0 : verify_nothing_added(folder, files, err);

	for (size_t i = 0; r == 0 && i < json_len(files); i++) {
		const struct json *entry = json_item(files, i);
		bool has_pages = str_after(json_get_str(entry, "name"), IMAGES "/pages-") != NULL;

		r = verify_file(folder, entry, has_pages == (part == MANIFEST_PAGES), err);
	}
	return r;
}

struct json *manifest_versions(const char *criu, const char *crun)
{
	struct json *o = json_new_object();
	struct utsname u;

	json_set_str(o, "stasis", STASIS_VERSION);
	json_set_str(o, "criu", criu);
	json_set_str(o, "crun", crun);
	json_set_str(o, "kernel", uname(&u) == 0 ? u.release : "");
	return o;
}

int manifest_remove_folder(const char *folder, struct err *err)
{
	autofree char *manifest = path_join(folder, MANIFEST_NAME);

	if (unlink(manifest) < 0 && errno != ENOENT && errno != ENOTDIR)
		return err_sys(err, "cannot remove '%s'", manifest);
	return path_remove_all(folder, err);
}
