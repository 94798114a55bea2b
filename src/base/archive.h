/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * archive.h - tar archives: a pull reader that expects the worst, and a writer (libarchive is included in archive*.c
 * only)
 *
 * The reader takes plain tar or one layer of gzip, bzip2, xz or zstd, found out by looking. It computes the SHA-256 of
 * what it reads and of what that decompresses to in the same pass. It bounds members, bytes, the ratio of the
 * compression and what a single header may hold; names come out as the bytes they are in the archive, whatever the
 * locale. What a name means, and whether it is welcome, is for the caller to judge.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/auto.h"
#include "base/digest.h"
#include "base/err.h"

struct archive_limits {
	uint64_t entries;    /* members */
	uint64_t bytes;	     /* of the decompressed stream */
	uint64_t ratio;	     /* decompressed to compressed bytes, judged once more than … */
	uint64_t ratio_from; /* … this many bytes have come out */
};
#define ARCHIVE_LIMITS_DEFAULT                                                                                         \
	{                                                                                                              \
		.entries = 2000000, .bytes = 64ULL << 30, .ratio = 500, .ratio_from = 1ULL << 30                       \
	}

enum archive_kind {
	ARCHIVE_KIND_FILE,
	ARCHIVE_KIND_DIR,
	ARCHIVE_KIND_SYMLINK,
	ARCHIVE_KIND_HARDLINK,
	ARCHIVE_KIND_FIFO,
	ARCHIVE_KIND_DEVICE, /* of either sort */
	ARCHIVE_KIND_OTHER
};

struct archive_xattr {
	const char *name;
	const void *value;
	size_t size;
};

/* A piece of a file that is not a hole. */
struct archive_extent {
	uint64_t offset, len;
};

/* A member. Everything it points to is borrowed until the next call on its reader. */
struct archive_item {
	enum archive_kind kind;
	const char *name;
	const char *target; /* of a symlink or hard link, else NULL */
	uint64_t size;	    /* apparent size of a file: holes included */
	mode_t mode;	    /* permission bits, with setuid, setgid and sticky */
	int64_t uid, gid;
	struct timespec mtime;
	const struct archive_xattr *xattrs;
	size_t n_xattrs;
	bool is_block; /* of a device: else it is one of characters */
	uint32_t major, minor;
	const struct archive_extent *extents; /* for the writer: where a file has data, ascending; NULL: everywhere */
	size_t n_extents;
};

/* What went by: "packed" as it was in the file, "plain" as the tar stream that it decompresses to. */
struct archive_sums {
	char packed[DIGEST_HEX_SIZE], plain[DIGEST_HEX_SIZE];
	uint64_t packed_bytes, plain_bytes;
};

struct archive_reader;

/* Reads from @fd's position on; the descriptor stays the caller's and must live as long. -EINVAL: no such archive. */
int archive_reader_open(int fd, const struct archive_limits *limits, struct archive_reader **ret, struct err *err);
void archive_reader_free(struct archive_reader *rd);
AUTO_DEFINE(struct archive_reader *, archive_reader_free)

/* The next member: 1, or 0 at the end. Data of the last one that was not taken is passed over.
 * -EINVAL damaged, -E2BIG a limit is exceeded. */
int archive_reader_next(struct archive_reader *rd, struct archive_item *ret, struct err *err);

/* The next piece of the member's data and where in the file it belongs (what lies between pieces is a hole): 1, or 0
 * when there is no more. A piece never reaches beyond the member's size. */
int archive_reader_data(struct archive_reader *rd, const void **ret, size_t *ret_len, uint64_t *ret_offset,
			struct err *err);

/* Reads to the very end, also what lies behind the tar's own end mark, and tells the sums. Ends the reader's use. */
int archive_reader_finish(struct archive_reader *rd, struct archive_sums *ret, struct err *err);

uint64_t archive_reader_packed_bytes(const struct archive_reader *rd); /* how many have been read: for progress */

enum archive_packing { ARCHIVE_PACK_NONE, ARCHIVE_PACK_GZIP, ARCHIVE_PACK_ZSTD };
struct archive_writer;

/* Writes to @fd, which stays the caller's. The same members give the same bytes. */
int archive_writer_open(int fd, enum archive_packing packing, struct archive_writer **ret, struct err *err);
void archive_writer_free(struct archive_writer *wr); /* without archive_writer_finish() what was written is worthless */
AUTO_DEFINE(struct archive_writer *, archive_writer_free)

/* Where the bytes of an archive go, if not into a file. */
struct archive_sink {
	int (*write)(void *ctx, const void *p, size_t len, struct err *err);
	void *ctx;
};

struct archive_writer_options {
	enum archive_packing packing;
	int threads;   /* for zstd; 0: as many as there are processors */
	bool is_inner; /* becomes a member of another archive: not blocked, nanoseconds and all in PAX headers */
};

/* As archive_writer_open(). What @sink finds wrong is what the call fails with. */
int archive_writer_open_sink(const struct archive_sink *sink, const struct archive_writer_options *options,
			     struct archive_writer **ret, struct err *err);

/* A member, and the @item->size bytes of a file, in one or more pieces; bytes that belong to a hole must be given, but
 * are not looked at. What has not been given when the next member comes is zeros; not so in a file with holes, where
 * libarchive miscounts. */
int archive_writer_add(struct archive_writer *wr, const struct archive_item *item, struct err *err);
int archive_writer_data(struct archive_writer *wr, const void *p, size_t len, struct err *err);

/* The end mark, and everything is handed to the kernel (not synced). */
int archive_writer_finish(struct archive_writer *wr, struct err *err);
