/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "test.h"

#define MIB (1 << 20)

TEST(known_values)
{
	AUTO(digest_free) struct digest *d = digest_new();
	char hex[DIGEST_HEX_SIZE];

	digest_of("", 0, hex);
	CHECK_STR(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	digest_of("abc", 3, hex);
	CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_add(d, "a", 1);
	digest_add(d, NULL, 0);
	digest_add(d, "bc", 2);
	digest_hex(d, hex);
	CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_free(NULL);
}

TEST(sha1)
{
	unsigned char out[20];

	digest_sha1("abc", 3, out);
	CHECK(memcmp(out, "\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e\x25\x71\x78\x50\xc2\x6c\x9c\xd0\xd8\x9d", 20) == 0);
}

TEST(hex_check)
{
	char hex[DIGEST_HEX_SIZE];

	digest_of("", 0, hex);
	CHECK_INT(digest_is_hex(hex), 1);
	hex[3] = 'A';
	CHECK_INT(digest_is_hex(hex), 0);
	hex[3] = 'a';
	hex[63] = '\0';
	CHECK_INT(digest_is_hex(hex), 0);
	CHECK_INT(digest_is_hex(""), 0);
	CHECK_INT(digest_is_hex(NULL), 0);
	CHECK_INT(digest_is_hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8555"), 0);
}

/* @len bytes: noise, zeros from 1/4 to 1/2, noise, zeros at the end. */
static int source(size_t len)
{
	autofree char *p = xcalloc(1, len + 1);
	int fd = memfd_create("source", MFD_CLOEXEC);
	unsigned x = 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1103515245 + 12345;
		if (i < len / 4 || (i >= len / 2 && i < len - len / 8))
			p[i] = (char)(x >> 16);
	}
	CHECK_INT(file_write_all(fd, p, len, NULL), 0);
	CHECK(lseek(fd, 3, SEEK_SET) >= 0); /* the position does not matter */
	return fd;
}

static void check_copy(size_t len)
{
	autofree char *path = path_join(test_dir(), "copy");
	autofree char *a = NULL;
	autofree char *b = NULL;
	autoclose int from = source(len);
	autoclose int to = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char x[DIGEST_HEX_SIZE] = "", y[DIGEST_HEX_SIZE] = "", z[DIGEST_HEX_SIZE] = "";
	size_t a_len = 0, b_len = 1;
	uint64_t size = 1;
	struct err err = ERR_INIT;
	struct stat st;

	CHECK_INT(digest_copy(from, to, NULL, x, &size, &err), 0);
	CHECK_INT(size, len);
	CHECK_INT(digest_of_fd(to, y, &size, &err), 0);
	CHECK_INT(size, len);
	CHECK(lseek(from, 0, SEEK_SET) == 0 && lseek(to, 0, SEEK_SET) == 0);
	CHECK_INT(file_read(path, 100 * MIB, &b, &b_len, NULL), 0);
	a = xmalloc(len + 1);
	a_len = (size_t)pread(from, a, len, 0);
	CHECK(a_len == len && b_len == len && memcmp(a, b, len) == 0);
	digest_of(a, len, z);
	CHECK_STR(x, y);
	CHECK_STR(x, z);
	CHECK(fstat(to, &st) == 0);
	if (len >= MIB)
		CHECK((size_t)st.st_blocks * 512 < len - len / 4);
}

TEST(copies)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 100000, MIB - 1, MIB, MIB + 1, 3 * MIB + 5 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		check_copy(sizes[i]);
}

TEST(copies_with_two_threads)
{
	static const size_t sizes[] = { 4 * MIB, 4 * MIB + 1, 17 * MIB + 4097, 40 * MIB };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		check_copy(sizes[i]);
}

TEST(failures)
{
	autoclose int small = source(100);
	autoclose int large = source(20 * MIB);
	autoclose int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	autoclose int folder = open("/", O_RDONLY | O_CLOEXEC);
	autoclose int target = memfd_create("target", MFD_CLOEXEC);
	char hex[DIGEST_HEX_SIZE] = "";
	struct err err = ERR_INIT;

	CHECK_INT(digest_copy(small, full, NULL, hex, NULL, &err), -ENOSPC);
	CHECK_INT(digest_copy(large, full, NULL, hex, NULL, &err), -ENOSPC);
	CHECK_INT(digest_copy(folder, target, NULL, hex, NULL, &err), -EISDIR);
	CHECK_INT(digest_copy(-1, target, NULL, hex, NULL, &err), -EBADF);
	CHECK_INT(digest_of_fd(folder, hex, NULL, &err), -EISDIR);
	CHECK_STR(hex, "");
}
