/* SPDX-License-Identifier: Apache-2.0 */
/* rootfs.c - overlays: mounted by fsconfig(2) layer by layer where the kernel can, by mount(2) where not */
#include "image/rootfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"

#define MAX_PARAM 255  /* the longest string that fsconfig(2) takes */
#define MAX_TEXT  4095 /* what mount(2) takes: a page */

static const char *const options[][2] = {
	{ "index", "on" },
	{ "nfs_export", "on" },
	{ "metacopy", "off" },
	{ "redirect_dir", "off" },
};

/* "lowerdir+" came with 6.8; before, a wrong parameter is found out too late to tell. */
static bool has_lowerdir_plus(void)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return false;
	return major > 6 || (major == 6 && minor >= 8);
}

/* What the kernel says besides errno: lines "e overlay: …" to be read from the context. */
static int context_error(int fs, const char *what, struct err *err)
{
	int code = errno;
	char text[300];
	ssize_t n = read(fs, text, sizeof(text) - 1);

	if (n <= 0) {
		errno = code;
		return err_sys(err, "%.200s", what);
	}
	text[n] = '\0';
	str_rtrim(text);
	return err_set(err, -code, "%.150s: %s (%s)", what, strerror(code), text + strspn(text, "ewi "));
}

/* A path that is too long for a parameter, or in which the kernel would see an escape, goes as a descriptor's name; it
 * is looked up at once. */
static int set_path(int fs, const char *key, const char *path, struct err *err)
{
	autoclose int fd = -1;
	char link[40];

	if (strlen(path) > MAX_PARAM || strchr(path, '\\')) {
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(err, "%.200s", path);
		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	}
	if (fsconfig(fs, FSCONFIG_SET_STRING, key, fd >= 0 ? link : path, 0) < 0)
		return context_error(fs, path, err);
	return 0;
}

static int set_all(int fs, char *const *lower, const char *upper, const char *work, struct err *err)
{
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (fsconfig(fs, FSCONFIG_SET_STRING, options[i][0], options[i][1], 0) < 0)
			return context_error(fs, options[i][0], err);
	for (size_t i = strv_len(lower); i > 0; i--) { /* the kernel wants the highest first */
		r = set_path(fs, "lowerdir+", lower[i - 1], err);
		if (r < 0)
			return r;
	}
	r = set_path(fs, "upperdir", upper, err);
	return r < 0 ? r : set_path(fs, "workdir", work, err);
}

static int mount_by_context(char *const *lower, const char *upper, const char *work, const char *target,
			    struct err *err)
{
	autoclose int fs = fsopen("overlay", FSOPEN_CLOEXEC), mnt = -1;
	int r;

	if (fs < 0)
		return err_sys(err, "overlay file system");
	r = set_all(fs, lower, upper, work, err);
	if (r < 0)
		return r;
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", "overlay", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return context_error(fs, "overlay", err);
	mnt = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (mnt < 0)
		return context_error(fs, "overlay", err);
	if (move_mount(mnt, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "%.200s", target);
	return 0;
}

/* What separates options and layers is escaped in paths. */
static void add_escaped(struct strbuf *sb, const char *path, const char *special)
{
	for (; *path; path++) {
		if (strchr(special, *path))
			strbuf_addc(sb, '\\');
		strbuf_addc(sb, *path);
	}
}

static int mount_by_text(char *const *lower, const char *upper, const char *work, const char *target, struct err *err)
{
	AUTO(strbuf_done) struct strbuf text = STRBUF_INIT;
	size_t n = strv_len(lower);

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		strbuf_addf(&text, "%s=%s,", options[i][0], options[i][1]);
	strbuf_adds(&text, "upperdir=");
	add_escaped(&text, upper, "\\,");
	strbuf_adds(&text, ",workdir=");
	add_escaped(&text, work, "\\,");
	strbuf_adds(&text, ",lowerdir=");
	for (size_t i = n; i > 0; i--) {
		add_escaped(&text, lower[i - 1], "\\,:");
		if (i > 1)
			strbuf_addc(&text, ':');
	}
	if (text.len > MAX_TEXT)
		return err_set(err, -E2BIG,
			       "the image's %zu layers do not fit into one mount: this kernel takes %d bytes of their "
			       "paths and they need %zu (6.8 and newer have no such limit; a shorter state_dir helps)",
			       n, MAX_TEXT, text.len);
	if (mount("overlay", target, "overlay", 0, text.s) < 0)
		return err_sys(err, "overlay");
	return 0;
}

static int make_folders(const char *upper, const char *work, const char *target, struct err *err)
{
	int r = path_mkdirs(target, 0755, err);

	if (r == 0)
		r = path_mkdirs(work, 0700, err);
	if (r < 0)
		return r;
	/* Not path_mkdirs(): what is above it is no root folder. */
	if (mkdir(upper, 0555) < 0)
		return errno == EEXIST ? 0 : err_sys(err, "%.200s", upper);
	return chmod(upper, 0555) < 0 ? err_sys(err, "%.200s", upper) : 0;
}

int rootfs_mount_by(bool by_text, char *const *lower, const char *upper, const char *work, const char *target,
		    struct err *err)
{
	int r;

	if (strv_len(lower) == 0)
		return err_set(err, -EINVAL, "a root file system without layers");
	r = make_folders(upper, work, target, err);
	if (r == 0)
		r = rootfs_is_mounted(target, err);
	if (r == 1)
		r = err_set(err, -EBUSY, "something is mounted there already");
	if (r == 0)
		r = (by_text ? mount_by_text : mount_by_context)(lower, upper, work, target, err);
	if (r == -ESTALE)
		return err_set(err, r, "cannot mount %.200s: its upper folder was made over other layers", target);
	return r < 0 ? err_wrap(err, r, "cannot mount the root file system at %.150s", target) : 0;
}

int rootfs_mount(char *const *lower, const char *upper, const char *work, const char *target, struct err *err)
{
	return rootfs_mount_by(!has_lowerdir_plus(), lower, upper, work, target, err);
}

int rootfs_unmount(const char *target, bool is_lazy, struct err *err)
{
	if (umount2(target, UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno == EINVAL || errno == ENOENT) /* no mount point, or no such path */
		return 0;
	if (errno == EBUSY && is_lazy && umount2(target, UMOUNT_NOFOLLOW | MNT_DETACH) == 0)
		return 0;
	return err_sys(err, "cannot unmount %.200s", target);
}

int rootfs_is_mounted(const char *target, struct err *err)
{
	struct statx sx;

	if (statx(AT_FDCWD, target, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &sx) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(err, "%.200s", target);
	return (sx.stx_attributes & sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0;
}
