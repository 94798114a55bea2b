/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* listen.h - the unix socket: made, guarded against a second daemon, given to a group */
#include "base/err.h"

/*
 * listen_unix() - a listening socket at @path
 *
 * A socket file that nobody answers on is replaced; -EADDRINUSE when somebody does, -EEXIST when it is no socket. Mode
 * 0660; @group owns it if there is such a group ("" or NULL: nothing is tried). Returns the descriptor.
 */
int listen_unix(const char *path, const char *group, struct err *err);
