/* SPDX-License-Identifier: Apache-2.0 */
/* archive-write.c - writing tar, packed or not, into a file or into whatever takes bytes */
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
	int fd; /* when there is no sink */
	struct archive_sink sink;
	int code; /* what the sink found, or 0 */
	struct err why;
};

static int writer_error(struct archive_writer *wr, struct err *err)
{
	int code = archive_errno(wr->tar);
	const char *text = archive_error_string(wr->tar);

	if (wr->code < 0)
		return err_set(err, wr->code, "%s", wr->why.text);
	return err_set(err, code > 0 ? -code : -EIO, "cannot write the archive: %s", text ? text : "unknown reason");
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

static int set_format(struct archive *a, const struct archive_writer_options *options)
{
	int r = options->is_inner ? archive_write_set_format_pax(a) : archive_write_set_format_pax_restricted(a);

	if (r != ARCHIVE_OK || archive_write_set_format_option(a, "pax", "xattrheader", "SCHILY") != ARCHIVE_OK)
		return ARCHIVE_FATAL;
	if (archive_write_set_bytes_per_block(a, options->is_inner ? 0 : BLOCK_SIZE) != ARCHIVE_OK)
		return ARCHIVE_FATAL;
	return archive_write_set_bytes_in_last_block(a, 1);
}

static la_ssize_t sink_write(struct archive *a, void *ctx, const void *p, size_t len)
{
	struct archive_writer *wr = ctx;
	int r = wr->sink.write ? wr->sink.write(wr->sink.ctx, p, len, &wr->why)
			       : file_write_all(wr->fd, p, len, &wr->why);

	if (r == 0)
		return (la_ssize_t)len;
	wr->code = r;
	archive_set_error(a, -r, "%s", wr->why.text);
	return -1;
}

static int writer_open(struct archive_writer *wr, const struct archive_writer_options *options, struct err *err)
{
	PLAIN_LOCALE();

	wr->tar = archive_write_new();
	if (!wr->tar)
		return err_set(err, -ENOMEM, "libarchive: out of memory");
	if (add_packing(wr->tar, options) != ARCHIVE_OK || set_format(wr->tar, options) != ARCHIVE_OK ||
	    archive_write_open(wr->tar, wr, NULL, sink_write, NULL) != ARCHIVE_OK)
		return writer_error(wr, err);
	return 0;
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
	if (wr->tar) {
		(void)archive_write_fail(wr->tar); /* otherwise free would still write an end mark */
		(void)archive_write_free(wr->tar);
	}
	free(wr);
}

static void entry_free(struct archive_entry *entry)
{
	archive_entry_free(entry);
}
AUTO_DEFINE(struct archive_entry *, entry_free)

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
	if (archive_write_header(wr->tar, entry) < ARCHIVE_WARN)
		return writer_error(wr, err);
	return 0;
}

int archive_writer_data(struct archive_writer *wr, const void *p, size_t len, struct err *err)
{
	PLAIN_LOCALE();
	la_ssize_t n = archive_write_data(wr->tar, p, len);

	if (n < 0)
		return writer_error(wr, err);
	if ((size_t)n != len)
		return err_set(err, -EINVAL, "more data for a member of the archive than its size says");
	return 0;
}

int archive_writer_finish(struct archive_writer *wr, struct err *err)
{
	PLAIN_LOCALE();

	return archive_write_close(wr->tar) == ARCHIVE_OK ? 0 : writer_error(wr, err);
}
