/* SPDX-License-Identifier: Apache-2.0 */
/* attr-exact.c - all attributes of a file, read and given to another one */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/mem.h"
#include "base/str.h"
#include "image/attr.h"

#define OVERLAY	   "trusted.overlay."
#define ESCAPED	   "trusted.overlay.overlay."
#define CAPABILITY "security.capability"
#define MAX_NAME   256 /* XATTR_NAME_MAX and a NUL */
#define MAX_VALUE  (64 << 10)

/* The kernel takes no O_PATH descriptor where it changes something, but its way through /proc. */
struct proc_path {
	char s[32];
};

static struct proc_path proc_path(int fd)
{
	struct proc_path p;

	(void)snprintf(p.s, sizeof(p.s), "/proc/self/fd/%d", fd);
	return p;
}

void attr_list_done(struct attr_list *a)
{
	free(a->v);
	free(a->names);
	free(a->values);
	*a = (struct attr_list){ 0 };
}

/* What an attribute of an upper folder is called by those who look at the overlay; NULL: it is not for them. */
static const char *shown_name(char *name, bool is_upper)
{
	const char *rest;

	if (!is_upper || !str_after(name, OVERLAY))
		return name;
	rest = str_after(name, ESCAPED);
	if (!rest)
		return NULL;
	memmove(name + strlen(OVERLAY), rest, strlen(rest) + 1);
	return name;
}

/* All values in one piece of memory; until it is complete, the list knows their sizes only. */
static int read_values(const char *path, struct attr_list *a, size_t len, bool is_upper, struct err *err)
{
	AUTO(strbuf_done) struct strbuf values = STRBUF_INIT;
	autofree char *value = xmalloc(MAX_VALUE);
	char *next;

	for (char *name = a->names; name < a->names + len; name = next) {
		struct archive_xattr *x = &a->v[a->n];
		ssize_t n = getxattr(path, name, value, MAX_VALUE);

		next = name + strlen(name) + 1;
		if (n < 0 && errno == ENODATA)
			continue;
		if (n < 0)
			return err_sys(err, "cannot read the attribute %.100s", name);
		x->name = shown_name(name, is_upper);
		if (!x->name)
			continue;
		x->size = (size_t)n;
		strbuf_add(&values, value, x->size);
		a->n++;
	}
	a->values = strbuf_take(&values);
	for (size_t i = 0, at = 0; i < a->n; at += a->v[i++].size)
		a->v[i].value = a->values + at;
	return 0;
}

int attr_read(int path_fd, bool is_upper, struct attr_list *ret, struct err *err)
{
	struct proc_path path = proc_path(path_fd);
	AUTO(attr_list_done) struct attr_list a = { 0 };
	ssize_t n = listxattr(path.s, NULL, 0);
	size_t count = 0;
	int r;

	if (n > 0) {
		a.names = xmalloc((size_t)n + 1);
		n = listxattr(path.s, a.names, (size_t)n);
	}
	if (n < 0 && errno != EOPNOTSUPP)
		return err_sys(err, "cannot read the attributes");
	if (n > 0) {
		for (ssize_t i = 0; i < n; i++)
			count += a.names[i] == '\0';
		a.v = xcalloc(count, sizeof(*a.v));
		r = read_values(path.s, &a, (size_t)n, is_upper, err);
		if (r < 0)
			return r;
	}
	*ret = a;
	a = (struct attr_list){ 0 };
	return 0;
}

static bool can_be_missed(const char *name, int code)
{
	if (str_eq(name, CAPABILITY))
		return false;
	return code == EOPNOTSUPP || str_after(name, "security.");
}

static int restore_xattrs(const char *path, const struct archive_item *item, bool is_upper, uint64_t *n_dropped,
			  struct err *err)
{
	for (size_t i = 0; i < item->n_xattrs; i++) {
		const struct archive_xattr *x = &item->xattrs[i];
		const char *rest = is_upper ? str_after(x->name, OVERLAY) : NULL;
		char name[MAX_NAME];
		int n = snprintf(name, sizeof(name), "%s%s", rest ? ESCAPED : "", rest ? rest : x->name);

		if (n < (int)sizeof(name) && setxattr(path, name, x->value, x->size, 0) == 0)
			continue;
		if (n < (int)sizeof(name) && !can_be_missed(name, errno))
			return err_sys(err, "cannot set the attribute %.100s", name);
		++*n_dropped;
	}
	return 0;
}

/* A folder with a default ACL has given it to what was made in it. */
static void drop_inherited(const char *path)
{
	(void)removexattr(path, "system.posix_acl_access");
	(void)removexattr(path, "system.posix_acl_default");
}

int attr_restore(int path_fd, const struct archive_item *item, bool is_upper, uint64_t *n_dropped, struct err *err)
{
	struct timespec t = attr_time(item->mtime), times[2] = { t, t };
	struct proc_path path = proc_path(path_fd);
	int r;

	/* The order matters: a change of owner takes setuid and capabilities away. */
	if (fchownat(path_fd, "", (uid_t)item->uid, (gid_t)item->gid, AT_EMPTY_PATH) < 0)
		return err_sys(err, "cannot set the owner");
	if (item->kind != ARCHIVE_KIND_SYMLINK) {
		drop_inherited(path.s);
		if (chmod(path.s, item->mode) < 0)
			return err_sys(err, "cannot set the mode");
	}
	r = restore_xattrs(path.s, item, is_upper, n_dropped, err);
	if (r < 0)
		return r;
	return utimensat(AT_FDCWD, path.s, times, 0) < 0 ? err_sys(err, "cannot set the time") : 0;
}
