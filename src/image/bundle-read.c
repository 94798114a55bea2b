/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle-read.c - a checkpoint archive is unpacked, and believed nothing
 *
 * A table says which names there are and what becomes of them. A name is made clean first (no "./", no "//"), and
 * compared as a whole: "checkpoint../x" is not "checkpoint/x". Files are created new, in folders that are ours and held
 * by descriptors, so there is no way for a name to lead anywhere else.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "image/bundle-private.h"
#include "image/tree.h"

#define MAX_DESCRIPTORS (64 << 10)
#define MAX_NAME	255
#define TICK_BYTES	(1 << 20)

enum action { TO_JSON, TO_RAW_NAMES, TO_FILE, TO_FOLDER };

struct reading {
	int dir_fd, images_fd, volumes_fd;
	const struct bundle_limits *limits;
	struct archive_reader *rd;
	bundle_progress progress;
	void *ctx;
	uint64_t total, next_tick; /* bytes of the archive */
	uint64_t seen;		   /* a bit for each row of the table */
	struct json *plain_config; /* config.json: used if there is no spec.dump */
	struct json *deleted;
	struct strbuf raw_deleted;
	struct json *sums; /* stasis.sums */
	bool has_inventory, has_descriptors, has_other_images;
	struct bundle b;
};

static void reading_done(struct reading *rg)
{
	archive_reader_free(rg->rd);
	auto_close(&rg->dir_fd);
	auto_close(&rg->images_fd);
	auto_close(&rg->volumes_fd);
	json_free(rg->plain_config);
	json_free(rg->deleted);
	json_free(rg->sums);
	strbuf_done(&rg->raw_deleted);
	bundle_done(&rg->b);
}
AUTO_DEFINE_IN(struct reading, reading_done)

void bundle_done(struct bundle *b)
{
	json_free(b->config);
	json_free(b->spec);
	json_free(b->manifest);
	json_free(b->network);
	strv_free(b->volumes);
	strv_free(b->deleted);
	*b = (struct bundle){ 0 };
}

struct member {
	const char *name;
	enum action action;
	size_t offset; /* in struct reading: of the document, or of the flag that says it is there; 0: none */
};

#define IN(field) offsetof(struct reading, field)
static const struct member members[] = {
	{ "artifacts", TO_FOLDER, 0 },
	{ "checkpoint", TO_FOLDER, 0 },
	{ "config.dump", TO_JSON, IN(b.config) },
	{ "config.json", TO_JSON, IN(plain_config) },
	{ "ctr.log", TO_FILE, IN(b.has_log) },
	{ "deleted.files", TO_JSON, IN(deleted) },
	{ "deleted.files.raw", TO_RAW_NAMES, IN(raw_deleted) },
	{ "devshm-checkpoint.tar", TO_FILE, IN(b.has_shm) },
	{ "network.status", TO_JSON, IN(b.network) },
	{ "rootfs-diff.tar", TO_FILE, IN(b.has_rootfs) },
	{ "spec.dump", TO_JSON, IN(b.spec) },
	{ "stasis.json", TO_JSON, IN(b.manifest) },
	{ "stasis.sums", TO_JSON, IN(sums) },
	{ "stats-dump", TO_FILE, IN(b.has_stats) },
	{ "volumes", TO_FOLDER, 0 },
};
#undef IN

static const struct member *find_member(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (str_eq(members[i].name, name))
			return &members[i];
	return NULL;
}

static bool is_plain_name(const char *s)
{
	static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

	return *s && *s != '.' && *s != '-' && strlen(s) <= MAX_NAME && s[strspn(s, chars)] == '\0';
}

/* What CRIU reads, and crun's list of the standard descriptors. */
static bool is_image_name(const char *s)
{
	return is_plain_name(s) && (str_ends(s, ".img") || str_eq(s, "descriptors.json") || str_eq(s, "stats-dump"));
}

/* The name as it may be shown to people: it may hold what moves a terminal's cursor. */
struct shown {
	char s[128];
};

static struct shown show(const char *name)
{
	struct shown shown = { "" };

	for (size_t i = 0; name[i] && i < sizeof(shown.s) - 1; i++)
		shown.s[i] = (char)((unsigned char)name[i] < 0x20 || name[i] == 0x7f ? '?' : name[i]);
	return shown;
}

static int tick(struct reading *rg, struct err *err)
{
	uint64_t now = archive_reader_packed_bytes(rg->rd);

	if (!rg->progress || now < rg->next_tick)
		return 0;
	rg->next_tick = now + TICK_BYTES;
	return rg->progress(now, rg->total > now ? rg->total : now, rg->ctx) ? 0
									     : err_set(err, -ECANCELED, "cancelled");
}

static int take_text(struct reading *rg, const struct archive_item *item, size_t max, struct strbuf *ret,
		     struct err *err)
{
	uint64_t offset;
	const void *p;
	size_t len;
	int r;

	if (item->size > max)
		return err_set(err, -E2BIG, "it is larger than %zu bytes", max);
	while ((r = archive_reader_data(rg->rd, &p, &len, &offset, err)) > 0) {
		if (offset != ret->len)
			return err_set(err, -EINVAL, "it has a hole");
		strbuf_add(ret, p, len);
	}
	if (r == 0 && ret->len != item->size)
		return err_set(err, -EINVAL, "it has a hole");
	return r;
}

static int take_json(struct reading *rg, const struct member *m, const struct archive_item *item, struct err *err)
{
	bool is_list = m->offset == offsetof(struct reading, deleted);
	struct json **to = (struct json **)((char *)rg + m->offset);
	AUTO(strbuf_done) struct strbuf text = STRBUF_INIT;
	AUTO(json_free) struct json *j = NULL;
	int r = take_text(rg, item, is_list ? BUNDLE_MAX_DELETED : BUNDLE_MAX_JSON, &text, err);

	if (r == 0)
		r = json_parse(text.s, text.len, &j, err);
	if (r < 0)
		return r;
	if (j && json_type(j) != (is_list ? JSON_ARRAY : JSON_OBJECT))
		return err_set(err, -EINVAL, "it is no JSON %s", is_list ? "array" : "object");
	*to = TAKE_PTR(j);
	return 0;
}

/* At the offsets that the archive says: what lies between is a hole. */
static int write_pieces(struct reading *rg, int fd, struct err *err)
{
	uint64_t offset;
	const void *p;
	size_t len;
	int r;

	while ((r = archive_reader_data(rg->rd, &p, &len, &offset, err)) > 0) {
		r = file_write_at(fd, p, len, offset, err);
		if (r == 0)
			r = tick(rg, err);
		if (r < 0)
			return r;
	}
	return r;
}

static int take_file(struct reading *rg, const struct archive_item *item, int dir_fd, const char *base, struct err *err)
{
	autoclose int fd = -1;
	int r;

	if (item->size > rg->limits->bytes - rg->b.bytes)
		return err_set(err, -E2BIG, "it unpacks to more than %llu bytes",
			       (unsigned long long)rg->limits->bytes);
	rg->b.bytes += item->size;
	fd = openat(dir_fd, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return err_set(err, -EINVAL, "it is there twice");
	if (fd < 0)
		return err_sys(err, "cannot create it");
	r = write_pieces(rg, fd, err);
	if (r == 0 && ftruncate(fd, (off_t)item->size) < 0)
		r = err_sys(err, "cannot make it %llu bytes long", (unsigned long long)item->size);
	return r;
}

/* Opens the folder @base of ours, which is made where missing. */
static int open_sub(const struct reading *rg, const char *base, int *fd, struct err *err)
{
	if (*fd >= 0)
		return 0;
	if (mkdirat(rg->dir_fd, base, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "cannot create the folder");
	*fd = openat(rg->dir_fd, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *fd < 0 ? err_sys(err, "cannot open the folder") : 0;
}

static int take_image(struct reading *rg, const struct archive_item *item, const char *base, struct err *err)
{
	int r = open_sub(rg, "checkpoint", &rg->images_fd, err);

	if (str_eq(base, "inventory.img"))
		rg->has_inventory = true;
	else if (str_eq(base, "descriptors.json"))
		rg->has_descriptors = true;
	else
		rg->has_other_images = true;
	return r < 0 ? r : take_file(rg, item, rg->images_fd, base, err);
}

static int take_volume(struct reading *rg, const struct archive_item *item, const char *base, struct err *err)
{
	int r = open_sub(rg, "volumes", &rg->volumes_fd, err);

	if (r == 0)
		r = take_file(rg, item, rg->volumes_fd, base, err);
	if (r == 0)
		strv_take(&rg->b.volumes, xstrndup(base, strlen(base) - strlen(".tar")));
	return r;
}

static bool is_volume_name(const char *s)
{
	return is_plain_name(s) && str_ends(s, ".tar") && strlen(s) > strlen(".tar");
}

static int take_member(struct reading *rg, const struct member *m, const struct archive_item *item, struct err *err)
{
	uint64_t bit = 1ULL << (m - members);
	int r;

	if (rg->seen & bit)
		return err_set(err, -EINVAL, "it is there twice");
	rg->seen |= bit;
	if ((item->kind == ARCHIVE_KIND_DIR) != (m->action == TO_FOLDER))
		return err_set(err, -EINVAL, "it should be a %s", m->action == TO_FOLDER ? "folder" : "file");
	switch (m->action) {
	case TO_FOLDER:
		return 0;
	case TO_JSON:
		return take_json(rg, m, item, err);
	case TO_RAW_NAMES:
		return take_text(rg, item, BUNDLE_MAX_DELETED, &rg->raw_deleted, err);
	case TO_FILE:
		break;
	}
	r = take_file(rg, item, rg->dir_fd, m->name, err);
	if (r == 0)
		*(bool *)((char *)rg + m->offset) = true;
	return r;
}

static int take(struct reading *rg, const struct archive_item *item, const char *name, struct err *err)
{
	const struct member *m = find_member(name);
	const char *image = str_after(name, "checkpoint/"), *volume = str_after(name, "volumes/");
	bool is_file = item->kind == ARCHIVE_KIND_FILE;

	if (item->kind != ARCHIVE_KIND_FILE && item->kind != ARCHIVE_KIND_DIR)
		return err_set(err, -EINVAL, "it is neither a file nor a folder");
	if (m)
		return take_member(rg, m, item, err);
	if (is_file && image && is_image_name(image))
		return take_image(rg, item, image, err);
	if (is_file && volume && is_volume_name(volume))
		return take_volume(rg, item, volume, err);
	rg->b.n_skipped += *name != '\0';
	return 0;
}

static int read_member(struct reading *rg, const struct archive_item *item, struct err *err)
{
	struct shown shown = show(item->name);
	char name[TREE_NAME_SIZE];
	int r;

	if (item->name[0] == '/')
		return err_set(err, -EINVAL, "'%s' is an absolute name", shown.s);
	if (tree_clean_name(item->name, name, NULL) < 0)
		return err_set(err, -EINVAL, "'%s' is no name for a member: it leads out, or is too long", shown.s);
	r = take(rg, item, name, err);
	return r < 0 ? err_wrap(err, r, "'%s'", shown.s) : 0;
}

static int add_deleted(struct bundle *b, size_t *n, const char *path, struct err *err)
{
	struct shown shown = show(path ? path : "(no text)");
	char name[TREE_NAME_SIZE];

	if (!path || path[0] != '/' || tree_clean_name(path, name, NULL) < 0 || !*name)
		return err_set(err, -EINVAL, "deleted.files: '%s' is no path of a file", shown.s);
	b->deleted[(*n)++] = xasprintf("/%s", name);
	return 0;
}

static int read_deleted(struct reading *rg, struct err *err)
{
	const struct strbuf *raw = &rg->raw_deleted;
	size_t n_listed = json_len(rg->deleted), n_raw = 0, n = 0;
	int r = 0;

	if (raw->len > 0 && raw->s[raw->len - 1] != '\0')
		return err_set(err, -EINVAL, "deleted.files.raw is cut off");
	for (size_t i = 0; i < raw->len; i++)
		n_raw += raw->s[i] == '\0';
	if (n_listed + n_raw == 0)
		return 0;
	rg->b.deleted = xcalloc(n_listed + n_raw + 1, sizeof(char *));
	for (size_t i = 0; r == 0 && i < n_listed; i++)
		r = add_deleted(&rg->b, &n, json_str(json_item(rg->deleted, i)), err);
	for (size_t at = 0; r == 0 && at < raw->len; at += strlen(raw->s + at) + 1)
		r = add_deleted(&rg->b, &n, raw->s + at, err);
	return r;
}

/* crun takes three strings for granted, and so would we. */
static int check_descriptors(const struct reading *rg, const char *dir, struct err *err)
{
	autofree char *path = path_join(dir, "checkpoint/descriptors.json");
	AUTO(json_free) struct json *j = NULL;
	bool is_good;
	int r = json_parse_file(path, MAX_DESCRIPTORS, &j, NULL);

	is_good = r == 0 && json_type(j) == JSON_ARRAY && json_len(j) == 3;
	for (size_t i = 0; is_good && i < 3; i++)
		is_good = json_str(json_item(j, i)) != NULL;
	return is_good ? 0 : err_set(err, -EINVAL, "checkpoint/descriptors.json is not a list of three strings");
}

static int compare_sum(const struct reading *rg, const char *name, const char *sum, struct err *err)
{
	const char *wanted = json_get_str(rg->sums, name);

	if (!wanted)
		return err_set(err, -EUCLEAN, "stasis.sums does not vouch for '%s'", name);
	if (!str_eq(wanted, sum))
		return err_set(err, -EUCLEAN, "'%s' is not what was written (its SHA-256 differs)", name);
	return 0;
}

static int check_file(const struct reading *rg, const char *name, struct err *err)
{
	autoclose int fd = path_open_beneath(rg->dir_fd, name, O_RDONLY, 0, err);
	char sum[DIGEST_HEX_SIZE];
	int r = fd < 0 ? fd : digest_of_fd(fd, sum, NULL, err);

	return r < 0 ? err_wrap(err, r, "%s", name) : compare_sum(rg, name, sum, err);
}

static int check_bytes(const struct reading *rg, const char *name, const void *p, size_t len, struct err *err)
{
	char sum[DIGEST_HEX_SIZE];

	digest_of(p, len, sum);
	return compare_sum(rg, name, sum, err);
}

/* What our manifest does not vouch for, because it was made with the archive. Podman's archives have no such thing. */
static int check_sums(const struct reading *rg, struct err *err)
{
	autofree char *deleted = rg->deleted ? json_print(rg->deleted, JSON_COMPACT) : NULL;
	int r = 0;

	if (!rg->b.manifest)
		return 0;
	if (rg->b.has_rootfs)
		r = check_file(rg, "rootfs-diff.tar", err);
	if (r == 0 && deleted)
		r = check_bytes(rg, "deleted.files", deleted, strlen(deleted), err);
	if (r == 0 && rg->raw_deleted.len > 0)
		r = check_bytes(rg, "deleted.files.raw", rg->raw_deleted.s, rg->raw_deleted.len, err);
	for (size_t i = 0; r == 0 && rg->b.volumes && rg->b.volumes[i]; i++) {
		autofree char *name = xasprintf("volumes/%s.tar", rg->b.volumes[i]);

		r = check_file(rg, name, err);
	}
	return r;
}

static int check_whole(struct reading *rg, const char *dir, struct err *err)
{
	int r;

	if (!rg->b.spec)
		rg->b.spec = TAKE_PTR(rg->plain_config);
	if (!rg->has_inventory && (rg->has_other_images || rg->has_descriptors))
		return err_set(err, -EINVAL, "checkpoint/inventory.img is missing");
	if (!rg->has_inventory && !rg->b.spec && !rg->b.config && !rg->b.manifest)
		return err_set(err, -EINVAL, "not a checkpoint archive: nothing in it is known");
	rg->b.has_images = rg->has_inventory;
	r = check_sums(rg, err);
	if (r < 0)
		return r;
	if (rg->has_inventory && !rg->has_descriptors)
		return err_set(err, -EINVAL, "checkpoint/descriptors.json is missing");
	return rg->has_inventory ? check_descriptors(rg, dir, err) : 0;
}

static int read_all(struct reading *rg, struct err *err)
{
	struct archive_sums sums;
	struct archive_item item;
	int r;

	while ((r = archive_reader_next(rg->rd, &item, err)) > 0) {
		r = read_member(rg, &item, err);
		if (r == 0)
			r = tick(rg, err);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : archive_reader_finish(rg->rd, &sums, err);
}

static uint64_t at_most(uint64_t n, uint64_t max)
{
	return n < max ? n : max;
}

/* Headers and padding are not content: a thousandth, and some blocks a member. */
static struct archive_limits stream_limits(const struct bundle_limits *limits)
{
	struct archive_limits l = ARCHIVE_LIMITS_DEFAULT;
	uint64_t bytes = at_most(limits->bytes, 1ULL << 60);

	l.entries = limits->entries;
	l.bytes = bytes + bytes / 1024 + at_most(limits->entries, 1ULL << 40) * 4096 + (1 << 20);
	return l;
}

int bundle_read(int fd, const char *dir, const struct bundle_limits *limits, bundle_progress progress, void *ctx,
		struct bundle *ret, struct err *err)
{
	AUTO(reading_done)
	struct reading rg = { .images_fd = -1,
			      .volumes_fd = -1,
			      .limits = limits,
			      .progress = progress,
			      .ctx = ctx,
			      .raw_deleted = STRBUF_INIT };
	const struct archive_limits l = stream_limits(limits);
	struct stat st;
	int r;

	rg.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (rg.dir_fd < 0)
		return err_sys(err, "cannot open '%s'", dir);
	rg.total = fstat(fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
	r = archive_reader_open(fd, &l, &rg.rd, err);
	if (r == 0)
		r = read_all(&rg, err);
	if (r == 0)
		r = read_deleted(&rg, err);
	if (r == 0)
		r = check_whole(&rg, dir, err);
	if (r < 0)
		return err_wrap(err, r, "checkpoint archive");
	*ret = rg.b;
	rg.b = (struct bundle){ 0 };
	return 0;
}
