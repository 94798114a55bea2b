/* SPDX-License-Identifier: Apache-2.0 */
/* layer.c - the store of unpacked layers */
#include "image/layer.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/file.h"
#include "base/path.h"
#include "image/scratch.h"
#include "image/unpack.h"

static char *store_folder(const char *state_dir)
{
	return path_join(state_dir, "layers");
}

char *layer_folder(const char *state_dir, const char *diff_id)
{
	autofree char *store = store_folder(state_dir);

	return path_join(store, diff_id);
}

bool layer_is_opaque(const char *folder)
{
	char value;

	return lgetxattr(folder, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

static int check_blob(const struct layer_spec *spec, const char *digest, uint64_t size, struct err *err)
{
	if (!spec->digest)
		return 0;
	if (size != spec->size)
		return err_set(err, -EINVAL, "damaged: it has %llu bytes, its descriptor says %llu",
			       (unsigned long long)size, (unsigned long long)spec->size);
	if (strcmp(digest, spec->digest) != 0)
		return err_set(err, -EINVAL, "damaged: its SHA-256 is %s, its descriptor says %s", digest,
			       spec->digest);
	return 0;
}

static int check_sums(const struct layer_spec *spec, const struct archive_sums *sums, struct err *err)
{
	int r = check_blob(spec, sums->packed, sums->packed_bytes, err);

	if (r < 0)
		return r;
	if (spec->diff_id && strcmp(sums->plain, spec->diff_id) != 0)
		return err_set(err, -EINVAL, "damaged: its diff id is %s, the image's configuration says %s",
			       sums->plain, spec->diff_id);
	return 0;
}

/* An unpacker that stumbles over a blob which is not what it should be has found that out the hard way: say so. */
static int unpack_error(int fd, const struct layer_spec *spec, int code, struct err *err)
{
	char digest[DIGEST_HEX_SIZE];
	uint64_t size;

	if (code != -EINVAL || !spec->digest || digest_of_fd(fd, digest, &size, NULL) < 0)
		return code;
	return check_blob(spec, digest, size, err) < 0 ? -EINVAL : code;
}

static struct archive_limits limits_of(const struct layer_spec *spec)
{
	static const struct archive_limits defaults = ARCHIVE_LIMITS_DEFAULT;

	return spec->limits ? *spec->limits : defaults;
}

/* The layer is there; the blob has to be what it says all the same. */
static int reuse(int fd, const struct layer_spec *spec, struct layer_result *ret, struct err *err)
{
	AUTO(archive_reader_free) struct archive_reader *rd = NULL;
	struct archive_limits limits = limits_of(spec);
	struct archive_sums sums = { 0 };
	int r;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, "cannot read it");
	r = archive_reader_open(fd, &limits, &rd, err);
	if (r == 0)
		r = archive_reader_finish(rd, &sums, err);
	if (r < 0)
		return unpack_error(fd, spec, r, err);
	r = check_sums(spec, &sums, err);
	if (r < 0)
		return r;
	*ret = (struct layer_result){ .plain_bytes = sums.plain_bytes };
	memcpy(ret->diff_id, spec->diff_id, DIGEST_HEX_SIZE);
	return 0;
}

/* Gives the finished @tree its name: 1, or 0 when somebody else was quicker. */
static int publish(const char *state_dir, const char *tree, int tree_fd, const char *diff_id, struct err *err)
{
	autofree char *store = store_folder(state_dir);
	autofree char *folder = path_join(store, diff_id);
	int r;

	r = path_mkdirs(store, 0700, err);
	if (r < 0)
		return r;
	if (syncfs(tree_fd) < 0)
		return err_sys(err, "cannot sync the layer");
	if (renameat2(AT_FDCWD, tree, AT_FDCWD, folder, RENAME_NOREPLACE) < 0)
		return errno == EEXIST ? 0 : err_sys(err, "cannot give the layer its name");
	r = file_sync_dir(store, err);
	return r < 0 ? r : 1;
}

static int import_new(const char *state_dir, int fd, const struct layer_spec *spec, struct layer_result *ret,
		      struct err *err)
{
	struct unpack_options options = {
		.limits = limits_of(spec), .is_layer = true, .what = spec->what, .watch = spec->watch
	};
	AUTO(scratch_done) struct scratch scratch = { 0 };
	struct unpack_result unpacked = { 0 };
	autofree char *tree = NULL;
	autoclose int tree_fd = -1;
	int r;

	r = scratch_make(&scratch, state_dir, err);
	if (r < 0)
		return r;
	tree = path_join(scratch.path, "tree");
	if (mkdir(tree, 0700) < 0)
		return err_sys(err, "%s", tree);
	tree_fd = open(tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (tree_fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, "%s", tree);
	r = unpack_archive(fd, tree_fd, &options, &unpacked, err);
	if (r < 0)
		return unpack_error(fd, spec, r, err);
	r = check_sums(spec, &unpacked.sums, err);
	if (r == 0)
		r = publish(state_dir, tree, tree_fd, unpacked.sums.plain, err);
	if (r < 0)
		return r;
	*ret = (struct layer_result){ .is_new = r == 1,
				      .bytes = unpacked.bytes,
				      .plain_bytes = unpacked.sums.plain_bytes };
	memcpy(ret->diff_id, unpacked.sums.plain, DIGEST_HEX_SIZE);
	return 0;
}

int layer_import(const char *state_dir, int fd, const struct layer_spec *spec, struct layer_result *ret,
		 struct err *err)
{
	autofree char *folder = spec->diff_id ? layer_folder(state_dir, spec->diff_id) : NULL;
	int r;

	if (folder && path_exists(folder))
		r = reuse(fd, spec, ret, err);
	else
		r = import_new(state_dir, fd, spec, ret, err);
	return r < 0 ? err_wrap(err, r, "%s", spec->what) : 0;
}

static int lock_store(const char *state_dir, int operation, int *ret_fd, struct err *err)
{
	autofree char *store = store_folder(state_dir);
	autoclose int fd = -1;
	int r;

	r = path_mkdirs(store, 0700, err);
	if (r < 0)
		return r;
	fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "%s", store);
	do
		r = flock(fd, operation);
	while (r < 0 && errno == EINTR);
	if (r < 0 && errno == EWOULDBLOCK)
		return err_set(err, -EBUSY, "an image is being imported");
	if (r < 0)
		return err_sys(err, "cannot lock %s", store);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int layer_lock_shared(const char *state_dir, int *ret_fd, struct err *err)
{
	return lock_store(state_dir, LOCK_SH, ret_fd, err);
}

int layer_lock_exclusive(const char *state_dir, int *ret_fd, struct err *err)
{
	return lock_store(state_dir, LOCK_EX | LOCK_NB, ret_fd, err);
}

static void dir_close(DIR *dir)
{
	if (dir)
		(void)closedir(dir);
}
AUTO_DEFINE(DIR *, dir_close)

/* Moves what nobody needs into @trash, under the lock: that is quick, removing it may not be. */
static int throw_away(const char *state_dir, const char *trash,
		      int (*is_needed)(void *ctx, const char *diff_id, struct err *err), void *ctx, struct err *err)
{
	autofree char *store = store_folder(state_dir);
	AUTO(dir_close) DIR *dir = NULL;
	autoclose int lock = -1;
	struct dirent *e;
	int r;

	r = layer_lock_exclusive(state_dir, &lock, err);
	if (r < 0)
		return r == -EBUSY ? 0 : r;
	dir = opendir(store);
	if (!dir)
		return err_sys(err, "%s", store);
	while ((e = readdir(dir))) {
		autofree char *to = path_join(trash, e->d_name);

		if (!digest_is_hex(e->d_name))
			continue;
		r = is_needed(ctx, e->d_name, err);
		if (r < 0)
			return r;
		if (r == 0 && renameat(dirfd(dir), e->d_name, AT_FDCWD, to) < 0)
			return err_sys(err, "cannot move the layer %s away", e->d_name);
	}
	return 0;
}

int layer_sweep(const char *state_dir, int (*is_needed)(void *ctx, const char *diff_id, struct err *err), void *ctx,
		struct err *err)
{
	AUTO(scratch_done) struct scratch trash = { 0 };
	int r;

	r = scratch_make(&trash, state_dir, err);
	if (r < 0)
		return r;
	return throw_away(state_dir, trash.path, is_needed, ctx, err);
}
