/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * rootfs.h - an instance's root file system: an overlay of an image's layers and its own upper folder
 *
 * Mounted with nfs_export=on,index=on, because only then an overlay gives file handles, and without these CRIU cannot
 * dump inotify (measured). metacopy and redirect_dir are off: an upper then holds whole files, and copying it is
 * copying what the instance has changed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

/*
 * rootfs_mount() - mount at @target
 *
 * @lower: folders, lowest first; the same folder twice is refused by the kernel. @upper (0555: a container's "/" has
 * its mode), @work and @target are made where missing; @work must be on @upper's file system, and nobody else may be
 * using either (-EBUSY). -E2BIG where the kernel (before 6.8) takes all layers as one page of text and they do not fit.
 */
int rootfs_mount(char *const *lower, const char *upper, const char *work, const char *target, struct err *err);

/* As rootfs_mount(), the old way or the new, whatever the kernel's version; for tests. */
int rootfs_mount_by(bool by_text, char *const *lower, const char *upper, const char *work, const char *target,
		    struct err *err);

/* Unmounts; what is not mounted is fine. Still in use: -EBUSY, or with @is_lazy out of sight now and gone when its last
 * user is. */
int rootfs_unmount(const char *target, bool is_lazy, struct err *err);

/* 1 if something is mounted there, 0 if not (or there is no such path). */
int rootfs_is_mounted(const char *target, struct err *err);

/* Who a container's process runs as. */
struct rootfs_user {
	uint32_t uid, gid;
	uint32_t *groups; /* supplementary */
	size_t n_groups;
	char *name, *home; /* name: NULL if the number has none; home: "/" if nobody says */
};
void rootfs_user_done(struct rootfs_user *u);
AUTO_DEFINE_IN(struct rootfs_user, rootfs_user_done)

/* @spec: "name", "name:group", "uid", "uid:gid" or a mixture; NULL or "" is root. Looked up in etc/passwd and etc/group
 * below @root, which are untrusted; a number need not be in them. -ENOENT names what is not found. */
int rootfs_lookup_user(const char *root, const char *spec, struct rootfs_user *ret, struct err *err);
