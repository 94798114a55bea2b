/* SPDX-License-Identifier: Apache-2.0 */
/* listen.c - the unix socket */
#include "api/listen.h"

#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/auto.h"
#include "base/log.h"
#include "base/mem.h"

#define BACKLOG	  128
#define GROUP_MAX (64 * 1024) /* bytes of a line of /etc/group */

static int make_address(const char *path, struct sockaddr_un *ret, struct err *err)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(ret->sun_path))
		return err_set(err, -ENAMETOOLONG, "the socket's path '%s' is longer than %zu bytes", path,
			       sizeof(ret->sun_path) - 1);
	memcpy(ret->sun_path, path, strlen(path));
	return 0;
}

/* Removes a socket file that a daemon left behind when it died. */
static int remove_stale(const struct sockaddr_un *sun, struct err *err)
{
	autoclose int fd = -1;
	struct stat st;

	if (lstat(sun->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "%s", sun->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, -EEXIST, "%s exists and is not a socket", sun->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, "socket");
	/* EAGAIN: somebody listens who is too busy to accept. */
	if (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0 || errno == EAGAIN)
		return err_set(err, -EADDRINUSE, "another daemon answers on %s", sun->sun_path);
	if (errno != ECONNREFUSED)
		return err_sys(err, "cannot tell whether anybody answers on %s", sun->sun_path);
	if (unlink(sun->sun_path) < 0 && errno != ENOENT)
		return err_sys(err, "cannot remove %s", sun->sun_path);
	return 0;
}

static void give_to_group(const char *path, const char *group)
{
	autofree char *buf = NULL;
	struct group gr, *found = NULL;

	if (!group || !*group)
		return;
	buf = xmalloc(GROUP_MAX);
	if (getgrnam_r(group, &gr, buf, GROUP_MAX, &found) != 0 || !found) {
		log_debug("there is no group '%s': the socket is root's alone", group);
		return;
	}
	if (lchown(path, (uid_t)-1, gr.gr_gid) < 0)
		log_warn("cannot give %s to the group '%s': %s", path, group, strerror(errno));
}

int listen_unix(const char *path, const char *group, struct err *err)
{
	autoclose int fd = -1;
	struct sockaddr_un sun;
	int r;

	r = make_address(path, &sun, err);
	if (r < 0)
		return r;
	r = remove_stale(&sun, err);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, "socket");
	/* The mode a socket file is born with is that of its descriptor: never open to others, not for a moment. */
	if (fchmod(fd, 0660) < 0)
		return err_sys(err, "fchmod");
	if (bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0)
		return err_sys(err, "cannot make the socket %s", path);
	give_to_group(path, group);
	/* The umask had its say at bind(2). */
	if (chmod(path, 0660) < 0)
		return err_sys(err, "chmod %s", path);
	if (listen(fd, BACKLOG) < 0)
		return err_sys(err, "listen on %s", path);
	return TAKE_FD(fd);
}
