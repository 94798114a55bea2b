/* SPDX-License-Identifier: Apache-2.0 */
// links: src/base/*.c src/image/attr*.c src/image/bundle*.c src/image/lower.c src/image/tree.c src/image/unpack.c
/* A checkpoint archive of a stranger's, unpacked as root: only the folder is touched, whatever is in it. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"
#include "image/bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct bundle_limits limits = { 1 << 20, 200 };

static char lab_path[64];

static void remove_lab(void)
{
	(void)path_remove_all(lab_path, NULL);
}

/* In memory. */
static const char *lab(void)
{
	if (!lab_path[0]) {
		(void)snprintf(lab_path, sizeof(lab_path), "/dev/shm/fuzz-bundle.%d", (int)getpid());
		if (path_mkdirs(lab_path, 0700, NULL) < 0 || atexit(remove_lab) != 0)
			abort();
	}
	return lab_path;
}

static size_t n_in_lab(void)
{
	struct stat st;

	if (stat(lab(), &st) < 0)
		abort();
	return st.st_nlink - 2; /* folders only, which tmpfs counts */
}

static void use(const struct bundle *b, const char *folder)
{
	autofree char *diff = path_join(folder, "rootfs-diff.tar"), *upper = path_join(lab(), "upper");
	char *const lower[] = { (char *)"/etc", NULL };

	for (size_t i = 0; b->deleted && b->deleted[i]; i++)
		assert(b->deleted[i][0] == '/' && b->deleted[i][1]);
	(void)bundle_make_upper(b->has_rootfs ? diff : NULL, b->deleted, lower, upper, NULL);
	(void)path_remove_all(upper, NULL);
	for (size_t i = 0; b->volumes && b->volumes[i]; i++) {
		autofree char *tar = xasprintf("%s/volumes/%s.tar", folder, b->volumes[i]);

		assert(path_exists(tar));
		(void)bundle_make_volume(tar, upper, NULL);
		(void)path_remove_all(upper, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *folder = path_join(lab(), "folder");
	autoclose int fd = memfd_create("fuzz", MFD_CLOEXEC);
	AUTO(bundle_done) struct bundle b = { 0 };
	struct err err = ERR_INIT;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0 || mkdir(folder, 0700) < 0)
		abort();
	if (bundle_read(fd, folder, &limits, NULL, NULL, &b, &err) == 0) {
		assert(b.bytes <= limits.bytes);
		use(&b, folder);
	} else {
		assert(err.text[0]);
	}
	assert(n_in_lab() == 1);
	if (path_remove_all(folder, NULL) < 0)
		abort();
	return 0;
}
