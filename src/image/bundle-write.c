/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle-write.c - a checkpoint archive in one pass
 *
 * The same function writes the archive twice: first into nothing, without reading a byte of content, which tells the
 * sizes of the tars inside and of the whole; then in earnest. Nothing is kept in memory but names.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "image/bundle-private.h"

#define TICK_BYTES (1 << 20)

/* As long as any; the first run has no content to digest. */
#define NO_SUM "0000000000000000000000000000000000000000000000000000000000000000"

/* What the first run found out for the second. */
struct plan {
	uint64_t total; /* bytes of the archive, not compressed */
	uint64_t diff_size;
	uint64_t *volume_sizes;
	struct strbuf deleted; /* absolute paths, each with its NUL */
};

struct out {
	const struct bundle_source *src;
	struct plan *plan;
	struct archive_writer *wr;
	struct json *sums; /* SHA-256 of what the manifest does not know: it is made here */
	bool is_dry;
	time_t now;
	char *buf;
	bundle_progress progress;
	void *ctx;
	uint64_t done, next_tick;
};

static void plan_done(struct plan *p)
{
	free(p->volume_sizes);
	strbuf_done(&p->deleted);
}
AUTO_DEFINE_IN(struct plan, plan_done)

static void out_done(struct out *o)
{
	json_free(o->sums);
	archive_writer_free(o->wr);
	free(o->buf);
}
AUTO_DEFINE_IN(struct out, out_done)

static int tick(void *ctx, uint64_t bytes, struct err *err)
{
	struct out *o = ctx;

	o->done += bytes;
	if (!o->progress || o->done < o->next_tick)
		return 0;
	o->next_tick = o->done + TICK_BYTES;
	return o->progress(o->done, o->plan->total, o->ctx) ? 0 : err_set(err, -ECANCELED, "cancelled");
}

static int put_header(struct out *o, enum archive_kind kind, const char *name, uint64_t size, struct err *err)
{
	const struct archive_item item = { .kind = kind,
					   .name = name,
					   .size = size,
					   .mode = kind == ARCHIVE_KIND_DIR ? 0700 : 0600,
					   .mtime = { .tv_sec = o->now } };

	return archive_writer_add(o->wr, &item, err);
}

static int put_bytes(struct out *o, const char *name, const void *p, size_t len, struct err *err)
{
	int r = put_header(o, ARCHIVE_KIND_FILE, name, len, err);

	if (r == 0 && !o->is_dry && len > 0)
		r = archive_writer_data(o->wr, p, len, err);
	return r == 0 ? tick(o, len, err) : r;
}

static int put_json(struct out *o, const char *name, const struct json *j, struct err *err)
{
	autofree char *text = j ? json_print(j, JSON_PRETTY) : NULL;

	if (!text)
		return 0;
	if (strlen(text) > BUNDLE_MAX_JSON)
		return err_set(err, -EFBIG, "%s would be larger than what is read back", name);
	return put_bytes(o, name, text, strlen(text), err);
}

/* A regular file. @dir_fd may be AT_FDCWD. */
static int put_file(struct out *o, const char *name, int dir_fd, const char *path, struct err *err)
{
	autoclose int fd = -1;
	struct stat st;
	int r;

	if (!path)
		return 0;
	fd = openat(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "cannot open '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "'%s' is not a file", path);
	r = put_header(o, ARCHIVE_KIND_FILE, name, (uint64_t)st.st_size, err);
	if (r == 0 && !o->is_dry)
		r = bundle_copy_in(o->wr, fd, (uint64_t)st.st_size, o->buf, tick, o, err);
	return r < 0 ? err_wrap(err, r, "'%s'", path) : 0;
}

static int put_images(struct out *o, struct err *err)
{
	AUTO(strv_free) char **names = NULL;
	autoclose int fd = -1;
	int r;

	if (!o->src->images)
		return 0;
	fd = open(o->src->images, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cannot open '%s'", o->src->images);
	r = bundle_names(fd, &names, err);
	if (r == 0)
		r = put_header(o, ARCHIVE_KIND_DIR, "checkpoint", 0, err);
	for (size_t i = 0; r == 0 && names[i]; i++) {
		autofree char *name = path_join("checkpoint", names[i]);

		r = put_file(o, name, fd, names[i], err);
	}
	return r;
}

struct diff_job {
	struct out *o;
	const struct lower *lower;
};

static int fill_diff(struct bundle_tar *t, void *ctx, struct err *err)
{
	const struct diff_job *job = ctx;
	struct out *o = job->o;

	return bundle_diff(t, o->src->upper, job->lower, o->is_dry ? &o->plan->deleted : NULL, err);
}

static int fill_volume(struct bundle_tar *t, void *ctx, struct err *err)
{
	return bundle_tar_tree(t, ctx, err);
}

/* A tar that is written into the archive, and how much of it there has been. */
struct inner {
	struct out *o;
	struct digest *digest;
	uint64_t left;
};

static int inner_write(void *ctx, const void *p, size_t len, struct err *err)
{
	struct inner *in = ctx;

	if (len > in->left)
		return err_set(err, -ESTALE, "it has grown meanwhile");
	in->left -= len;
	digest_add(in->digest, p, len);
	return archive_writer_data(in->o->wr, p, len, err);
}

static int write_inner(struct out *o, const struct bundle_fill *fill, bool is_upper, uint64_t size,
		       char sum[DIGEST_HEX_SIZE], struct err *err)
{
	AUTO(bundle_tar_done) struct bundle_tar t = { .is_upper = is_upper, .tick = tick, .ctx = o };
	const struct archive_writer_options options = { .is_inner = true };
	AUTO(digest_free) struct digest *digest = digest_new();
	struct inner in = { o, digest, size };
	const struct archive_sink sink = { inner_write, &in };
	int r = archive_writer_open_sink(&sink, &options, &t.wr, err);

	if (r == 0)
		r = fill->fn(&t, fill->ctx, err);
	if (r == 0)
		r = archive_writer_finish(t.wr, err);
	if (r == 0 && in.left > 0)
		r = err_set(err, -ESTALE, "it has shrunk meanwhile");
	digest_hex(digest, sum);
	return r;
}

/* A tar inside of the archive; the dry run finds its size. */
static int put_tar(struct out *o, const char *name, const struct bundle_fill *fill, bool is_upper, uint64_t *size,
		   struct err *err)
{
	char sum[DIGEST_HEX_SIZE] = NO_SUM;
	int r = o->is_dry ? bundle_tar_size(fill, is_upper, size, err) : 0;

	if (r == 0)
		r = put_header(o, ARCHIVE_KIND_FILE, name, *size, err);
	if (r == 0 && !o->is_dry)
		r = write_inner(o, fill, is_upper, *size, sum, err);
	json_set_str(o->sums, name, sum);
	return r < 0 ? err_wrap(err, r, "%s", name) : 0;
}

static int put_diff(struct out *o, struct err *err)
{
	AUTO(lower_free) struct lower *lower = NULL;
	struct diff_job job = { .o = o };
	const struct bundle_fill fill = { fill_diff, &job };
	int r;

	if (!o->src->upper)
		return 0;
	r = lower_open(o->src->lower, &lower, err);
	if (r < 0)
		return r;
	job.lower = lower;
	return put_tar(o, "rootfs-diff.tar", &fill, /* is_upper= */ true, &o->plan->diff_size, err);
}

static int put_summed(struct out *o, const char *name, const void *p, size_t len, struct err *err)
{
	char sum[DIGEST_HEX_SIZE];

	digest_of(p, len, sum);
	json_set_str(o->sums, name, sum);
	return put_bytes(o, name, p, len, err);
}

/* JSON holds characters only: the few names that are none go into a member of their own. */
static int put_deleted(struct out *o, struct err *err)
{
	AUTO(json_free) struct json *list = json_new_array();
	AUTO(strbuf_done) struct strbuf raw = STRBUF_INIT;
	const struct strbuf *all = &o->plan->deleted;
	autofree char *text = NULL;
	int r = 0;

	for (size_t at = 0; at < all->len; at += strlen(all->s + at) + 1) {
		const char *path = all->s + at;

		if (str_is_utf8(path, strlen(path)))
			json_add_str(list, path);
		else
			strbuf_add(&raw, path, strlen(path) + 1);
	}
	text = json_print(list, JSON_COMPACT);
	if (strlen(text) > BUNDLE_MAX_DELETED || raw.len > BUNDLE_MAX_DELETED)
		return err_set(err, -EFBIG, "too many files of the image were deleted one by one");
	if (json_len(list) > 0)
		r = put_summed(o, "deleted.files", text, strlen(text), err);
	if (r == 0 && raw.len > 0)
		r = put_summed(o, "deleted.files.raw", raw.s, raw.len, err);
	return r;
}

static int put_volume(struct out *o, const char *pair, uint64_t *size, struct err *err)
{
	const char *folder = strchr(pair, '=');
	autofree char *volume = folder ? xstrndup(pair, (size_t)(folder - pair)) : NULL;
	autofree char *name = NULL;
	struct bundle_fill fill = { .fn = fill_volume };

	if (!volume || !path_is_name(volume))
		return err_set(err, -EINVAL, "'%s' is not NAME=FOLDER", pair);
	name = xasprintf("volumes/%s.tar", volume);
	fill.ctx = (void *)(folder + 1);
	return put_tar(o, name, &fill, /* is_upper= */ false, size, err);
}

static int put_volumes(struct out *o, struct err *err)
{
	size_t n = strv_len(o->src->volumes);
	int r = 0;

	if (!o->plan->volume_sizes)
		o->plan->volume_sizes = xcalloc(n + 1, sizeof(*o->plan->volume_sizes));
	if (n > 0)
		r = put_header(o, ARCHIVE_KIND_DIR, "volumes", 0, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = put_volume(o, o->src->volumes[i], &o->plan->volume_sizes[i], err);
	return r;
}

/* checkpointctl wants the entry "checkpoint/" and stats-dump outside of it; the description comes before the bulk. */
static int put_all(struct out *o, struct err *err)
{
	const struct bundle_source *src = o->src;
	int r = put_header(o, ARCHIVE_KIND_DIR, "artifacts", 0, err);

	o->sums = json_new_object();
	if (r == 0)
		r = put_json(o, "config.dump", src->config, err);
	if (r == 0)
		r = put_file(o, "spec.dump", AT_FDCWD, src->spec, err);
	if (r == 0)
		r = put_json(o, "network.status", src->network, err);
	if (r == 0)
		r = put_file(o, "stats-dump", AT_FDCWD, src->stats, err);
	if (r == 0)
		r = put_file(o, "ctr.log", AT_FDCWD, src->log, err);
	if (r == 0)
		r = put_json(o, "stasis.json", src->manifest, err);
	if (r == 0)
		r = put_images(o, err);
	if (r == 0)
		r = put_diff(o, err);
	if (r == 0)
		r = put_deleted(o, err);
	if (r == 0)
		r = put_volumes(o, err);
	if (r == 0)
		r = put_json(o, "stasis.sums", o->sums, err);
	return r == 0 ? archive_writer_finish(o->wr, err) : r;
}

/* A place for bytes: none, or a file. */
struct target {
	int fd; /* negative: none */
	uint64_t bytes;
};

static int target_write(void *ctx, const void *p, size_t len, struct err *err)
{
	struct target *t = ctx;

	t->bytes += len;
	return t->fd < 0 ? 0 : file_write_all(t->fd, p, len, err);
}

static int make_plan(const struct bundle_source *src, struct plan *plan, struct err *err)
{
	AUTO(out_done) struct out o = { .src = src, .plan = plan, .is_dry = true };
	const struct archive_writer_options options = { .packing = ARCHIVE_PACK_NONE };
	struct target nowhere = { .fd = -1 };
	const struct archive_sink sink = { target_write, &nowhere };
	int r = archive_writer_open_sink(&sink, &options, &o.wr, err);

	if (r == 0)
		r = put_all(&o, err);
	plan->total = nowhere.bytes;
	return r;
}

/* What cannot be compressed grows a little: less than 1/1000 with gzip, 1/10000 with zstd. */
int bundle_estimate(const struct bundle_source *src, uint64_t *ret, struct err *err)
{
	AUTO(plan_done) struct plan plan = { .deleted = STRBUF_INIT };
	int r = make_plan(src, &plan, err);

	if (r < 0)
		return err_wrap(err, r, "cannot tell the size of the archive");
	*ret = plan.total + plan.total / 512 + (64 << 10);
	return 0;
}

int bundle_write(int fd, const struct bundle_source *src, bundle_progress progress, void *ctx, uint64_t *ret_bytes,
		 struct err *err)
{
	static const enum archive_packing packings[] = {
		[BUNDLE_ZSTD] = ARCHIVE_PACK_ZSTD,
		[BUNDLE_GZIP] = ARCHIVE_PACK_GZIP,
		[BUNDLE_NONE] = ARCHIVE_PACK_NONE,
	};
	const struct archive_writer_options options = { .packing = packings[src->compression],
							.threads = src->threads };
	AUTO(plan_done) struct plan plan = { .deleted = STRBUF_INIT };
	AUTO(out_done) struct out o = { .src = src, .plan = &plan, .progress = progress, .ctx = ctx };
	struct target file = { .fd = fd };
	const struct archive_sink sink = { target_write, &file };
	int r = make_plan(src, &plan, err);

	o.now = (time_t)(clock_real_us() / US_PER_S);
	o.buf = xmalloc(BUNDLE_COPY_SIZE);
	if (r == 0)
		r = archive_writer_open_sink(&sink, &options, &o.wr, err);
	if (r == 0)
		r = put_all(&o, err);
	if (r < 0)
		return err_wrap(err, r, "cannot write the archive");
	if (progress)
		(void)progress(plan.total, plan.total, ctx);
	*ret_bytes = file.bytes;
	return 0;
}
