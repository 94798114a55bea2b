/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * session.h - the websockets of one operation
 *
 * An operation of class websocket names some websockets ("0", "1", "2", "control") and hands out a secret for each. A
 * client proves by the secret which one it connects; each secret is good for one connection. The session belongs to the
 * operation's thread; connecting threads hold references.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

#define SESSION_MAX_SLOTS  4
#define SESSION_CONNECT_US (10ULL * 1000 * 1000) /* a client has so long to connect them all */

struct json;
struct operation;
struct session;
struct session_slot;
struct sessions; /* all that are open */
struct upgraded;
struct ws;

struct sessions *sessions_new(void);
void sessions_free(struct sessions *all); /* waits for all to end: call sessions_stop() before; NULL is fine */

/* Who waits for a client to connect gives up. */
void sessions_stop(struct sessions *all);

/* @names: NULL-terminated, static strings. A session that never gets a client is fine. */
struct session *session_new(struct sessions *all, const char *const *names);
struct session *session_ref(struct session *s);
void session_unref(struct session *s);
AUTO_DEFINE(struct session *, session_unref)

/* {"0": "<secret>", …}, a new document. */
struct json *session_secrets(const struct session *s);

/* From now on clients find it by the operation's uuid. */
void session_publish(struct session *s, const char *uuid);

/* -ENOENT: no such session; -EPERM: wrong or used secret. *ret holds a reference to the session. */
int sessions_claim(struct sessions *all, const char *uuid, const char *secret, struct session_slot **ret,
		   struct err *err);
/* The claimed connection has come about: takes over @slot and @conn. */
void session_attach(struct session_slot *slot, struct upgraded *conn);
/* It has not. NULL is fine. */
void session_slot_drop(struct session_slot *slot);

/* For the operation's thread: waits until all but "control" are connected. -ETIMEDOUT, -ECANCELED, -ESHUTDOWN. */
int session_wait(struct session *s, const struct operation *op, uint64_t timeout_us, struct err *err);

/* One of its websockets, or NULL if it is not connected (yet); valid until session_end(). */
struct ws *session_ws(struct session *s, const char *name);

/*
 * session_close() - wake whoever reads or writes
 *
 * Who connects from now on is told good bye at once.
 * @is_polite: with a close frame, for which no other thread may be sending any more.
 */
void session_close(struct session *s, bool is_polite);

/* Lets go of the connections; no thread may use them any more. Closes first if need be. To be called before the
 * operation's own reference is dropped. */
void session_end(struct session *s);
