/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/follow.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/sync.h"

#define CHUNK	  (1 << 20)
#define NAP_US	  US_PER_MS
#define MAX_FILES 65536

struct pages {
	char *name;
	int from_fd, to_fd;
	uint64_t size;
	struct digest *digest;
};

struct follow {
	char *from, *to, *buf;
	struct pages *v;
	size_t n;
	atomic_bool is_complete; /* CRIU has written all */
	bool has_thread;
	pthread_t thread;
	struct json *taken;
	int result;
	struct err err;
};

static bool is_known(const struct follow *f, const char *name)
{
	for (size_t i = f->n; i-- > 0;)
		if (str_eq(f->v[i].name, name))
			return true;
	return false;
}

static int add(struct follow *f, const char *name, struct err *err)
{
	autofree char *from = path_join(f->from, name), *to = path_join(f->to, name);
	autoclose int from_fd = open(from, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	autoclose int to_fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (from_fd < 0 || to_fd < 0)
		return err_sys(err, "'%s'", from_fd < 0 ? from : to);
	f->v = xreallocarray(f->v, f->n + 1, sizeof(*f->v));
	f->v[f->n++] = (struct pages){
		.name = xstrdup(name), .from_fd = TAKE_FD(from_fd), .to_fd = TAKE_FD(to_fd), .digest = digest_new()
	};
	return 0;
}

static int find_new(struct follow *f, struct err *err)
{
	DIR *d = opendir(f->from);
	struct dirent *e;
	int r = 0;

	if (!d)
		return err_sys(err, "'%s'", f->from);
	while (r == 0 && f->n < MAX_FILES && (e = readdir(d)))
		if (str_after(e->d_name, "pages-") && str_ends(e->d_name, ".img") && !is_known(f, e->d_name))
			r = add(f, e->d_name, err);
	(void)closedir(d);
	return r;
}

/* What has been added since the last time: 1 if there was anything. */
static int catch_up(struct follow *f, struct pages *p, struct err *err)
{
	bool has_moved = false;
	ssize_t n;

	while ((n = pread(p->from_fd, f->buf, CHUNK, (off_t)p->size)) > 0) {
		int r;

		digest_add(p->digest, f->buf, (size_t)n);
		r = file_write_all(p->to_fd, f->buf, (size_t)n, err);
		if (r < 0)
			return err_wrap(err, r, "'%s'", p->name);
		/* it is on its way to the disk: give the memory back now, not at the end */
		(void)fallocate(p->from_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)p->size, n);
		p->size += (uint64_t)n;
		has_moved = true;
	}
	return n < 0 ? err_sys(err, "'%s'", p->name) : has_moved;
}

static int pass(struct follow *f, struct err *err)
{
	int r = find_new(f, err), has_moved = 0;

	for (size_t i = 0; r >= 0 && i < f->n; i++) {
		r = catch_up(f, &f->v[i], err);
		has_moved |= r > 0;
	}
	return r < 0 ? r : has_moved;
}

static void *follow_thread(void *arg)
{
	struct follow *f = arg;
	bool is_last;
	int r;

	do {
		is_last = f->is_complete; /* looked at before the pass: that one then sees everything */
		r = pass(f, &f->err);
		if (r == 0 && !is_last)
			clock_sleep_us(NAP_US);
	} while (r >= 0 && !is_last);
	f->result = r < 0 ? r : 0;
	return NULL;
}

int follow_start(const char *from, const char *to, struct follow **ret, struct err *err)
{
	AUTO(follow_free) struct follow *f = xcalloc(1, sizeof(*f));
	int r;

	f->from = xstrdup(from);
	f->to = xstrdup(to);
	f->buf = xmalloc(CHUNK);
	f->taken = json_new_object();
	r = thread_start(&f->thread, "follow", follow_thread, f, err);
	if (r < 0)
		return r;
	f->has_thread = true;
	*ret = TAKE_PTR(f);
	return 0;
}

static void end_thread(struct follow *f)
{
	f->is_complete = true;
	if (f->has_thread)
		(void)pthread_join(f->thread, NULL);
	f->has_thread = false;
}

int follow_finish(struct follow *f, const struct json **ret, struct err *err)
{
	end_thread(f);
	if (f->result < 0) {
		if (err)
			*err = f->err;
		return f->result;
	}
	for (size_t i = 0; i < f->n; i++) {
		struct json *o = json_new_object();
		char hex[DIGEST_HEX_SIZE];

		digest_hex(f->v[i].digest, hex);
		json_set_int(o, "size", (int64_t)f->v[i].size);
		json_set_str(o, "sha256", hex);
		json_set(f->taken, f->v[i].name, o);
	}
	*ret = f->taken;
	return 0;
}

void follow_free(struct follow *f)
{
	if (!f)
		return;
	end_thread(f);
	for (size_t i = 0; i < f->n; i++) {
		(void)close(f->v[i].from_fd);
		(void)close(f->v[i].to_fd);
		digest_free(f->v[i].digest);
		free(f->v[i].name);
	}
	free(f->v);
	free(f->from);
	free(f->to);
	free(f->buf);
	json_free(f->taken);
	free(f);
}
