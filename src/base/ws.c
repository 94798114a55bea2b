/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws.c - RFC 6455
 *
 * Nothing is read ahead: what poll(2) says about ws_fd() is true. A frame is sent by one sendmsg() under the lock, a
 * pong by whoever reads. Whatever the peer does wrong ends the connection with the status code that the RFC has for it.
 */
#include "base/ws.h"

#include <assert.h>
#include <endian.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/sync.h"

#define MESSAGE_MAX (1 << 20)
#define CONTROL_MAX 125
#define HEAD_MAX    14
#define LINGER_US   (200 * US_PER_MS)

enum opcode { OP_CONTINUE = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
enum status { STATUS_NORMAL = 1000, STATUS_PROTOCOL = 1002, STATUS_NOT_UTF8 = 1007, STATUS_TOO_BIG = 1009 };

#define BIT_FIN	 0x80
#define BIT_RSV	 0x70
#define BIT_MASK 0x80

struct ws {
	int fd;
	bool is_client;
	bool has_received_close; /* the reader's */
	struct mutex lock;	 /* frames go out whole, and none behind a close */
	bool has_sent_close;
};

struct frame {
	enum opcode op;
	bool is_final;
	uint64_t len;
	unsigned char mask[4]; /* zeros when not masked */
};

struct ws *ws_new(int fd, bool is_client)
{
	struct ws *ws = xcalloc(1, sizeof(*ws));

	ws->fd = fd;
	ws->is_client = is_client;
	mutex_init(&ws->lock);
	return ws;
}

int ws_fd(const struct ws *ws)
{
	return ws->fd;
}

void ws_shutdown(struct ws *ws)
{
	(void)shutdown(ws->fd, SHUT_RDWR);
}

static void random_bytes(void *p, size_t n)
{
	ssize_t got = getrandom(p, n, 0); /* up to 256 bytes are given whole */

	assert(got == (ssize_t)n);
	(void)got;
}

static void apply_mask(char *p, size_t n, const unsigned char mask[4])
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)((unsigned char)p[i] ^ mask[i % 4]);
}

/* ---- sending ------------------------------------------------------------------------------------------------------*/

static size_t make_head(unsigned char head[HEAD_MAX], enum opcode op, size_t len, const unsigned char *mask)
{
	size_t n = 2;

	head[0] = BIT_FIN | (unsigned char)op;
	if (len <= 125) {
		head[1] = (unsigned char)len;
	} else if (len <= UINT16_MAX) {
		uint16_t be = htobe16((uint16_t)len);

		head[1] = 126;
		memcpy(head + n, &be, sizeof(be));
		n += sizeof(be);
	} else {
		uint64_t be = htobe64(len);

		head[1] = 127;
		memcpy(head + n, &be, sizeof(be));
		n += sizeof(be);
	}
	if (mask) {
		head[1] |= BIT_MASK;
		memcpy(head + n, mask, 4);
		n += 4;
	}
	return n;
}

static int gone(struct err *err)
{
	return err_set(err, -EPIPE, "the other end of the connection is gone");
}

/* All of both parts; @flags may be MSG_DONTWAIT, then a full socket is -EAGAIN. */
static int send_parts(int fd, struct iovec iov[2], int flags, struct err *err)
{
	while (iov[0].iov_len + iov[1].iov_len > 0) {
		struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
		ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL | flags);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN))
			return gone(err);
		if (n < 0)
			return err_sys(err, "cannot send");
		for (int i = 0; i < 2; i++) {
			size_t k = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;

			iov[i].iov_base = (char *)iov[i].iov_base + k;
			iov[i].iov_len -= k;
			n -= (ssize_t)k;
		}
	}
	return 0;
}

static int send_frame(struct ws *ws, enum opcode op, const void *data, size_t len, int flags, struct err *err)
{
	unsigned char head[HEAD_MAX], mask[4];
	autofree char *masked = NULL;
	struct iovec iov[2];

	if (ws->is_client) {
		random_bytes(mask, sizeof(mask));
		masked = xmemdup(data, len);
		apply_mask(masked, len, mask);
		data = masked;
	}
	iov[0] = (struct iovec){ head, make_head(head, op, len, ws->is_client ? mask : NULL) };
	iov[1] = (struct iovec){ (void *)(uintptr_t)data, len };

	SCOPED_LOCK(&ws->lock);
	if (ws->has_sent_close)
		return gone(err);
	ws->has_sent_close = op == OP_CLOSE;
	return send_parts(ws->fd, iov, flags, err);
}

static int send_close(struct ws *ws, enum status status, int flags)
{
	uint16_t be = htobe16((uint16_t)status);

	return send_frame(ws, OP_CLOSE, &be, sizeof(be), flags, NULL);
}

/* RFC 6455 allows U+0000 in a text; str_is_utf8() does not. */
static bool is_text(const char *s, size_t len)
{
	while (len > 0) {
		size_t n = strnlen(s, len);

		if (!str_is_utf8(s, n))
			return false;
		if (n < len)
			n++;
		s += n;
		len -= n;
	}
	return true;
}

int ws_send(struct ws *ws, enum ws_type type, const void *data, size_t len, struct err *err)
{
	if (type == WS_TEXT && !is_text(data, len))
		return err_set(err, -EINVAL, "a text message must be UTF-8");
	if (type == WS_CLOSE && (len == 1 || len > CONTROL_MAX))
		return err_set(err, -EINVAL, "a close message is a code of two bytes and at most 123 bytes of reason");
	return send_frame(ws, (enum opcode)type, data, len, 0, err);
}

/* ---- receiving ----------------------------------------------------------------------------------------------------*/

static int broken(struct ws *ws, enum status status, struct err *err, const char *what)
{
	(void)send_close(ws, status, MSG_DONTWAIT);
	return err_set(err, status == STATUS_TOO_BIG ? -EMSGSIZE : -EPROTO, "websocket: %s", what);
}

/* @n bytes: 1, or 0 when the peer is gone, however politely. */
static int read_bytes(struct ws *ws, void *buf, size_t n, struct err *err)
{
	char *p = buf;

	while (n > 0) {
		ssize_t k = recv(ws->fd, p, n, MSG_WAITALL);

		if (k < 0 && errno == EINTR)
			continue;
		if (k == 0 || (k < 0 && (errno == ECONNRESET || errno == EPIPE || errno == ENOTCONN)))
			return 0;
		if (k < 0)
			return err_sys(err, "cannot receive");
		p += k;
		n -= (size_t)k;
	}
	return 1;
}

/* The length of 7, 16 or 64 bits, in its shortest form. */
static int read_length(struct ws *ws, unsigned char len7, uint64_t *ret, struct err *err)
{
	uint16_t be16;
	uint64_t be64;
	int r;

	*ret = len7;
	if (len7 == 126) {
		r = read_bytes(ws, &be16, sizeof(be16), err);
		if (r <= 0)
			return r;
		*ret = be16toh(be16);
		if (*ret < 126)
			return broken(ws, STATUS_PROTOCOL, err, "a length is not in its shortest form");
	} else if (len7 == 127) {
		r = read_bytes(ws, &be64, sizeof(be64), err);
		if (r <= 0)
			return r;
		*ret = be64toh(be64);
		if (*ret <= UINT16_MAX || *ret >> 63)
			return broken(ws, STATUS_PROTOCOL, err, "a length is not in its shortest form");
	}
	return 1;
}

static bool is_control(enum opcode op)
{
	return op >= OP_CLOSE;
}

static const char *head_fault(const struct ws *ws, const unsigned char head[2])
{
	enum opcode op = (enum opcode)(head[0] & 15);

	if (head[0] & BIT_RSV)
		return "a reserved bit is set";
	if ((op > OP_BINARY && op < OP_CLOSE) || op > OP_PONG)
		return "an opcode that does not exist";
	if (!(head[1] & BIT_MASK) != ws->is_client)
		return ws->is_client ? "a server must not mask" : "a client must mask";
	if (is_control(op) && (!(head[0] & BIT_FIN) || (head[1] & 0x7f) > CONTROL_MAX))
		return "a control frame is fragmented or too long";
	return NULL;
}

/* The head of the next frame: 1, or 0 when the peer is gone. */
static int read_head(struct ws *ws, struct frame *f, struct err *err)
{
	unsigned char head[2];
	const char *fault;
	int r;

	*f = (struct frame){ 0 };
	r = read_bytes(ws, head, sizeof(head), err);
	if (r <= 0)
		return r;
	fault = head_fault(ws, head);
	if (fault)
		return broken(ws, STATUS_PROTOCOL, err, fault);
	f->op = (enum opcode)(head[0] & 15);
	f->is_final = head[0] & BIT_FIN;
	r = read_length(ws, head[1] & 0x7f, &f->len, err);
	if (r <= 0)
		return r;
	return head[1] & BIT_MASK ? read_bytes(ws, f->mask, sizeof(f->mask), err) : 1;
}

static bool is_close_code(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/* @out gets the reason. */
static int on_close(struct ws *ws, const char *p, size_t len, struct strbuf *out, struct err *err)
{
	ws->has_received_close = true;
	if (len == 1 || (len >= 2 && !is_close_code((unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1])))
		return broken(ws, STATUS_PROTOCOL, err, "a close frame without a valid code");
	if (len > 2 && !is_text(p + 2, len - 2))
		return broken(ws, STATUS_NOT_UTF8, err, "the reason of a close frame is not UTF-8");
	(void)send_frame(ws, OP_CLOSE, p, len < 2 ? 0 : 2, MSG_DONTWAIT, NULL); /* the echo; unless we began */
	strbuf_reset(out);
	if (len > 2)
		strbuf_add(out, p + 2, len - 2);
	return WS_CLOSE;
}

/* 1 to go on, WS_CLOSE, 0 when the peer is gone, or an error. */
static int on_control(struct ws *ws, const struct frame *f, struct strbuf *out, struct err *err)
{
	char p[CONTROL_MAX];
	int r;

	r = read_bytes(ws, p, (size_t)f->len, err);
	if (r <= 0)
		return r;
	apply_mask(p, (size_t)f->len, f->mask);
	if (f->op == OP_CLOSE)
		return on_close(ws, p, (size_t)f->len, out, err);
	/* A pong that cannot be sent is no reason to lose what is still to be read. */
	if (f->op == OP_PING)
		(void)send_frame(ws, OP_PONG, p, (size_t)f->len, 0, NULL);
	return 1;
}

/* Appends a data frame to the message. Memory grows as bytes come, not as they are announced. */
static int on_data(struct ws *ws, const struct frame *f, struct strbuf *out, struct err *err)
{
	uint64_t left = f->len;
	char buf[16384];
	int r;

	if (out->len + f->len > MESSAGE_MAX || f->len > MESSAGE_MAX)
		return broken(ws, STATUS_TOO_BIG, err, "a message of more than 1 MiB");
	while (left > 0) {
		/* A multiple of 4, so that each piece begins at the first byte of the mask. */
		size_t n = left < sizeof(buf) ? (size_t)left : sizeof(buf);

		r = read_bytes(ws, buf, n, err);
		if (r <= 0)
			return r;
		apply_mask(buf, n, f->mask);
		strbuf_add(out, buf, n);
		left -= n;
	}
	return 1;
}

/* Frames until a message is whole: its type, WS_CLOSE, 0 when the peer is gone, or an error. */
static int receive(struct ws *ws, struct strbuf *out, bool *ret_is_inside, struct err *err)
{
	enum opcode message = OP_CONTINUE;
	struct frame f;
	int r;

	for (;;) {
		*ret_is_inside = message != OP_CONTINUE;
		r = read_head(ws, &f, err);
		if (r <= 0)
			return r;
		*ret_is_inside = true;
		if (is_control(f.op)) {
			r = on_control(ws, &f, out, err);
			if (r != 1)
				return r;
			continue;
		}
		if ((f.op == OP_CONTINUE) != (message != OP_CONTINUE))
			return broken(ws, STATUS_PROTOCOL, err, "fragments out of order");
		if (message == OP_CONTINUE)
			message = f.op;
		r = on_data(ws, &f, out, err);
		if (r <= 0)
			return r;
		if (!f.is_final)
			continue;
		if (message == OP_TEXT && !is_text(out->s, out->len))
			return broken(ws, STATUS_NOT_UTF8, err, "a text that is not UTF-8");
		return (int)message;
	}
}

int ws_recv(struct ws *ws, struct strbuf *out, struct err *err)
{
	bool is_inside = false;
	int r;

	strbuf_reset(out);
	if (ws->has_received_close)
		return WS_CLOSE;
	r = receive(ws, out, &is_inside, err);
	if (r == WS_CLOSE || r < 0)
		return r;
	if (r == 0) {
		strbuf_reset(out);
		ws->has_received_close = true;
		return is_inside ? err_set(err, -EPROTO, "the connection ended in the middle of a message") : WS_CLOSE;
	}
	return r;
}

/* ---- the end ------------------------------------------------------------------------------------------------------*/

/*
 * To close a socket with unread bytes resets it, and that may destroy what we sent last on its way. So we say that
 * nothing more comes and read what still does, for a moment.
 */
static void linger(struct ws *ws)
{
	uint64_t end = clock_mono_us() + LINGER_US, now;
	struct pollfd pfd = { .fd = ws->fd, .events = POLLIN };
	char buf[4096];

	if (shutdown(ws->fd, SHUT_WR) < 0)
		return;
	while ((now = clock_mono_us()) < end) {
		if (poll(&pfd, 1, (int)((end - now) / US_PER_MS) + 1) <= 0)
			return;
		if (recv(ws->fd, buf, sizeof(buf), MSG_DONTWAIT) <= 0)
			return;
	}
}

void ws_free(struct ws *ws)
{
	if (!ws)
		return;
	(void)send_close(ws, STATUS_NORMAL, MSG_DONTWAIT); /* does nothing if one was sent */
	if (!ws->has_received_close)
		linger(ws);
	(void)close(ws->fd);
	mutex_done(&ws->lock);
	free(ws);
}

/* ---- the handshake ------------------------------------------------------------------------------------------------*/

static char *base64(const unsigned char *p, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *out = xmalloc((n + 2) / 3 * 4 + 1), *o = out;

	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)p[i] << 16;

		v |= i + 1 < n ? (unsigned)p[i + 1] << 8 : 0;
		v |= i + 2 < n ? (unsigned)p[i + 2] : 0;
		*o++ = digits[v >> 18];
		*o++ = digits[v >> 12 & 63];
		*o++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
		*o++ = i + 2 < n ? digits[v & 63] : '=';
	}
	*o = '\0';
	return out;
}

char *ws_accept_key(const char *key)
{
	autofree char *both = xasprintf("%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	unsigned char sum[20];

	digest_sha1(both, strlen(both), sum);
	return base64(sum, sizeof(sum));
}

char *ws_new_key(void)
{
	unsigned char raw[16];

	random_bytes(raw, sizeof(raw));
	return base64(raw, sizeof(raw));
}
