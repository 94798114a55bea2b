/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * mntns.h - the daemon's private mount namespace
 *
 * Root file systems, network namespaces and the memory file system are mounted where only stasis sees them. The
 * namespace is pinned at RUN_DIR/ns/mnt, so that the next daemon finds the mounts of containers that ran on. Mounts
 * made on the host are seen inside (propagation is "slave"), ours are not seen outside. On a host with hybrid cgroups
 * it also puts cgroup2 at /sys/fs/cgroup, where crun and CRIU look; and everywhere RUN_DIR/crun at /run/crun, so that
 * checkpoints fit elsewhere. To look inside: nsenter --mount=RUN_DIR/ns/mnt
 */
#include "base/err.h"

#define MNTNS_XDG  "/run" /* for XDG_RUNTIME_DIR: crun adds its name */
#define MNTNS_CRUN MNTNS_XDG "/crun"

/* Enters the pinned namespace, or makes and pins one. To be called before there are threads. */
int mntns_enter(const char *run_dir, struct err *err);

/* Lets go of the pin: with the last process in it the namespace and all its mounts disappear. */
int mntns_release(const char *run_dir, struct err *err);
