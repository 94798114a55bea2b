/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive.c - reading tar in two stages: one libarchive decompresses, a second one reads tar out of it
 *
 * Between the two stands plain_read(), through which every decompressed byte passes: there they are counted, limited
 * and digested. It also bounds what one call of the tar reader may consume, because libarchive keeps headers and sparse
 * maps in memory and a megabyte of compressed zeros may be the beginning of a gigabyte of them.
 */
#include "base/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/archive-private.h"
#include "base/mem.h"
#include "base/str.h"

#define READ_SIZE   (256 << 10)
#define CALL_BUDGET (4 << 20) /* what the tar reader may consume in one call */

struct archive_reader {
	int fd;
	struct archive_limits limits;
	struct archive *raw, *tar;
	struct digest *packed_digest, *plain_digest;
	uint64_t packed_bytes, plain_bytes, entries;
	uint64_t budget;    /* left of CALL_BUDGET */
	uint64_t item_size; /* of the current member */
	struct archive_xattr *xattrs;
	size_t cap_xattrs;
	int code; /* what a callback found, or 0 */
	struct err why;
	char buf[READ_SIZE];
};

/* Callbacks can only say "it failed" through libarchive; the reason waits here. */
static la_ssize_t callback_fail(struct archive_reader *rd, int code, const char *text)
{
	rd->code = err_set(&rd->why, code, "%s", text);
	return ARCHIVE_FATAL;
}

static int reader_error(const struct archive_reader *rd, struct archive *a, struct err *err)
{
	const char *text = archive_error_string(a);

	if (rd->code < 0)
		return err_set(err, rd->code, "%s", rd->why.text);
	if (text && strcmp(text, "Unrecognized archive format") == 0)
		return err_set(err, -EINVAL, "not a tar archive");
	return err_set(err, -EINVAL, "damaged archive: %s", text ? text : "unknown reason");
}

static la_ssize_t packed_read(struct archive *a, void *ctx, const void **ret)
{
	struct archive_reader *rd = ctx;
	ssize_t n;

	do
		n = read(rd->fd, rd->buf, sizeof(rd->buf));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return callback_fail(rd, -errno, strerror(errno));
	digest_add(rd->packed_digest, rd->buf, (size_t)n);
	rd->packed_bytes += (uint64_t)n;
	*ret = rd->buf;
	return n;
}

static bool is_over_ratio(const struct archive_reader *rd)
{
	return rd->plain_bytes > rd->limits.ratio_from && rd->plain_bytes / rd->limits.ratio > rd->packed_bytes;
}

/* The next piece of the decompressed stream: its length, 0 at the end, ARCHIVE_FATAL. */
static la_ssize_t plain_next(struct archive_reader *rd, const void **ret)
{
	la_int64_t offset;
	size_t n = 0;
	int r = archive_read_data_block(rd->raw, ret, &n, &offset);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK) {
		if (rd->code == 0)
			rd->code = reader_error(rd, rd->raw, &rd->why);
		return ARCHIVE_FATAL;
	}
	digest_add(rd->plain_digest, *ret, n);
	rd->plain_bytes += n;
	if (rd->plain_bytes > rd->limits.bytes)
		return callback_fail(rd, -E2BIG, "it unpacks to more bytes than the limit allows");
	if (is_over_ratio(rd))
		return callback_fail(rd, -E2BIG, "it is compressed too well to be genuine");
	return (la_ssize_t)n;
}

static la_ssize_t plain_read(struct archive *a, void *ctx, const void **ret)
{
	struct archive_reader *rd = ctx;
	la_ssize_t n = plain_next(rd, ret);

	if (n < 0) {
		archive_set_error(a, EIO, "%s", rd->why.text);
		return n;
	}
	if ((uint64_t)n > rd->budget)
		return callback_fail(rd, -E2BIG, "a header in it is too large");
	rd->budget -= (uint64_t)n;
	return n;
}

/* A filter that libarchive was built without would start a program of that name: that is not wanted. */
static int open_raw(struct archive_reader *rd, struct err *err)
{
	static int (*const filters[])(struct archive *) = {
		archive_read_support_filter_bzip2,
		archive_read_support_filter_gzip,
		archive_read_support_filter_xz,
		archive_read_support_filter_zstd,
	};
	struct archive_entry *entry;

	rd->raw = archive_read_new();
	if (!rd->raw)
		return err_set(err, -ENOMEM, "libarchive: out of memory");
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
		if (filters[i](rd->raw) != ARCHIVE_OK)
			return err_set(err, -ENOSYS, "libarchive: %s", archive_error_string(rd->raw));
	if (archive_read_support_format_raw(rd->raw) != ARCHIVE_OK ||
	    archive_read_open(rd->raw, rd, NULL, packed_read, NULL) != ARCHIVE_OK)
		return reader_error(rd, rd->raw, err);
	if (archive_read_next_header(rd->raw, &entry) != ARCHIVE_OK)
		return reader_error(rd, rd->raw, err);
	if (archive_filter_count(rd->raw) > 2) /* one, and libarchive's "none" below it */
		return err_set(err, -EINVAL, "not a tar archive: it is compressed more than once");
	return 0;
}

static int open_tar(struct archive_reader *rd, struct err *err)
{
	rd->tar = archive_read_new();
	if (!rd->tar)
		return err_set(err, -ENOMEM, "libarchive: out of memory");
	rd->budget = CALL_BUDGET;
	if (archive_read_support_format_tar(rd->tar) != ARCHIVE_OK ||
	    archive_read_open(rd->tar, rd, NULL, plain_read, NULL) != ARCHIVE_OK)
		return reader_error(rd, rd->tar, err);
	return 0;
}

int archive_reader_open(int fd, const struct archive_limits *limits, struct archive_reader **ret, struct err *err)
{
	AUTO(archive_reader_free) struct archive_reader *rd = xcalloc(1, sizeof(*rd));
	PLAIN_LOCALE();
	int r;

	rd->fd = fd;
	rd->limits = *limits;
	rd->packed_digest = digest_new();
	rd->plain_digest = digest_new();
	r = open_raw(rd, err);
	if (r == 0)
		r = open_tar(rd, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(rd);
	return 0;
}

void archive_reader_free(struct archive_reader *rd)
{
	if (!rd)
		return;
	if (rd->tar)
		(void)archive_read_free(rd->tar);
	if (rd->raw)
		(void)archive_read_free(rd->raw);
	digest_free(rd->packed_digest);
	digest_free(rd->plain_digest);
	free(rd->xattrs);
	free(rd);
}

uint64_t archive_reader_packed_bytes(const struct archive_reader *rd)
{
	return rd->packed_bytes;
}

static enum archive_kind kind_of(struct archive_entry *entry)
{
	if (archive_entry_hardlink(entry))
		return ARCHIVE_KIND_HARDLINK;
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return ARCHIVE_KIND_FILE;
	case AE_IFDIR:
		return ARCHIVE_KIND_DIR;
	case AE_IFLNK:
		return ARCHIVE_KIND_SYMLINK;
	case AE_IFIFO:
		return ARCHIVE_KIND_FIFO;
	case AE_IFCHR:
	case AE_IFBLK:
		return ARCHIVE_KIND_DEVICE;
	default:
		return ARCHIVE_KIND_OTHER;
	}
}

static size_t read_xattrs(struct archive_reader *rd, struct archive_entry *entry)
{
	size_t n = 0, max = (size_t)archive_entry_xattr_reset(entry);
	struct archive_xattr x;

	if (max > rd->cap_xattrs) {
		rd->xattrs = xreallocarray(rd->xattrs, max, sizeof(*rd->xattrs));
		rd->cap_xattrs = max;
	}
	while (n < max && archive_entry_xattr_next(entry, &x.name, &x.value, &x.size) == ARCHIVE_OK)
		if (x.name)
			rd->xattrs[n++] = x;
	return n;
}

static int read_item(struct archive_reader *rd, struct archive_entry *entry, struct archive_item *ret, struct err *err)
{
	struct archive_item item = { .kind = kind_of(entry), .name = archive_entry_pathname(entry) };
	la_int64_t size = archive_entry_size(entry);

	if (!item.name)
		return err_set(err, -EINVAL, "damaged archive: a member without a name");
	if (size < 0)
		return err_set(err, -EINVAL, "damaged archive: '%s' has a negative size", item.name);
	if (item.kind == ARCHIVE_KIND_HARDLINK)
		item.target = archive_entry_hardlink(entry);
	else if (item.kind == ARCHIVE_KIND_SYMLINK)
		item.target = archive_entry_symlink(entry);
	item.size = (uint64_t)size;
	item.mode = archive_entry_perm(entry) & 07777;
	item.uid = archive_entry_uid(entry);
	item.gid = archive_entry_gid(entry);
	item.mtime.tv_sec = archive_entry_mtime(entry);
	item.mtime.tv_nsec = archive_entry_mtime_nsec(entry);
	item.is_block = archive_entry_filetype(entry) == AE_IFBLK;
	item.major = (uint32_t)archive_entry_rdevmajor(entry);
	item.minor = (uint32_t)archive_entry_rdevminor(entry);
	item.n_xattrs = read_xattrs(rd, entry);
	item.xattrs = rd->xattrs;
	rd->item_size = item.size;
	*ret = item;
	return 0;
}

/* Not by libarchive's own skipping: that would be one call of unlimited appetite. */
static int pass_over_data(struct archive_reader *rd, struct err *err)
{
	la_int64_t offset;
	const void *p;
	size_t n;
	int r;

	do {
		rd->budget = CALL_BUDGET;
		r = archive_read_data_block(rd->tar, &p, &n, &offset);
	} while (r == ARCHIVE_OK || r == ARCHIVE_WARN);
	return r == ARCHIVE_EOF ? 0 : reader_error(rd, rd->tar, err);
}

int archive_reader_next(struct archive_reader *rd, struct archive_item *ret, struct err *err)
{
	struct archive_entry *entry;
	PLAIN_LOCALE();
	int r;

	r = rd->entries > 0 ? pass_over_data(rd, err) : 0;
	if (r < 0)
		return r;
	rd->budget = CALL_BUDGET;
	r = archive_read_next_header(rd->tar, &entry);
	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return reader_error(rd, rd->tar, err);
	if (++rd->entries > rd->limits.entries)
		return err_set(err, -E2BIG, "it has more than %llu members", (unsigned long long)rd->limits.entries);
	r = read_item(rd, entry, ret, err);
	return r < 0 ? r : 1;
}

int archive_reader_data(struct archive_reader *rd, const void **ret, size_t *ret_len, uint64_t *ret_offset,
			struct err *err)
{
	la_int64_t offset = 0;
	PLAIN_LOCALE();
	const void *p;
	size_t n;
	int r;

	rd->budget = CALL_BUDGET;
	r = archive_read_data_block(rd->tar, &p, &n, &offset);
	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return reader_error(rd, rd->tar, err);
	if (offset < 0 || (uint64_t)offset > rd->item_size || n > rd->item_size - (uint64_t)offset)
		return err_set(err, -EINVAL, "damaged archive: data beyond the size of its file");
	*ret = p;
	*ret_len = n;
	*ret_offset = (uint64_t)offset;
	return 1;
}

int archive_reader_finish(struct archive_reader *rd, struct archive_sums *ret, struct err *err)
{
	struct archive_sums sums;
	PLAIN_LOCALE();
	const void *p;
	la_ssize_t n;

	while ((n = plain_next(rd, &p)) > 0)
		;
	while (n == 0 && (n = packed_read(rd->raw, rd, &p)) > 0)
		n = 0;
	if (n < 0 || rd->code < 0)
		return reader_error(rd, rd->raw, err);
	digest_hex(rd->packed_digest, sums.packed);
	digest_hex(rd->plain_digest, sums.plain);
	sums.packed_bytes = rd->packed_bytes;
	sums.plain_bytes = rd->plain_bytes;
	*ret = sums;
	return 0;
}
