/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * netns.h - named network namespaces
 *
 * An instance's network namespace is pinned by a bind mount, so that it is there before the
 * container that crun puts into it. Loopback is up; MPTCP is off in it, because CRIU cannot dump MPTCP
 * sockets and programs fall back to TCP.
 */
#include <stdbool.h>

#include "base/err.h"

/* Makes one and pins it at @path (whose folder exists). One that exists already is kept: 0. */
int netns_make(const char *path, struct err *err);
/* Unpins; missing is fine. */
int netns_remove(const char *path, struct err *err);
bool netns_exists(const char *path);
