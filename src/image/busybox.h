/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * busybox.h - the built-in image, made from the host's static busybox
 *
 * One layer: bin/busybox, a symlink for each of its applets, etc/passwd, etc/group and the folders a root file system
 * has. The same busybox gives the same fingerprint.
 */
#include "base/err.h"
#include "image/load.h"

#define BUSYBOX_PATH "/bin/busybox"

/* @busybox: the program, BUSYBOX_PATH. *ret_description is a heap string: "busybox 1.35.0 (built in)". -ENOENT names
 * the package when it is missing or not static. */
int busybox_load(const struct load_request *rq, const char *busybox, struct loaded **ret, char **ret_description,
		 struct err *err);
