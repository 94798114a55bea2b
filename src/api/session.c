/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c - the websockets of one operation
 *
 * One mutex, the registry's, guards the list and every session: all there is to guard are a few words each.
 *
 * A session that is over stays in the list for a while: a client that connects its last websocket when a short command
 * has ended already is to get a clean end, not an error.
 */
#include "api/session.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "api/httpd.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sync.h"
#include "base/uuid.h"
#include "base/ws.h"
#include "engine/operation.h"

#define SECRET_LEN 32
#define KEEP_US	   (5 * US_PER_S) /* as long as operation.c keeps an operation */
#define GOODBYE_MS 1000
#define SLICE_US   (100 * US_PER_MS) /* how soon a waiting thread sees a cancellation */

struct session_slot {
	struct session *session;
	const char *name;
	char secret[SECRET_LEN + 1];
	bool is_used;
	struct upgraded *conn;
	struct ws *ws;
};

struct session {
	struct sessions *all;
	struct list link; /* in all->list while it is published, which is one of the references */
	char uuid[UUID_SIZE];
	int n_refs;
	bool is_over;
	uint64_t over_us; /* since when */
	size_t n_slots;
	struct session_slot slots[SESSION_MAX_SLOTS];
};

struct sessions {
	struct mutex mutex;
	struct cond changed; /* a connection, or one session less */
	struct list list;
	int n_sessions;
	bool is_stopping;
};

struct sessions *sessions_new(void)
{
	struct sessions *all = xcalloc(1, sizeof(*all));

	mutex_init(&all->mutex);
	cond_init(&all->changed);
	list_init(&all->list);
	return all;
}

static void unref_locked(struct session *s)
{
	if (--s->n_refs > 0)
		return;
	/* The operation's thread has let go of the connections. */
	for (size_t i = 0; i < s->n_slots; i++)
		assert(!s->slots[i].ws);
	s->all->n_sessions--;
	cond_broadcast(&s->all->changed);
	free(s);
}

static void sweep_locked(struct sessions *all)
{
	uint64_t now = clock_mono_us();

	list_each_safe (node, &all->list) {
		struct session *s = list_of(node, struct session, link);

		if (!s->is_over || (now - s->over_us < KEEP_US && !all->is_stopping))
			continue;
		list_remove(&s->link);
		unref_locked(s);
	}
}

void sessions_free(struct sessions *all)
{
	if (!all)
		return;
	mutex_lock(&all->mutex);
	all->is_stopping = true;
	sweep_locked(all);
	while (all->n_sessions > 0) {
		cond_wait(&all->changed, &all->mutex);
		sweep_locked(all);
	}
	mutex_unlock(&all->mutex);
	cond_done(&all->changed);
	mutex_done(&all->mutex);
	free(all);
}

void sessions_stop(struct sessions *all)
{
	SCOPED_LOCK(&all->mutex);
	all->is_stopping = true;
	cond_broadcast(&all->changed);
}

static void make_secret(char out[SECRET_LEN + 1])
{
	unsigned char raw[SECRET_LEN / 2];

	/* Requests of at most 256 bytes are never cut short, and after boot never fail. */
	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		abort();
	for (size_t i = 0; i < sizeof(raw); i++) {
		out[2 * i] = "0123456789abcdef"[raw[i] >> 4];
		out[2 * i + 1] = "0123456789abcdef"[raw[i] & 15];
	}
	out[SECRET_LEN] = '\0';
}

struct session *session_new(struct sessions *all, const char *const *names)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->all = all;
	s->n_refs = 1;
	list_init(&s->link);
	for (; *names; names++) {
		struct session_slot *slot = &s->slots[s->n_slots++];

		assert(s->n_slots <= SESSION_MAX_SLOTS);
		slot->session = s;
		slot->name = *names;
		make_secret(slot->secret);
	}
	mutex_lock(&all->mutex);
	all->n_sessions++;
	mutex_unlock(&all->mutex);
	return s;
}

struct session *session_ref(struct session *s)
{
	SCOPED_LOCK(&s->all->mutex);
	s->n_refs++;
	return s;
}

void session_unref(struct session *s)
{
	struct sessions *all;

	if (!s)
		return;
	all = s->all;
	mutex_lock(&all->mutex);
	unref_locked(s);
	mutex_unlock(&all->mutex);
}

struct json *session_secrets(const struct session *s)
{
	struct json *j = json_new_object();

	for (size_t i = 0; i < s->n_slots; i++)
		json_set_str(j, s->slots[i].name, s->slots[i].secret);
	return j;
}

void session_publish(struct session *s, const char *uuid)
{
	SCOPED_LOCK(&s->all->mutex);

	sweep_locked(s->all);
	if (s->is_over)
		return;
	s->n_refs++;
	(void)snprintf(s->uuid, sizeof(s->uuid), "%s", uuid);
	list_append(&s->all->list, &s->link);
}

/* Takes the same time for every wrong secret. */
static bool is_same_secret(const char *a, const char *b)
{
	unsigned char diff = 0;

	if (strlen(b) != SECRET_LEN)
		return false;
	for (size_t i = 0; i < SECRET_LEN; i++)
		diff |= (unsigned char)(a[i] ^ b[i]);
	return diff == 0;
}

static struct session *find_locked(struct sessions *all, const char *uuid)
{
	list_each (node, &all->list) {
		struct session *s = list_of(node, struct session, link);

		if (strcmp(s->uuid, uuid) == 0)
			return s;
	}
	return NULL;
}

static struct session_slot *find_slot(struct session *s, const char *secret)
{
	struct session_slot *found = NULL;

	for (size_t i = 0; i < s->n_slots; i++)
		if (is_same_secret(s->slots[i].secret, secret))
			found = &s->slots[i];
	return found;
}

int sessions_claim(struct sessions *all, const char *uuid, const char *secret, struct session_slot **ret,
		   struct err *err)
{
	struct session *s;
	struct session_slot *slot;
	SCOPED_LOCK(&all->mutex);

	s = find_locked(all, uuid);
	if (!s)
		return err_set(err, -ENOENT, "operation %s has no websockets", uuid);
	slot = find_slot(s, secret ? secret : "");
	if (!slot || slot->is_used)
		return err_set(err, -EPERM, "the secret is wrong or has been used");
	slot->is_used = true;
	s->n_refs++;
	*ret = slot;
	return 0;
}

/* True when the session goes on: it owns both then. */
static bool attach(struct session_slot *slot, struct upgraded *conn, struct ws *ws)
{
	SCOPED_LOCK(&slot->session->all->mutex);

	if (slot->session->is_over)
		return false;
	slot->ws = ws;
	slot->conn = conn;
	cond_broadcast(&slot->session->all->changed);
	return true;
}

void session_slot_drop(struct session_slot *slot)
{
	if (slot)
		session_unref(slot->session);
}

void session_attach(struct session_slot *slot, struct upgraded *conn)
{
	/* A websocket closes its descriptor, the library wants to close its own. */
	int fd = fcntl(upgraded_fd(conn), F_DUPFD_CLOEXEC, 0);
	struct ws *ws = fd < 0 ? NULL : ws_new(fd, /* is_client= */ false);

	if (!ws || !attach(slot, conn, ws)) {
		ws_free(ws);
		upgraded_free(conn);
	}
	session_slot_drop(slot);
}

static bool is_connected_locked(const struct session *s)
{
	for (size_t i = 0; i < s->n_slots; i++)
		if (!s->slots[i].ws && strcmp(s->slots[i].name, "control") != 0)
			return false;
	return true;
}

int session_wait(struct session *s, const struct operation *op, uint64_t timeout_us, struct err *err)
{
	uint64_t deadline = clock_mono_us() + timeout_us;

	while (!operation_is_cancelled(op)) {
		SCOPED_LOCK(&s->all->mutex);

		if (is_connected_locked(s))
			return 0;
		if (s->all->is_stopping)
			return err_set(err, -ESHUTDOWN, "the daemon stops");
		if (clock_mono_us() > deadline)
			return err_set(err, -ETIMEDOUT, "the client did not connect its websockets within %d s",
				       (int)(timeout_us / US_PER_S));
		(void)cond_wait_until(&s->all->changed, &s->all->mutex, clock_mono_us() + SLICE_US);
	}
	return err_set(err, -ECANCELED, "cancelled");
}

struct ws *session_ws(struct session *s, const char *name)
{
	SCOPED_LOCK(&s->all->mutex);

	for (size_t i = 0; i < s->n_slots; i++)
		if (strcmp(s->slots[i].name, name) == 0)
			return s->slots[i].ws;
	return NULL;
}

/* A client that does not read must not hold us up: then there is no close frame, and what is under way still arrives.
 */
static void say_goodbye(struct ws *ws)
{
	static const unsigned char normal[2] = { 1000 >> 8, 1000 & 255 };
	struct pollfd p = { .fd = ws_fd(ws), .events = POLLOUT };

	if (poll(&p, 1, GOODBYE_MS) > 0 && (p.revents & POLLOUT))
		(void)ws_send(ws, WS_CLOSE, normal, sizeof(normal), NULL);
}

void session_close(struct session *s, bool is_polite)
{
	mutex_lock(&s->all->mutex);
	s->is_over = true;
	s->over_us = clock_mono_us();
	cond_broadcast(&s->all->changed);
	mutex_unlock(&s->all->mutex);
	/* Nothing attaches any more, and only this thread takes away. */
	for (size_t i = 0; i < s->n_slots; i++) {
		if (!s->slots[i].ws)
			continue;
		if (is_polite)
			say_goodbye(s->slots[i].ws);
		ws_shutdown(s->slots[i].ws);
	}
}

static bool is_over(struct session *s)
{
	SCOPED_LOCK(&s->all->mutex);
	return s->is_over;
}

void session_end(struct session *s)
{
	if (!is_over(s))
		session_close(s, /* is_polite= */ false);
	for (size_t i = 0; i < s->n_slots; i++) {
		ws_free(TAKE_PTR(s->slots[i].ws));
		upgraded_free(TAKE_PTR(s->slots[i].conn));
	}
}
