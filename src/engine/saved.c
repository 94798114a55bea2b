/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/saved.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/operation.h"
#include "engine/state.h"

#define MANIFEST     "stasis.json"
#define MANIFEST_MAX (16 << 20)
#define FORMAT	     1
#define DESCRIPTORS  "descriptors.json"

static char *saved_path(const struct instance *in, const char *folder, const char *name)
{
	autofree char *rel = *name ? path_join(folder, name) : xstrdup(folder);

	return instance_path(in, rel);
}

int saved_begin(struct instance *in, struct err *err)
{
	autofree char *dir = saved_path(in, SAVED_NEW, "");
	autofree char *images = saved_path(in, SAVED_NEW, "checkpoint");
	int r;

	r = path_remove_all(dir, err);
	if (r == 0)
		r = path_mkdirs(images, 0700, err);
	return r < 0 ? err_wrap(err, r, "cannot prepare the saved state") : 0;
}

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

static int take_images(const struct instance *in, const char *memory_dir, struct json *files, struct operation *op,
		       uint64_t *ret_bytes, struct err *err)
{
	autofree char *to = saved_path(in, SAVED_NEW, "checkpoint");
	AUTO(strv_free) char **names = NULL;
	struct copying copying = { .op = op, .total = folder_bytes(memory_dir ? memory_dir : to) };
	int r = list_folder(memory_dir ? memory_dir : to, &names, err);

	for (size_t i = 0; r == 0 && names && names[i]; i++)
		r = take_image(memory_dir, to, names[i], files, &copying, err);
	*ret_bytes = copying.done;
	return r;
}

static int add_text(const struct instance *in, const char *name, const char *text, struct json *files, struct err *err)
{
	autofree char *path = saved_path(in, SAVED_NEW, name);
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	char digest[DIGEST_HEX_SIZE];
	int r;

	if (fd < 0)
		return err_sys(err, "'%s'", path);
	r = file_write_all(fd, text, strlen(text), err);
	if (r < 0)
		return err_wrap(err, r, "'%s'", path);
	if (!files)
		return 0;
	digest_of(text, strlen(text), digest);
	json_add(files, file_entry(name, strlen(text), digest));
	return 0;
}

static struct json *versions(const struct saved_facts *facts)
{
	struct json *o = json_new_object();
	struct utsname u;

	json_set_str(o, "stasis", STASIS_VERSION);
	json_set_str(o, "criu", facts->criu_version);
	json_set_str(o, "crun", facts->crun_version);
	json_set_str(o, "kernel", uname(&u) == 0 ? u.release : "");
	return o;
}

static struct json *phases(const struct saved_state_info *info, const struct saved_facts *facts)
{
	struct json *o = json_new_object();

	json_set_int(o, "freeze_us", (int64_t)facts->freeze_us);
	json_set_int(o, "dump_us", (int64_t)info->dump_us);
	json_set_int(o, "copy_us", (int64_t)info->copy_us);
	return o;
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

static char *manifest_text(const struct instance *in, const struct saved_facts *facts,
			   const struct saved_state_info *info, struct json *files)
{
	AUTO(json_free) struct json *m = json_new_object();
	struct json *instance = json_new_object();
	char when[CLOCK_RFC3339_SIZE];

	json_set_int(m, "format", FORMAT);
	json_set_str(m, "kind", "saved-state");
	json_set_str(m, "uuid", info->uuid);
	json_set_str(m, "created_at", clock_rfc3339(info->created_us, when));
	json_set_str(instance, "uuid", in->row.uuid);
	json_set_str(instance, "name", in->row.name);
	json_set_str(instance, "image", in->row.image);
	json_set(instance, "config", json_new_strv(in->row.config));
	json_set(m, "instance", instance);
	json_set(m, "versions", versions(facts));
	json_set_bool(m, "was_paused", facts->was_paused);
	json_set_bool(m, "has_tty", facts->has_tty);
	json_set_bool(m, "has_stdin", facts->has_stdin);
	json_set_bool(m, "tcp_established", facts->tcp_established);
	json_set_bool(m, "file_locks", facts->file_locks);
	json_set_int(m, "processes", info->processes);
	json_set_int(m, "bytes", (int64_t)info->bytes);
	json_set(m, "affinity", json_copy(facts->affinity));
	json_set(m, "phases", phases(info, facts));
	json_set(m, "files", files);
	seal(m);
	return json_print(m, JSON_PRETTY);
}

static int add_spec(const struct instance *in, struct json *files, struct err *err)
{
	autofree char *path = instance_bundle_path(in, "config.json");
	autofree char *text = NULL;
	int r = file_read(path, MANIFEST_MAX, &text, NULL, err);

	return r < 0 ? r : add_text(in, "spec.dump", text, files, err);
}

static int sync_all(const struct instance *in, struct err *err)
{
	autofree char *path = instance_path(in, "");
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* not only our files: what the container wrote before belongs to the same instant */
	if (fd < 0 || syncfs(fd) < 0)
		return err_sys(err, "cannot write the state through to the disk");
	return 0;
}

int saved_fill(struct instance *in, const struct saved_facts *facts, const char *memory_dir, const char *stdio,
	       struct operation *op, struct saved_state_info *ret_info, struct err *err)
{
	struct saved_state_info info = {
		.exists = true, .created_us = clock_real_us(), .dump_us = facts->dump_us, .processes = facts->processes
	};
	struct json *files = json_new_array(); /* goes into the manifest */
	autofree char *replaced = NULL, *text = NULL;
	uint64_t began = clock_mono_us();
	int r;

	/* crun notes where stdio goes when it restores, and is wrong if the program has redirected it since: ours is
	 * what conmon gave */
	replaced = path_join(memory_dir ? memory_dir : "", DESCRIPTORS);
	if (!memory_dir) {
		free(replaced);
		replaced = saved_path(in, SAVED_NEW, "checkpoint/" DESCRIPTORS);
	}
	uuid_new(info.uuid);
	r = file_write_whole(replaced, stdio, strlen(stdio), 0600, err);
	if (r == 0)
		r = take_images(in, memory_dir, files, op, &info.bytes, err);
	if (r == 0)
		r = add_spec(in, files, err);
	info.copy_us = clock_mono_us() - began;
	text = manifest_text(in, facts, &info, files);
	if (r == 0)
		r = add_text(in, MANIFEST, text, NULL, err);
	if (r < 0)
		return err_wrap(err, r, "cannot save the state");
	FAULT("stop.copied", err);
	operation_progress(op, "checkpoint_progress", "Syncing to disk");
	began = clock_mono_us();
	r = sync_all(in, err);
	if (r < 0)
		return r;
	info.sync_us = clock_mono_us() - began;
	info.frozen_us = clock_mono_us() - facts->frozen_at_us;
	*ret_info = info;
	return 0;
}

static int rename_folder(const struct instance *in, const char *from, const char *to, struct err *err)
{
	autofree char *a = saved_path(in, from, ""), *b = saved_path(in, to, ""), *parent = instance_path(in, "");

	if (rename(a, b) < 0)
		return err_sys(err, "cannot rename '%s' to '%s'", a, path_base(b));
	return file_sync_dir(parent, err);
}

int saved_commit(struct instance *in, struct err *err)
{
	return rename_folder(in, SAVED_NEW, SAVED_STATE, err);
}

int saved_use(struct instance *in, struct err *err)
{
	return rename_folder(in, SAVED_STATE, SAVED_USED, err);
}

int saved_unuse(struct instance *in, struct err *err)
{
	return rename_folder(in, SAVED_USED, SAVED_STATE, err);
}

/* The manifest goes first: what is left if we die here is rubbish by its looks. */
static int remove_folder(struct instance *in, const char *folder, struct err *err)
{
	autofree char *manifest = saved_path(in, folder, MANIFEST), *dir = saved_path(in, folder, "");

	if (unlink(manifest) < 0 && errno != ENOENT && errno != ENOTDIR)
		return err_sys(err, "cannot remove '%s'", manifest);
	return path_remove_all(dir, err);
}

int saved_remove(struct instance *in, struct err *err)
{
	const struct saved_state_info none = { 0 };
	int r = remove_folder(in, SAVED_STATE, err);

	if (r == 0)
		instance_set_states(in, &none, NULL);
	return r;
}

int saved_remove_previous(struct instance *in, struct err *err)
{
	const struct saved_state_info none = { 0 };
	int r = remove_folder(in, SAVED_USED, err);

	if (r == 0)
		instance_set_states(in, NULL, &none);
	return r;
}

void saved_sweep(struct instance *in)
{
	static const char *const folders[] = { SAVED_STATE, SAVED_USED };

	(void)remove_folder(in, SAVED_NEW, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		autofree char *manifest = saved_path(in, folders[i], MANIFEST);

		if (!path_exists(manifest))
			(void)remove_folder(in, folders[i], NULL);
	}
}

static void read_info(const struct json *m, struct saved_state_info *info)
{
	const char *created = json_get_str(m, "created_at"), *uuid = json_get_str(m, "uuid");

	*info = (struct saved_state_info){ .exists = true };
	(void)snprintf(info->uuid, sizeof(info->uuid), "%s", uuid ? uuid : "");
	if (created)
		(void)clock_parse_rfc3339(created, &info->created_us);
	info->bytes = (uint64_t)json_get_int(m, "bytes", 0);
	info->processes = json_get_int(m, "processes", 0);
	info->dump_us = (uint64_t)json_int(json_at(m, "/phases/dump_us"), 0);
	info->copy_us = (uint64_t)json_int(json_at(m, "/phases/copy_us"), 0);
}

static int check_manifest(const struct instance *in, const struct json *m, struct err *err)
{
	const struct json *files = json_get(m, "files");

	if (json_get_int(m, "format", 0) != FORMAT)
		return err_set(err, -EPROTO, "its format %lld is not one that this stasis knows (%d)",
			       (long long)json_get_int(m, "format", 0), FORMAT);
	if (!is_sealed(m))
		return err_set(err, -EUCLEAN, "it is not what was written");
	if (!str_eq(json_str(json_at(m, "/instance/uuid")), in->row.uuid))
		return err_set(err, -EUCLEAN, "it belongs to another instance");
	if (json_type(files) != JSON_ARRAY || json_len(files) == 0)
		return err_set(err, -EUCLEAN, "it names no files");
	for (size_t i = 0; i < json_len(files); i++) {
		const char *name = json_get_str(json_item(files, i), "name");
		const char *image = name ? str_after(name, "checkpoint/") : NULL;

		if (!name || !(str_eq(name, "spec.dump") || (image && path_is_name(image))))
			return err_set(err, -EUCLEAN, "it names a file '%.80s' that does not belong there",
				       name ? name : "");
	}
	return 0;
}

int saved_read(const struct instance *in, const char *folder, struct saved *ret, struct err *err)
{
	autofree char *path = saved_path(in, folder, MANIFEST);
	AUTO(json_free) struct json *m = NULL;
	int r;

	r = json_parse_file(path, MANIFEST_MAX, &m, err);
	if (r == 0)
		r = check_manifest(in, m, err);
	if (r < 0)
		return err_wrap(err, r, "the manifest of the saved state (" MANIFEST ") is damaged");
	read_info(m, &ret->info);
	ret->was_paused = json_get_bool(m, "was_paused", false);
	ret->has_tty = json_get_bool(m, "has_tty", false);
	ret->has_stdin = json_get_bool(m, "has_stdin", false);
	ret->tcp_established = json_get_bool(m, "tcp_established", true);
	ret->file_locks = json_get_bool(m, "file_locks", true);
	ret->manifest = TAKE_PTR(m);
	return 0;
}

void saved_done(struct saved *s)
{
	json_free(s->manifest);
	s->manifest = NULL;
}

static int verify_file(const struct instance *in, const struct json *entry, bool with_digest, struct err *err)
{
	const char *name = json_get_str(entry, "name"), *wanted = json_get_str(entry, "sha256");
	autofree char *path = saved_path(in, SAVED_STATE, name);
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
static int verify_nothing_added(const struct instance *in, const struct json *files, struct err *err)
{
	autofree char *dir = saved_path(in, SAVED_STATE, "checkpoint");
	AUTO(strv_free) char **names = NULL, **known = NULL;
	int r = list_folder(dir, &names, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < json_len(files); i++)
		strv_add(&known, path_base(json_get_str(json_item(files, i), "name")));
	for (size_t i = 0; names && names[i]; i++)
		if (!strv_has(known, names[i]))
			return err_set(err, -EUCLEAN, "'checkpoint/%.80s' was added", names[i]);
	return 0;
}

int saved_verify(const struct instance *in, const struct saved *s, bool is_pages, struct err *err)
{
	const struct json *files = json_get(s->manifest, "files");
	int r = is_pages ? 0 : verify_nothing_added(in, files, err);

	for (size_t i = 0; r == 0 && i < json_len(files); i++) {
		const struct json *entry = json_item(files, i);
		bool has_pages = str_after(json_get_str(entry, "name"), "checkpoint/pages-") != NULL;

		r = verify_file(in, entry, has_pages == is_pages, err);
	}
	return r < 0 ? err_wrap(err, r, "the saved state is damaged") : 0;
}

void saved_refresh(struct instance *in)
{
	AUTO(saved_done) struct saved state = { 0 };
	AUTO(saved_done) struct saved used = { 0 };
	autofree char *manifest = saved_path(in, SAVED_STATE, MANIFEST);

	if (saved_read(in, SAVED_STATE, &state, NULL) < 0)
		state.info = (struct saved_state_info){ .exists = path_exists(manifest) }; /* damaged, but not gone */
	if (saved_read(in, SAVED_USED, &used, NULL) < 0)
		used.info = (struct saved_state_info){ 0 };
	instance_set_states(in, &state.info, &used.info);
}
