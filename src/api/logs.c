/* SPDX-License-Identifier: Apache-2.0 */
/* logs.c - an instance's log folder: what there is, one file, and a file as it grows */
#include <string.h>
#include <sys/stat.h>

#include "api/handlers.h"
#include "api/streams.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"
#include "engine/instance.h"

#define POLL_MS 50 /* a new line is seen so soon */
#define CHUNK	16384

int get_logs(struct request *rq, struct reply *ret, struct err *err)
{
	AUTO(strv_free) char **files = NULL;
	struct json *urls;
	int r;

	r = instance_log_list(rq->engine, rq->args[0], &files, err);
	if (r < 0)
		return r;
	urls = json_new_array();
	for (char **f = files; f && *f; f++) {
		autofree char *name = uri_encode(*f);
		autofree char *url = xasprintf("/1.0/%s/%s/logs/%s", rq->collection, rq->args[0], name);

		json_add_str(urls, url);
	}
	reply_sync(ret, urls);
	return 0;
}

/* ---- follow ------------------------------------------------------------------------------------------------------ */

struct follow {
	struct engine *engine;
	char *name;
	int fd;
};

static void follow_free(void *arg)
{
	struct follow *f = arg;

	(void)close(f->fd);
	free(f->name);
	free(f);
}

/* Nothing more will be written: it has stopped, or does not exist any more. */
static bool has_stopped(const struct follow *f)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;

	if (instance_info(f->engine, f->name, /* live= */ false, &info, NULL) < 0)
		return true;
	return info->status == INSTANCE_STOPPED || info->status == INSTANCE_ERROR;
}

/* A log that was cut begins again. */
static void rewind_if_cut(const struct follow *f)
{
	struct stat st;
	off_t at = lseek(f->fd, 0, SEEK_CUR);

	if (fstat(f->fd, &st) == 0 && at > st.st_size)
		(void)lseek(f->fd, 0, SEEK_SET);
}

/* Passes on what there is: 0 at the end of the file, or a negative errno. */
static int drain(const struct follow *f, struct stream *s)
{
	char buf[CHUNK];

	while (true) {
		ssize_t n = read(f->fd, buf, sizeof(buf));
		int r;

		if (n <= 0)
			return n < 0 ? -errno : 0;
		r = stream_write(s, buf, (size_t)n);
		if (r < 0)
			return r;
	}
}

static void follow_produce(struct stream *s, void *arg)
{
	struct follow *f = arg;
	bool is_last = false;

	/* One look more after it has stopped: what it wrote last is there by then. */
	while (!is_last) {
		is_last = has_stopped(f);
		rewind_if_cut(f);
		if (drain(f, s) < 0)
			return;
		if (!is_last && stream_is_over(s, POLL_MS))
			return;
	}
}

static int follow(struct request *rq, int fd, struct reply *ret, struct err *err)
{
	struct follow *f = xcalloc(1, sizeof(*f));

	*f = (struct follow){ rq->engine, xstrdup(rq->args[0]), fd };
	return stream_start(rq, follow_produce, follow_free, f, ret, err);
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

int get_log(struct request *rq, struct reply *ret, struct err *err)
{
	/* LXD's clients ask for lxc.log when a start has failed. */
	const char *file = strcmp(rq->args[1], "lxc.log") == 0 ? "stasis.log" : rq->args[1];
	autoclose int fd = -1;
	bool is_followed = false;
	int r;

	r = request_query_bool(rq, "follow", &is_followed, err);
	if (r < 0)
		return r;
	if (!path_is_name(file))
		return err_set(err, -EINVAL, "that is no name of a log file");
	if (is_followed && strcmp(file, "output.log") != 0)
		return err_set(err, -EINVAL, "only output.log can be followed");
	r = instance_log_open(rq->engine, rq->args[0], file, &fd, err);
	if (r < 0)
		return r;
	if (is_followed)
		return follow(rq, TAKE_FD(fd), ret, err);
	return reply_file(ret, TAKE_FD(fd), err);
}
