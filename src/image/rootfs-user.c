/* SPDX-License-Identifier: Apache-2.0 */
/* rootfs-user.c - names of users and groups, looked up in the root file system they belong to */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "image/infile.h"
#include "image/rootfs.h"

#define MAX_FILE   (16 << 20)
#define MAX_GROUPS 65536 /* the kernel's NGROUPS_MAX */

void rootfs_user_done(struct rootfs_user *u)
{
	free(u->groups);
	free(u->name);
	free(u->home);
	*u = (struct rootfs_user){ 0 };
}

/* The lines of a file in the root; none if it is missing. */
static int read_lines(int root_fd, const char *path, char ***ret, struct err *err)
{
	autofree char *text = NULL;
	int r;

	*ret = NULL;
	r = infile_read(root_fd, path, MAX_FILE, &text, NULL, err);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return r;
	*ret = strv_split(text, '\n');
	return 0;
}

static bool to_id(const char *s, uint32_t *ret)
{
	int64_t n;

	if (!s || str_to_i64(s, 0, (int64_t)UINT32_MAX - 1, &n, NULL) < 0)
		return false;
	*ret = (uint32_t)n;
	return true;
}

/* A line of etc/passwd: name:password:uid:gid:comment:home:shell. By name, or with @uid by number. */
static bool match_passwd(const char *line, const char *name, const uint32_t *uid, struct rootfs_user *u)
{
	AUTO(strv_free) char **f = strv_split(line, ':');
	uint32_t id, gid;

	if (strv_len(f) < 6 || !to_id(f[2], &id) || !to_id(f[3], &gid))
		return false;
	if (uid ? id != *uid : !str_eq(f[0], name))
		return false;
	u->uid = id;
	u->gid = gid;
	u->name = xstrdup(f[0]);
	u->home = xstrdup(f[5][0] == '/' ? f[5] : "/");
	return true;
}

static bool find_user(char *const *passwd, const char *name, const uint32_t *uid, struct rootfs_user *u)
{
	for (size_t i = 0; passwd && passwd[i]; i++)
		if (match_passwd(passwd[i], name, uid, u))
			return true;
	return false;
}

/* A name first, as Docker does: somebody may be called "1000". */
static int set_user(char *const *passwd, const char *spec, struct rootfs_user *u, struct err *err)
{
	uint32_t uid = 0;

	if (*spec && find_user(passwd, spec, NULL, u))
		return 0;
	if (*spec && !to_id(spec, &uid))
		return err_set(err, -ENOENT, "no user '%.100s' in the image's etc/passwd", spec);
	if (find_user(passwd, NULL, &uid, u))
		return 0;
	u->uid = uid;
	u->gid = 0;
	u->home = xstrdup("/");
	return 0;
}

/* A line of etc/group: name:password:gid:member,member. */
static int set_group(char *const *group, const char *spec, struct rootfs_user *u, struct err *err)
{
	for (size_t i = 0; group && group[i]; i++) {
		AUTO(strv_free) char **f = strv_split(group[i], ':');

		if (strv_len(f) >= 3 && str_eq(f[0], spec) && to_id(f[2], &u->gid))
			return 0;
	}
	if (to_id(spec, &u->gid))
		return 0;
	return err_set(err, -ENOENT, "no group '%.100s' in the image's etc/group", spec);
}

static void add_memberships(char *const *group, struct rootfs_user *u)
{
	for (size_t i = 0; group && group[i] && u->n_groups < MAX_GROUPS; i++) {
		AUTO(strv_free) char **f = strv_split(group[i], ':');
		AUTO(strv_free) char **members = NULL;
		uint32_t gid;

		if (strv_len(f) < 4 || !to_id(f[2], &gid) || gid == u->gid)
			continue;
		members = strv_split(f[3], ',');
		if (!strv_has(members, u->name))
			continue;
		u->groups = xreallocarray(u->groups, u->n_groups + 1, sizeof(*u->groups));
		u->groups[u->n_groups++] = gid;
	}
}

int rootfs_lookup_user(const char *root, const char *spec, struct rootfs_user *ret, struct err *err)
{
	autoclose int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO(rootfs_user_done) struct rootfs_user u = { 0 };
	AUTO(strv_free) char **passwd = NULL;
	AUTO(strv_free) char **group = NULL;
	autofree char *user = xstrdup(spec ? spec : "");
	char *colon = strchr(user, ':');
	int r;

	if (root_fd < 0)
		return err_sys(err, "%.200s", root);
	if (colon)
		*colon = '\0';
	r = read_lines(root_fd, "etc/passwd", &passwd, err);
	if (r == 0)
		r = read_lines(root_fd, "etc/group", &group, err);
	if (r == 0)
		r = set_user(passwd, user, &u, err);
	if (r == 0 && colon && colon[1])
		r = set_group(group, colon + 1, &u, err);
	else if (r == 0 && u.name)
		add_memberships(group, &u);
	if (r < 0)
		return r;
	*ret = u;
	u = (struct rootfs_user){ 0 };
	return 0;
}
