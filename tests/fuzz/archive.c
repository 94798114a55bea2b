/* SPDX-License-Identifier: Apache-2.0 */
// links: src/base/*.c
/* The reader of untrusted archives keeps to its limits and never gives data beyond a member's size. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct archive_limits limits = { .entries = 1000, .bytes = 8 << 20, .ratio = 100, .ratio_from = 1 << 20 };

static int take(struct archive_reader *rd, const struct archive_item *item, struct err *err)
{
	const uint8_t *piece;
	uint64_t offset;
	size_t len;
	int r;

	while ((r = archive_reader_data(rd, (const void **)&piece, &len, &offset, err)) > 0) {
		assert(offset <= item->size && len <= item->size - offset);
		if (len > 0)
			(void)*(const volatile uint8_t *)(piece + len - 1);
	}
	return r;
}

static void read_all(int fd)
{
	AUTO(archive_reader_free) struct archive_reader *rd = NULL;
	struct archive_sums sums;
	struct archive_item item;
	struct err err = ERR_INIT;
	uint64_t n = 0;
	int r;

	if (archive_reader_open(fd, &limits, &rd, &err) < 0)
		return;
	while ((r = archive_reader_next(rd, &item, &err)) > 0) {
		assert(++n <= limits.entries);
		assert(item.name);
		if (n % 3 != 0 && take(rd, &item, &err) < 0)
			return;
	}
	if (r == 0 && archive_reader_finish(rd, &sums, &err) == 0)
		assert(sums.plain_bytes <= limits.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0)
		abort();
	read_all(fd);
	(void)close(fd);
	return 0;
}
