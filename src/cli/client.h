/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * client.h - the way to the daemon: HTTP over its unix socket (libcurl is included in client.c only)
 *
 * A client belongs to one thread. All calls block. What the daemon refuses comes back as a negative errno (404 -ENOENT,
 * 409 -EBUSY, 400 -EINVAL, 403 -EPERM, 412 -ESTALE, 504 -ETIMEDOUT, 507 -ENOSPC, else -EIO) with the daemon's own
 * words.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct json;
struct ws;

/* No daemon there, no right to talk to it, or it went away; the words say which and what to do. */
#define CLIENT_EUNREACHABLE (-EHOSTDOWN)

struct client;

/* Once, before the first thread. */
void client_global_init(void);

/* Does not connect yet. */
int client_new(const char *socket, struct client **ret, struct err *err);
void client_free(struct client *c);
AUTO_DEFINE(struct client *, client_free)
const char *client_socket(const struct client *c);

/* "/1.0/instances/web/state" from ("instances", "web", "state", NULL), each part escaped; a new string. */
char *client_path(const char *first, ...) __attribute__((sentinel));

/* One request. @body may be NULL. *ret is the whole envelope (a root); `ret` may be NULL. */
int client_call(struct client *c, const char *method, const char *path, const struct json *body, struct json **ret,
		struct err *err);

/* GET, and only the envelope's metadata, still inside of *ret_root. */
int client_get(struct client *c, const char *path, struct json **ret_root, const struct json **ret_metadata,
	       struct err *err);

/* GET of raw bytes as they come. The sink returns 0, or a negative errno to stop (client_read returns it). */
int client_read(struct client *c, const char *path, int (*sink)(void *arg, const char *data, size_t n), void *arg,
		struct err *err);

/* GET of what an operation writes while we read. begin() is told the operation (its path) before the first byte; both
 * call-backs return 0, or a negative errno to stop. A transfer that is cut fails with the operation's own words. */
int client_produce(struct client *c, const char *path, int (*begin)(void *arg, const char *operation),
		   int (*sink)(void *arg, const char *data, size_t n), void *arg, struct err *err);

/* POST of everything that @fd gives. @headers: more header lines, or NULL. sent() (or NULL) is told how many bytes are
 * under way; a negative errno stops. */
int client_upload(struct client *c, const char *path, int fd, char *const *headers, int (*sent)(void *arg, uint64_t n),
		  void *arg, struct json **ret, struct err *err);

/* Waits until the operation (the path an async answer names) has ended. Success: *ret_root holds the answer and
 * *ret_metadata the operation's metadata. A failed operation is -EIO with its words, a cancelled one -ECANCELED. */
int client_wait(struct client *c, const char *operation, struct json **ret_root, const struct json **ret_metadata,
		struct err *err);

/* Upgrades a GET of @path to a websocket. */
int client_websocket(struct client *c, const char *path, struct ws **ret, struct err *err);
