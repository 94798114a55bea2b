/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive-write.c - writing tar in two stages, as reading does: one libarchive makes the tar, a second one packs it
 *
 * libarchive must not be told that a write has failed: it would leak its buffers. So what goes wrong is remembered here
 * and the rest goes nowhere; the tar that is closed early fills its last member with zeros, which are not packed then.
 */
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <string.h>

#include "base/archive-private.h"
#include "base/archive.h"
#include "base/file.h"
#include "base/mem.h"

#define BLOCK_SIZE (256 << 10)

struct archive_writer {
	struct archive *tar;
	struct archive *packed; /* NULL: the tar goes out as it comes */
	int fd;			/* when there is no sink */
	struct archive_sink sink;
	int code; /* the first thing that went wrong, or 0 */
	struct err why;
};

static void writer_failed(struct archive_writer *wr, struct archive *a)
{
	int code = archive_errno(a);
	const char *text = archive_error_string(a);

	if (wr->code == 0)
		wr->code = err_set(&wr->why, code > 0 ? -code : -EIO, "cannot write the archive: %s",
				   text ? text : "unknown reason");
}

/* What a call has come to, @is_good by its own account. */
static int writer_result(struct archive_writer *wr, bool is_good, struct err *err)
{
	if (!is_good)
		writer_failed(wr, wr->tar);
	return wr->code < 0 ? err_set(err, wr->code, "%s", wr->why.text) : 0;
}

/* A libarchive that knows no threads packs with one. */
static int add_zstd(struct archive *a, int threads)
{
	char text[16];

	if (archive_write_add_filter_zstd(a) != ARCHIVE_OK)
		return ARCHIVE_FATAL;
	(void)snprintf(text, sizeof(text), "%d", threads > 0 ? threads : (int)sysconf(_SC_NPROCESSORS_ONLN));
	(void)archive_write_set_filter_option(a, "zstd", "threads", text);
	return ARCHIVE_OK;
}

static int add_packing(struct archive *a, const struct archive_writer_options *options)
{
	switch (options->packing) {
	case ARCHIVE_PACK_GZIP:
		if (archive_write_add_filter_gzip(a) != ARCHIVE_OK)
			return ARCHIVE_FATAL;
		return archive_write_set_filter_option(a, "gzip", "timestamp", NULL);
	case ARCHIVE_PACK_ZSTD:
		return add_zstd(a, options->threads);
	case ARCHIVE_PACK_NONE:
		break;
	}
	return archive_write_add_filter_none(a);
}

static la_ssize_t write_out(struct archive *a, void *ctx, const void *p, size_t len)
{
	struct archive_writer *wr = ctx;

	if (wr->code == 0)
		wr->code = wr->sink.write ? wr->sink.write(wr->sink.ctx, p, len, &wr->why)
					  : file_write_all(wr->fd, p, len, &wr->why);
	return (la_ssize_t)len;
}

static la_ssize_t write_packed(struct archive *a, void *ctx, const void *p, size_t len)
{
	struct archive_writer *wr = ctx;

	if (wr->code == 0 && archive_write_data(wr->packed, p, len) != (la_ssize_t)len)
		writer_failed(wr, wr->packed);
	return (la_ssize_t)len;
}

static void entry_free(struct archive_entry *entry)
{
	archive_entry_free(entry);
}
AUTO_DEFINE(struct archive_entry *, entry_free)

static bool open_packed(struct archive_writer *wr, const struct archive_writer_options *options)
{
	AUTO(entry_free) struct archive_entry *entry = archive_entry_new();

	wr->packed = archive_write_new();
	if (!wr->packed || !entry)
		mem_exhausted();
	archive_entry_set_filetype(entry, AE_IFREG);
	return add_packing(wr->packed, options) == ARCHIVE_OK &&
	       archive_write_set_format_raw(wr->packed) == ARCHIVE_OK &&
	       archive_write_set_bytes_per_block(wr->packed, BLOCK_SIZE) == ARCHIVE_OK &&
	       archive_write_set_bytes_in_last_block(wr->packed, 1) == ARCHIVE_OK &&
	       archive_write_open(wr->packed, wr, NULL, write_out, NULL) == ARCHIVE_OK &&
	       archive_write_header(wr->packed, entry) == ARCHIVE_OK;
}

static bool open_tar(struct archive_writer *wr, const struct archive_writer_options *options)
{
	int r;

	wr->tar = archive_write_new();
	if (!wr->tar)
		mem_exhausted();
	r = options->is_inner ? archive_write_set_format_pax(wr->tar)
			      : archive_write_set_format_pax_restricted(wr->tar);
	return r == ARCHIVE_OK &&
	       archive_write_set_format_option(wr->tar, "pax", "xattrheader", "SCHILY") == ARCHIVE_OK &&
	       archive_write_set_bytes_per_block(wr->tar, 0) == ARCHIVE_OK &&
	       archive_write_open(wr->tar, wr, NULL, wr->packed ? write_packed : write_out, NULL) == ARCHIVE_OK;
}

static int writer_open(struct archive_writer *wr, const struct archive_writer_options *options, struct err *err)
{
	PLAIN_LOCALE();

	if (!options->is_inner && !open_packed(wr, options))
		writer_failed(wr, wr->packed);
	return wr->code < 0 ? writer_result(wr, true, err) : writer_result(wr, open_tar(wr, options), err);
}

int archive_writer_open(int fd, enum archive_packing packing, struct archive_writer **ret, struct err *err)
{
	const struct archive_writer_options options = { .packing = packing, .threads = 1 };
	AUTO(archive_writer_free) struct archive_writer *wr = xcalloc(1, sizeof(*wr));
	int r;

	wr->fd = fd;
	r = writer_open(wr, &options, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(wr);
	return 0;
}

int archive_writer_open_sink(const struct archive_sink *sink, const struct archive_writer_options *options,
			     struct archive_writer **ret, struct err *err)
{
	AUTO(archive_writer_free) struct archive_writer *wr = xcalloc(1, sizeof(*wr));
	int r;

	wr->sink = *sink;
	r = writer_open(wr, options, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(wr);
	return 0;
}

void archive_writer_free(struct archive_writer *wr)
{
	if (!wr)
		return;
	wr->code = -ECANCELED; /* what libarchive still writes to bring this to an end goes nowhere */
	if (wr->tar)
		(void)archive_write_free(wr->tar);
	if (wr->packed)
		(void)archive_write_free(wr->packed);
	free(wr);
}

static void fill_entry(struct archive_entry *entry, const struct archive_item *item)
{
	static const unsigned types[] = {
		[ARCHIVE_KIND_FILE] = AE_IFREG,	    [ARCHIVE_KIND_DIR] = AE_IFDIR,  [ARCHIVE_KIND_SYMLINK] = AE_IFLNK,
		[ARCHIVE_KIND_HARDLINK] = AE_IFREG, [ARCHIVE_KIND_FIFO] = AE_IFIFO, [ARCHIVE_KIND_DEVICE] = AE_IFCHR,
	};

	archive_entry_copy_pathname(entry, item->name);
	archive_entry_set_filetype(entry,
				   item->kind == ARCHIVE_KIND_DEVICE && item->is_block ? AE_IFBLK : types[item->kind]);
	archive_entry_set_perm(entry, item->mode);
	archive_entry_set_uid(entry, item->uid);
	archive_entry_set_gid(entry, item->gid);
	archive_entry_set_size(entry, item->kind == ARCHIVE_KIND_FILE ? (la_int64_t)item->size : 0);
	archive_entry_set_mtime(entry, item->mtime.tv_sec, item->mtime.tv_nsec);
	if (item->kind == ARCHIVE_KIND_DEVICE) {
		archive_entry_set_rdevmajor(entry, item->major);
		archive_entry_set_rdevminor(entry, item->minor);
	}
	if (item->kind == ARCHIVE_KIND_SYMLINK)
		archive_entry_copy_symlink(entry, item->target);
	if (item->kind == ARCHIVE_KIND_HARDLINK)
		archive_entry_copy_hardlink(entry, item->target);
	for (size_t i = 0; i < item->n_xattrs; i++)
		archive_entry_xattr_add_entry(entry, item->xattrs[i].name, item->xattrs[i].value, item->xattrs[i].size);
	for (size_t i = 0; item->kind == ARCHIVE_KIND_FILE && i < item->n_extents; i++)
		archive_entry_sparse_add_entry(entry, (la_int64_t)item->extents[i].offset,
					       (la_int64_t)item->extents[i].len);
}

int archive_writer_add(struct archive_writer *wr, const struct archive_item *item, struct err *err)
{
	AUTO(entry_free) struct archive_entry *entry = archive_entry_new();
	PLAIN_LOCALE();

	if (!entry)
		mem_exhausted();
	if (item->kind > ARCHIVE_KIND_DEVICE)
		return err_set(err, -EINVAL, "'%s' is nothing that a tar can hold", item->name);
	fill_entry(entry, item);
	return writer_result(wr, archive_write_header(wr->tar, entry) >= ARCHIVE_WARN, err);
}

int archive_writer_data(struct archive_writer *wr, const void *p, size_t len, struct err *err)
{
	PLAIN_LOCALE();
	la_ssize_t n = archive_write_data(wr->tar, p, len);
	int r = writer_result(wr, n >= 0, err);

	if (r == 0 && (size_t)n != len)
		r = err_set(err, -EINVAL, "more data for a member of the archive than its size says");
	return r;
}

int archive_writer_finish(struct archive_writer *wr, struct err *err)
{
	PLAIN_LOCALE();
	int r = writer_result(wr, archive_write_close(wr->tar) == ARCHIVE_OK, err);

	if (r == 0 && wr->packed && archive_write_close(wr->packed) != ARCHIVE_OK)
		writer_failed(wr, wr->packed);
	return r < 0 ? r : writer_result(wr, true, err);
}
