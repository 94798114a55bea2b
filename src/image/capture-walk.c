/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture-walk.c - one pass over a tree, after which the copy is what the original is
 *
 * The first pass finds nothing copied. The second, over the same nodes, compares: an entry is as it was when it has the
 * same inode, size, mtime and ctime; the kernel sets ctime whenever anything of an inode changes, its attributes and
 * names among it, and nobody else can set it. What was noted is how the original was *before* it was copied, so that a
 * change in between is a difference. What changed so recently that a second change could carry the same time (a clock
 * tick) counts as changed. A folder that is as it was has the names it had, and is not listed again.
 *
 * A changed file becomes a new inode in the copy: other names of the old one, of which we do not know yet whether they
 * still belong to it, are not touched. Names of one inode are brought together as they are met.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"
#include "image/capture-private.h"

#define IN_TARGET 0x01u /* something of this name is in the target, of the type state.mode */
#define KNOWN	  0x02u /* it is a copy of what the state says */
#define CLONED	  0x04u /* made by sharing extents */
#define LISTED	  0x08u /* a folder whose children are all names it had */

#define NS_PER_S    1000000000LL
#define RACY_NS	    (20 * 1000000LL) /* two ticks of the slowest clock */
#define MAX_NODES   (8U << 20)	     /* remembered: what is beyond is copied in the last pass */
#define CHECK_EVERY 64

void capture_node_done(struct capture_node *node)
{
	for (size_t i = 0; i < node->n_children; i++)
		capture_node_done(&node->children[i]);
	free(node->children);
	free(node->name);
	*node = (struct capture_node){ 0 };
}

static int64_t ns_of(const struct statx_timestamp *t)
{
	return (int64_t)((uint64_t)t->tv_sec * NS_PER_S + t->tv_nsec);
}

/* The kernel's clock for time stamps. */
static int64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static bool is_same(const struct capture_node *node, const struct statx *sx)
{
	const struct capture_state *s = &node->state;

	return (s->flags & KNOWN) && s->ino == sx->stx_ino && s->ctime == ns_of(&sx->stx_ctime) &&
	       s->mtime == ns_of(&sx->stx_mtime) && s->size == sx->stx_size && s->mode == sx->stx_mode;
}

/* @before: the clock from before @sx was read. */
static void note(const struct capture_pass *p, struct capture_node *node, const struct statx *sx, int64_t before,
		 uint32_t flags)
{
	bool is_racy = p->is_live && ns_of(&sx->stx_ctime) >= before - RACY_NS;

	node->state = (struct capture_state){
		.ino = sx->stx_ino,
		.size = sx->stx_size,
		.mtime = ns_of(&sx->stx_mtime),
		.ctime = ns_of(&sx->stx_ctime),
		.mode = sx->stx_mode,
		.flags = flags | IN_TARGET | (is_racy ? 0 : KNOWN),
	};
}

/* A folder of the copy. Most need not be opened in the last pass. */
struct target {
	struct target *above; /* NULL: the root, which is open */
	const char *name;
	int fd;		 /* -1: not opened yet */
	bool is_touched; /* written to: its times are no longer the original's */
};

static void target_done(struct target *t)
{
	if (t->above && t->fd >= 0)
		(void)close(t->fd);
}
AUTO_DEFINE_IN(struct target, target_done)

static int target_fd(struct target *t, struct err *err)
{
	int above;

	if (t->fd >= 0)
		return t->fd;
	assert(t->above);
	above = target_fd(t->above, err);
	if (above < 0)
		return above;
	t->fd = capture_open_folder(above, t->name);
	return t->fd < 0 ? err_set(err, t->fd, "the copy: %s", strerror(-t->fd)) : t->fd;
}

/* The same for who is going to write to it. */
static int target_touch(struct target *t, struct err *err)
{
	t->is_touched = true;
	return target_fd(t, err);
}

/* ---- the two trees ---------------------------------------------------------------------------------------------- */

static int remove_copy(struct target *t, struct capture_node *node, struct err *err)
{
	bool is_there = node->state.flags & IN_TARGET;
	char *name = node->name;
	int to, r;

	node->name = NULL;
	capture_node_done(node);
	node->name = name;
	if (!is_there)
		return 0;
	to = target_touch(t, err);
	if (to < 0)
		return to;
	r = path_remove_all_at(to, name, err);
	return r < 0 ? err_wrap(err, r, "cannot remove the old copy") : 0;
}

/* Reading failed with @code: the container's doing in a live tree (0: left for later), else an error. */
static int not_now(const struct capture_pass *p, int code, struct err *err)
{
	bool is_fleeting = code == -ENOENT || code == -ENOTDIR || code == -ELOOP || code == -EAGAIN || code == -ESTALE;

	if (p->is_live && is_fleeting)
		return 0;
	if (code == -EAGAIN)
		return err_set(err, -EBUSY, "a lease (fcntl F_SETLEASE) keeps it from being read");
	return err_set(err, code, "%s", strerror(-code));
}

static void count(struct capture_pass *p, const struct statx *sx, bool is_early, bool is_clone)
{
	uint64_t on_disk = sx->stx_blocks * 512, bytes = on_disk < sx->stx_size ? on_disk : sx->stx_size;

	if (!S_ISREG(sx->stx_mode)) {
		p->stats.others++;
		return;
	}
	p->stats.files++;
	p->stats.bytes += bytes;
	*(is_clone ? &p->stats.cloned_bytes : is_early ? &p->stats.early_bytes : &p->stats.late_bytes) += bytes;
}

/* Another name of what has been counted. */
static void count_name(struct capture_pass *p, const struct statx *sx)
{
	*(S_ISREG(sx->stx_mode) ? &p->stats.files : &p->stats.others) += 1;
}

/* An entry that is as it was: is its copy still right? Of several names each must lead to the same copy. */
static bool keep(struct capture_pass *p, struct capture_node *node, const struct statx *sx)
{
	const struct capture_link *l = NULL;

	if (sx->stx_nlink > 1) {
		l = capture_links_find(&p->links, capture_dev(sx), sx->stx_ino);
		if (l && (!l->path || l->state.to_ino != node->state.to_ino))
			return false;
		if (!l)
			capture_links_put(&p->links, capture_dev(sx), sx->stx_ino, p->path->s, &node->state);
	}
	if (l)
		count_name(p, sx);
	else
		count(p, sx, /* is_early= */ true, node->state.flags & CLONED);
	return true;
}

/* The copy's number, by which keep() tells whether two names have the same copy. */
static int note_link(struct capture_pass *p, struct capture_node *node, const struct statx *sx, int to, struct err *err)
{
	struct statx copy;
	int r;

	if (sx->stx_nlink < 2)
		return 0;
	r = capture_stat(to, node->name, &copy);
	if (r < 0)
		return err_set(err, r, "the copy: %s", strerror(-r));
	node->state.to_ino = copy.stx_ino;
	capture_links_put(&p->links, capture_dev(sx), sx->stx_ino, p->path->s, &node->state);
	return 0;
}

/* A file, link, device, pipe or socket that @fd pins: made anew, or as one more name of its copy. */
static int replace(struct capture_pass *p, int fd, const struct statx *sx, int64_t before, struct target *t,
		   struct capture_node *node, struct err *err)
{
	const struct capture_link *l = NULL;
	int r, to;

	r = remove_copy(t, node, err);
	if (r < 0)
		return r;
	if (p->is_live && p->is_timeless && S_ISREG(sx->stx_mode))
		return 0;
	to = target_touch(t, err);
	if (to < 0)
		return to;
	if (sx->stx_nlink > 1)
		l = capture_links_find(&p->links, capture_dev(sx), sx->stx_ino);
	if (l && l->path) {
		if (linkat(p->to_fd, l->path, to, node->name, 0) < 0)
			return err_sys(err, "cannot link it to its other name");
		node->state = l->state; /* the copy was made from what the inode was then */
		count_name(p, sx);
		return 0;
	}
	r = capture_make(&p->io, fd, sx, to, node->name, err);
	if (r == -EAGAIN)
		return not_now(p, r, err);
	if (r < 0)
		return r;
	note(p, node, sx, before, r ? CLONED : 0);
	count(p, sx, p->is_live, r == 1);
	return note_link(p, node, sx, to, err);
}

/* ---- folders ---------------------------------------------------------------------------------------------------- */

/* The folder's children become those of @names; what is known of those that were there stays. */
static int merge_names(struct capture_pass *p, struct target *t, struct capture_node *dir, char **names, size_t n,
		       struct err *err)
{
	struct capture_node *old = dir->children, *children = n ? xcalloc(n, sizeof(*children)) : NULL;
	size_t n_old = dir->n_children, o = 0;
	int r = 0;

	for (size_t i = 0; i <= n; i++) {
		for (; o < n_old && (i == n || strcmp(old[o].name, names[i]) < 0); o++) {
			if (r == 0)
				r = remove_copy(t, &old[o], err);
			capture_node_done(&old[o]);
		}
		if (i == n)
			break;
		if (o < n_old && strcmp(old[o].name, names[i]) == 0) {
			children[i] = old[o++];
			continue;
		}
		children[i].name = names[i];
		names[i] = NULL;
		p->n_nodes++;
	}
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
	free(old);
	dir->children = children;
	dir->n_children = n;
	return r;
}

static int list_folder(struct capture_pass *p, int from, struct target *t, struct capture_node *dir, struct err *err)
{
	char **names = NULL;
	size_t n = 0;
	int r = capture_list(from, &names, &n, err);

	return r < 0 ? r : merge_names(p, t, dir, names, n, err);
}

static int walk_folder(struct capture_pass *p, int from, const struct statx *sx, int64_t before, struct target *t,
		       struct capture_node *dir, int depth, struct err *err);

/* Makes the copy's folder for a child that is one in the source, unless it is there. */
static int make_folder(struct target *t, struct capture_node *node, struct err *err)
{
	int r, to;

	if ((node->state.flags & IN_TARGET) && S_ISDIR(node->state.mode))
		return 0;
	r = remove_copy(t, node, err);
	if (r < 0)
		return r;
	to = target_touch(t, err);
	if (to < 0)
		return to;
	if (mkdirat(to, node->name, 0700) < 0)
		return err_sys(err, "cannot create it");
	node->state = (struct capture_state){ .mode = S_IFDIR, .flags = IN_TARGET };
	return 0;
}

/* A child that @in has open and that is a folder. */
static int child_folder(struct capture_pass *p, int in, struct target *t, struct capture_node *node, int64_t before,
			int depth, struct err *err)
{
	AUTO(target_done) struct target sub = { .above = t, .name = node->name, .fd = -1 };
	struct statx sx;
	int r;

	if (depth > CAPTURE_MAX_DEPTH)
		return err_set(err, -ELOOP, "more than %d folders in one another", CAPTURE_MAX_DEPTH);
	if (p->is_live && p->n_nodes > MAX_NODES)
		return 0;
	r = capture_stat(in, "", &sx);
	if (r < 0)
		return not_now(p, r, err);
	if (sx.stx_attributes & sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
		return err_set(err, -EBUSY, "something is mounted there");
	r = make_folder(t, node, err);
	if (r == 0)
		r = walk_folder(p, in, &sx, before, &sub, node, depth, err);
	if (r == 0 && p->is_last && p->n_nodes > MAX_NODES) {
		for (size_t i = 0; i < node->n_children; i++)
			capture_node_done(&node->children[i]);
		free(TAKE_PTR(node->children));
		node->n_children = 0;
	}
	return r;
}

/* One name of a folder. */
static int child(struct capture_pass *p, int from, struct target *t, struct capture_node *node, int depth,
		 struct err *err)
{
	bool is_there = node->state.flags & IN_TARGET, was_folder = is_there && S_ISDIR(node->state.mode);
	autoclose int fd = -1, in = -1;
	int64_t before = now_ns();
	struct statx sx;

	if (was_folder)
		in = capture_open_folder(from, node->name);
	if (in >= 0)
		return child_folder(p, in, t, node, before, depth, err);
	if (is_there && !was_folder && capture_stat(from, node->name, &sx) == 0 && is_same(node, &sx) &&
	    keep(p, node, &sx))
		return 0;
	before = now_ns();
	fd = capture_pin(from, node->name, &sx);
	if (fd < 0)
		return not_now(p, fd, err);
	if (S_ISDIR(sx.stx_mode)) {
		in = capture_open_folder(fd, ".");
		return in < 0 ? not_now(p, in, err) : child_folder(p, in, t, node, before, depth, err);
	}
	if (sx.stx_attributes & sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
		return err_set(err, -EBUSY, "something is mounted there");
	return replace(p, fd, &sx, before, t, node, err);
}

static int children(struct capture_pass *p, int from, struct target *t, struct capture_node *dir, int depth,
		    struct err *err)
{
	size_t len = p->path->len;
	int r = 0;

	for (size_t i = 0; r == 0 && i < dir->n_children; i++) {
		if (i % CHECK_EVERY == 0)
			r = capture_io_check(&p->io, err);
		if (r < 0)
			break;
		if (len > 0)
			strbuf_addc(p->path, '/');
		strbuf_adds(p->path, dir->children[i].name);
		r = child(p, from, t, &dir->children[i], depth, err);
		if (r == 0)
			strbuf_truncate(p->path, len); /* of a failure it is needed */
	}
	return r;
}

static int walk_folder(struct capture_pass *p, int from, const struct statx *sx, int64_t before, struct target *t,
		       struct capture_node *dir, int depth, struct err *err)
{
	bool is_as_it_was = is_same(dir, sx);
	int r = 0, to;

	if (!is_as_it_was || !(dir->state.flags & LISTED))
		r = list_folder(p, from, t, dir, err);
	if (r == 0)
		r = children(p, from, t, dir, depth + 1, err);
	if (r < 0)
		return r;
	p->stats.folders++;
	if (is_as_it_was && !t->is_touched)
		return 0;
	to = target_fd(t, err);
	r = to < 0 ? to : capture_finish_folder(&p->io, from, sx, to, err);
	note(p, dir, sx, before, LISTED);
	return r;
}

int capture_walk(struct capture_pass *p, int from, int to, struct capture_node *root, struct err *err)
{
	AUTO(strbuf_done) struct strbuf path = STRBUF_INIT;
	struct target target = { .fd = to };
	int64_t before = now_ns();
	struct statx sx;
	int r;

	p->path = &path;
	p->to_fd = to;
	p->io.is_live = p->is_live;
	p->stats = (struct capture_stats){ 0 };
	r = capture_stat(from, "", &sx);
	if (r < 0)
		return err_set(err, r, "%s", strerror(-r));
	r = walk_folder(p, from, &sx, before, &target, root, 0, err);
	p->path = NULL;
	return r < 0 ? err_wrap(err, r, "'%.200s'", path.len ? path.s : ".") : 0;
}

/* ---- what must be copied again ---------------------------------------------------------------------------------- */

static int by_name(const void *key, const void *node)
{
	return strcmp(key, ((const struct capture_node *)node)->name);
}

void capture_node_forget(struct capture_node *root, struct capture_links *links, uint64_t dev, const char *path)
{
	AUTO(strv_free) char **parts = strv_split(path, '/');
	struct capture_node *node = root;

	for (size_t i = 0; parts[i]; i++) {
		if (!*parts[i] || strcmp(parts[i], ".") == 0)
			continue;
		node = node->n_children ? bsearch(parts[i], node->children, node->n_children, sizeof(*node), by_name)
					: NULL;
		if (!node)
			return;
	}
	if (S_ISDIR(node->state.mode))
		return;
	node->state.flags &= ~KNOWN;
	if (node->state.to_ino)
		capture_links_put(links, dev, node->state.ino, NULL, &node->state);
}
