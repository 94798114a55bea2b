/* SPDX-License-Identifier: Apache-2.0 */
/* push.c - an OCI layout of ours goes elsewhere */
#include "image/push.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "image/skopeo.h"

#define MAX_REFERENCE 1024
#define N_BLOBS	      3
#define SKOPEO_TMP    "oci-put-blob" /* what skopeo calls a blob that it has not finished */

enum kind { KIND_REMOTE, KIND_LAYOUT, KIND_ARCHIVE };

static const struct {
	const char *prefix;
	enum kind kind;
} transports[] = {
	{ "containers-storage:", KIND_REMOTE },
	{ "docker://", KIND_REMOTE },
	{ "oci-archive:", KIND_ARCHIVE },
	{ "oci:", KIND_LAYOUT },
};

/* A reference taken apart. A path of a layout or archive cannot hold a colon: that is where skopeo cuts, too. */
struct target {
	enum kind kind;
	const char *prefix;
	char *path; /* of a layout or archive */
	char *tag;  /* with its colon, or "" */
};

static void target_done(struct target *t)
{
	free(t->path);
	free(t->tag);
}
AUTO_DEFINE_IN(struct target, target_done)

static int parse_path(const char *rest, struct target *t, struct err *err)
{
	size_t n = strcspn(rest, ":");

	if (*rest != '/')
		return err_set(err, -EINVAL, "'%.100s' is no absolute path", rest);
	if (rest[n - 1] == '/')
		return err_set(err, -EINVAL, "'%.100s' ends in a slash", rest);
	t->path = xstrndup(rest, n);
	t->tag = xstrdup(rest + strcspn(rest, ":"));
	return 0;
}

static int parse(const char *reference, struct target *t, struct err *err)
{
	if (strlen(reference) > MAX_REFERENCE)
		return err_set(err, -EINVAL, "a reference longer than %d bytes", MAX_REFERENCE);
	for (const unsigned char *c = (const unsigned char *)reference; *c; c++)
		if (*c <= ' ' || *c == 0x7f)
			return err_set(err, -EINVAL, "a reference with blanks or control characters in it");
	for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
		const char *rest = str_after(reference, transports[i].prefix);

		if (!rest || !*rest)
			continue;
		t->kind = transports[i].kind;
		t->prefix = transports[i].prefix;
		return t->kind == KIND_REMOTE ? 0 : parse_path(rest, t, err);
	}
	if (str_after(reference, "docker-archive:") || str_after(reference, "docker-daemon:"))
		return err_set(err, -EINVAL,
			       "docker's own formats lose what makes an image a checkpoint: use "
			       "oci-archive:FILE");
	return err_set(err, -EINVAL,
		       "'%.100s' is no place for an image: docker://HOST/NAME:TAG, oci:FOLDER:TAG, oci-archive:FILE or "
		       "containers-storage:NAME",
		       reference);
}

int push_check(const char *reference, struct err *err)
{
	AUTO(target_done) struct target t = { 0 };

	return parse(reference, &t, err);
}

static int copy(const struct push_request *rq, const char *to, const char *grows, struct err *err)
{
	AUTO(strv_free) char **options = strv_new("--preserve-digests", NULL);
	autofree char *from = xasprintf("oci:%s:" OCI_WRITE_NAME, rq->folder);
	autofree char *say = xasprintf("copy the image to %.150s", rq->reference);
	struct skopeo_copy c = {
		.from = from,
		.to = to,
		.tmp = rq->tmp,
		.grows = grows,
		.what = "upload",
		.say = say,
		.timeout_us = rq->timeout_us,
		.watch = rq->watch,
	};

	if (rq->is_insecure && str_after(to, "docker://"))
		strv_add(&options, "--dest-tls-verify=false");
	if (!str_after(to, "docker://") && !str_after(to, "containers-storage:"))
		strv_add(&options, "--dest-oci-accept-uncompressed-layers");
	c.options = options;
	return skopeo_copy(&c, err);
}

/* ---- a layout that is there already ------------------------------------------------------------------------------ */

static char *blob_path(const char *layout, const struct oci_written *w, size_t i)
{
	const char *const digests[N_BLOBS] = { w->manifest, w->config, w->layer };

	return path_joinf(layout, "blobs/sha256/%s", digests[i]);
}

/* What skopeo was writing when it was killed; somebody else's, that are older, stay. */
static void remove_unfinished(const char *layout, uint64_t since_us)
{
	struct dirent **list = NULL;
	int n = scandir(layout, &list, NULL, NULL);

	for (int i = 0; i < n; i++) {
		autofree char *path = path_join(layout, list[i]->d_name);
		struct stat st;

		if (str_after(list[i]->d_name, SKOPEO_TMP) && lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
		    (uint64_t)st.st_ctim.tv_sec >= since_us / US_PER_S)
			(void)unlink(path);
		free(list[i]);
	}
	free(list);
}

/* Of the blobs only those that are new are ours: to close, or to remove. */
static int add_to_layout(const struct push_request *rq, const struct target *t, struct err *err)
{
	autofree char *index = path_join(t->path, "index.json");
	uint64_t began = clock_real_us();
	bool was_there[N_BLOBS];
	int r;

	if (!path_exists(index))
		return err_set(err, -ENOTEMPTY,
			       "cannot copy the image to '%.200s': there is something of that name, "
			       "and it is no OCI layout",
			       t->path);
	for (size_t i = 0; i < N_BLOBS; i++) {
		autofree char *path = blob_path(t->path, rq->blobs, i);

		was_there[i] = path_exists(path);
	}
	r = copy(rq, rq->reference, NULL, err);
	for (size_t i = 0; i < N_BLOBS; i++) {
		autofree char *path = blob_path(t->path, rq->blobs, i);

		if (was_there[i])
			continue;
		if (r < 0)
			(void)unlink(path);
		else if (chmod(path, 0600) < 0)
			r = err_sys(err, "%s", path);
	}
	if (r < 0)
		remove_unfinished(t->path, began);
	return r;
}

/* ---- a folder or file of its own --------------------------------------------------------------------------------- */

/* A folder beside the target, which only root can look into. */
static int make_stage(const char *path, char **ret, struct err *err)
{
	autofree char *parent = xstrndup(path, (size_t)(path_base(path) - path));
	autofree char *stage = xasprintf("%s.%s.XXXXXX", parent, path_base(path));

	if (!mkdtemp(stage))
		return err_sys(err, "cannot write to '%.200s'", parent);
	*ret = TAKE_PTR(stage);
	return 0;
}

static void stage_remove(char *stage)
{
	if (stage)
		(void)path_remove_all(stage, NULL);
	free(stage);
}
AUTO_DEFINE(char *, stage_remove)

static int sync_all(const char *path, struct err *err)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syncfs(fd) < 0)
		return err_sys(err, "'%s'", path);
	return 0;
}

static int make_new(const struct push_request *rq, const struct target *t, struct err *err)
{
	AUTO(stage_remove) char *stage = NULL;
	autofree char *made = NULL, *to = NULL, *parent = NULL;
	int r = make_stage(t->path, &stage, err);

	if (r < 0)
		return r;
	made = path_join(stage, "image");
	to = xasprintf("%s%s%s", t->prefix, made, t->tag);
	r = copy(rq, to, stage, err);
	if (r == 0)
		r = sync_all(made, err);
	if (r < 0)
		return r;
	if (chmod(made, t->kind == KIND_LAYOUT ? 0700 : 0600) < 0 || rename(made, t->path) < 0)
		return err_sys(err, "'%s'", t->path);
	parent = xstrndup(t->path, (size_t)(path_base(t->path) - t->path));
	return file_sync_dir(parent, err);
}

int push(const struct push_request *rq, struct err *err)
{
	AUTO(target_done) struct target t = { 0 };
	int r = parse(rq->reference, &t, err);

	if (r < 0)
		return r;
	if (t.kind == KIND_REMOTE)
		return copy(rq, rq->reference, NULL, err);
	if (t.kind == KIND_LAYOUT && path_exists(t.path))
		return add_to_layout(rq, &t, err);
	return make_new(rq, &t, err);
}
