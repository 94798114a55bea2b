/* SPDX-License-Identifier: Apache-2.0 */
/* One end is ours, the other is a bare socket whose frames are written by hand, or the other kind of ours. */
#include "base/ws.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "test.h"

#define MIB (1 << 20)

struct pair {
	struct ws *ws; /* ours */
	int raw;       /* the peer */
};

static struct pair pair_new(bool is_client)
{
	struct timeval limit = { .tv_sec = 10 }; /* a test that hangs is to fail */
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fds[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return (struct pair){ ws_new(fds[0], is_client), fds[1] };
}

static void pair_done(struct pair *p)
{
	close(p->raw);
	ws_free(p->ws);
}
AUTO_DEFINE_IN(struct pair, pair_done)

/* A frame as a peer may write it: first byte, announced length, payload of @n bytes; masked unless @mask is NULL. */
static void put_frame(int fd, unsigned char first, uint64_t len, const void *data, size_t n, const char *mask)
{
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;
	unsigned char bit = mask ? 0x80 : 0;

	strbuf_addc(&sb, (char)first);
	if (len <= 125) {
		strbuf_addc(&sb, (char)(bit | len));
	} else if (len <= 0xffff) {
		strbuf_addc(&sb, (char)(bit | 126));
		for (int i = 8; i >= 0; i -= 8)
			strbuf_addc(&sb, (char)(len >> i));
	} else {
		strbuf_addc(&sb, (char)(bit | 127));
		for (int i = 56; i >= 0; i -= 8)
			strbuf_addc(&sb, (char)(len >> i));
	}
	if (mask)
		strbuf_add(&sb, mask, 4);
	for (size_t i = 0; i < n; i++)
		strbuf_addc(&sb, (char)(((const char *)data)[i] ^ (mask ? mask[i % 4] : 0)));
	CHECK_INT(file_write_all(fd, sb.s, sb.len, NULL), 0);
}

/* As a client sends it to a server of ours. */
static void put(const struct pair *p, unsigned char first, const char *data)
{
	put_frame(p->raw, first, strlen(data), data, strlen(data), "\x12\x34\x56\x78");
}

/* The bytes that the peer gets. */
static void check_raw(const struct pair *p, const char *want, size_t n)
{
	char buf[256] = "";

	CHECK_INT(recv(p->raw, buf, n, MSG_WAITALL), n);
	CHECK(memcmp(buf, want, n) == 0);
}

static void check_nothing(const struct pair *p)
{
	char c;

	CHECK(recv(p->raw, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

static void check_recv(struct ws *ws, int type, const char *text)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct err err = ERR_INIT;

	strbuf_adds(&out, "rubbish that must go");
	CHECK_INT(ws_recv(ws, &out, &err), type);
	if (text)
		CHECK_STR(out.s, text);
}

TEST(handshake_keys)
{
	autofree char *accept = ws_accept_key("dGhlIHNhbXBsZSBub25jZQ=="); /* the example of the RFC */
	autofree char *a = ws_new_key();
	autofree char *b = ws_new_key();

	CHECK_STR(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	CHECK(strlen(a) == 24 && str_ends(a, "=="));
	CHECK(strcmp(a, b) != 0);
}

TEST(examples_of_the_rfc)
{
	AUTO(pair_done) struct pair server = pair_new(false);
	AUTO(pair_done) struct pair client = pair_new(true);

	CHECK_INT(file_write_all(server.raw, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11, NULL), 0);
	check_recv(server.ws, WS_TEXT, "Hello");
	CHECK_INT(file_write_all(client.raw, "\x81\x05Hello", 7, NULL), 0);
	check_recv(client.ws, WS_TEXT, "Hello");
	CHECK_INT(file_write_all(client.raw, "\x01\x03Hel\x80\x02lo", 9, NULL), 0);
	check_recv(client.ws, WS_TEXT, "Hello");
	CHECK_INT(ws_send(server.ws, WS_TEXT, "Hello", 5, NULL), 0);
	check_raw(&server, "\x81\x05Hello", 7);
	CHECK_INT(file_write_all(client.raw, "\x89\x05Hello\x81\x01x", 10, NULL), 0);
	check_recv(client.ws, WS_TEXT, "x");
}

TEST(a_client_masks_each_frame_anew)
{
	AUTO(pair_done) struct pair p = pair_new(true);
	unsigned char a[11], b[11];

	CHECK_INT(ws_send(p.ws, WS_BINARY, "\0\0\0\0\0", 5, NULL), 0);
	CHECK_INT(ws_send(p.ws, WS_BINARY, "\0\0\0\0\0", 5, NULL), 0);
	CHECK_INT(recv(p.raw, a, 11, MSG_WAITALL), 11);
	CHECK_INT(recv(p.raw, b, 11, MSG_WAITALL), 11);
	CHECK(a[0] == 0x82 && a[1] == 0x85);
	CHECK(memcmp(a + 2, a + 6, 4) == 0 && a[10] == a[2]); /* zeros masked are the mask */
	CHECK(memcmp(a + 2, b + 2, 4) != 0);
}

TEST(lengths_of_all_three_forms)
{
	static const size_t sizes[] = { 0, 1, 125, 126, 127, 65535, 65536, 65537, 200001 };
	autofree char *data = xmalloc(200001);

	for (size_t i = 0; i < 200001; i++)
		data[i] = (char)(i * 31);
	for (size_t i = 0; i < ARRAY_SIZE(sizes) * 2; i++) {
		AUTO(pair_done) struct pair p = pair_new(i % 2);
		AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
		struct ws *other = ws_new(dup(p.raw), !(i % 2));
		size_t n = sizes[i / 2];
		int size = MIB;

		setsockopt(p.raw, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		setsockopt(ws_fd(p.ws), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		CHECK_INT(ws_send(p.ws, WS_BINARY, data, n, NULL), 0);
		CHECK_INT(ws_recv(other, &out, NULL), WS_BINARY);
		CHECK(out.len == n && memcmp(out.s, data, n) == 0);
		ws_shutdown(p.ws); /* or each would wait for the other to say goodbye */
		ws_free(other);
	}
}

TEST(fragments_with_control_frames_between)
{
	AUTO(pair_done) struct pair p = pair_new(false);

	put(&p, 0x01, "one ");
	put(&p, 0x89, "ping");
	put(&p, 0x00, "");
	put(&p, 0x8a, "a pong nobody asked for");
	put(&p, 0x00, "two ");
	put(&p, 0x80, "three");
	check_recv(p.ws, WS_TEXT, "one two three");
	check_raw(&p, "\x8a\x04ping", 6);
	check_nothing(&p);
}

TEST(utf8_may_be_cut_by_fragments)
{
	AUTO(pair_done) struct pair p = pair_new(false);

	put(&p, 0x01, "\xe2\x82");
	put(&p, 0x80, "\xac");
	check_recv(p.ws, WS_TEXT, "\xe2\x82\xac");
	put_frame(p.raw, 0x81, 3, "a\0b", 3, "abcd"); /* U+0000 is text, too */
	check_recv(p.ws, WS_TEXT, NULL);
}

/* Whatever is wrong: the error, the status code that the peer gets, and that no memory was filled. */
static void check_refused(struct pair *p, int error, unsigned code)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	unsigned char close_frame[4] = { 0 };
	struct err err = ERR_INIT;

	CHECK_INT(ws_recv(p->ws, &out, &err), error);
	CHECK(err.text[0]);
	CHECK_INT(recv(p->raw, close_frame, 4, MSG_WAITALL), 4);
	CHECK_INT(close_frame[0], 0x88);
	CHECK_INT(close_frame[1], 2);
	CHECK_INT(close_frame[2] << 8 | close_frame[3], code);
	CHECK_INT(ws_send(p->ws, WS_TEXT, "x", 1, NULL), -EPIPE);
	CHECK(out.cap <= 4 * MIB);
}

TEST(what_is_refused)
{
	static const struct {
		unsigned char first;
		uint64_t len;
		const char *data;
		int error;
		unsigned code;
	} cases[] = {
		{ 0xc1, 1, "x", -EPROTO, 1002 }, /* reserved bits */
		{ 0xa1, 1, "x", -EPROTO, 1002 },
		{ 0x91, 1, "x", -EPROTO, 1002 },
		{ 0x83, 1, "x", -EPROTO, 1002 }, /* opcodes */
		{ 0x87, 1, "x", -EPROTO, 1002 },
		{ 0x8b, 1, "x", -EPROTO, 1002 },
		{ 0x8f, 1, "x", -EPROTO, 1002 },
		{ 0x09, 1, "x", -EPROTO, 1002 }, /* a fragmented ping */
		{ 0x08, 0, "", -EPROTO, 1002 },
		{ 0x89, 126, "", -EPROTO, 1002 }, /* a long ping */
		{ 0x80, 1, "x", -EPROTO, 1002 },  /* the end of nothing */
		{ 0x00, 1, "x", -EPROTO, 1002 },
		{ 0x81, 2, "\xc3(", -EPROTO, 1007 }, /* text */
		{ 0x81, 3, "\xed\xa0\x80", -EPROTO, 1007 },
		{ 0x88, 1, "x", -EPROTO, 1002 },	    /* half a code */
		{ 0x88, 2, "\x03\xe7", -EPROTO, 1002 },	    /* 999 */
		{ 0x88, 2, "\x03\xed", -EPROTO, 1002 },	    /* 1005 must not be sent */
		{ 0x88, 2, "\x03\xee", -EPROTO, 1002 },	    /* 1006 neither */
		{ 0x88, 2, "\x0b\xb7", -EPROTO, 1002 },	    /* 2999 */
		{ 0x88, 2, "\x13\x88", -EPROTO, 1002 },	    /* 5000 */
		{ 0x88, 3, "\x03\xe8\xff", -EPROTO, 1007 }, /* the reason is not text */
		{ 0x82, MIB + 1, "", -EMSGSIZE, 1009 },
		{ 0x02, MIB + 1, "", -EMSGSIZE, 1009 },
		{ 0x82, 1ULL << 62, "", -EMSGSIZE, 1009 },
		{ 0x82, 1ULL << 63, "", -EPROTO, 1002 },
		{ 0x82, UINT64_MAX, "", -EPROTO, 1002 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(pair_done) struct pair p = pair_new(false);

		put_frame(p.raw, cases[i].first, cases[i].len, cases[i].data,
			  cases[i].len < 16 ? (size_t)cases[i].len : 0, "\x01\x02\x03\x04");
		check_refused(&p, cases[i].error, cases[i].code);
	}
}

TEST(masks_are_for_clients)
{
	AUTO(pair_done) struct pair server = pair_new(false);
	AUTO(pair_done) struct pair client = pair_new(true);
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;

	put_frame(server.raw, 0x81, 1, "x", 1, NULL);
	check_refused(&server, -EPROTO, 1002);
	put_frame(client.raw, 0x81, 1, "x", 1, "\1\2\3\4");
	CHECK_INT(ws_recv(client.ws, &out, NULL), -EPROTO);
}

TEST(lengths_must_be_short)
{
	AUTO(pair_done) struct pair a = pair_new(false);
	AUTO(pair_done) struct pair b = pair_new(false);

	CHECK_INT(file_write_all(a.raw, "\x82\xfe\x00\x7d", 4, NULL), 0);
	check_refused(&a, -EPROTO, 1002);
	CHECK_INT(file_write_all(b.raw, "\x82\xff\0\0\0\0\0\0\xff\xff", 10, NULL), 0);
	check_refused(&b, -EPROTO, 1002);
}

TEST(messages_must_not_mix)
{
	AUTO(pair_done) struct pair p = pair_new(false);

	put(&p, 0x01, "one");
	put(&p, 0x81, "another");
	check_refused(&p, -EPROTO, 1002);
}

struct flood {
	int fd;
	uint64_t total;
	size_t each;
};

/* Fragments of a message of @total bytes. */
static void *send_fragments(void *arg)
{
	struct flood *f = arg;
	autofree char *data = xcalloc(1, f->each);

	for (uint64_t at = 0; at < f->total; at += f->each) {
		bool is_last = at + f->each >= f->total;
		size_t n = is_last ? (size_t)(f->total - at) : f->each;

		put_frame(f->fd, (unsigned char)((at ? 0x00 : 0x02) | (is_last ? 0x80 : 0)), n, data, n, "\1\2\3\4");
	}
	return NULL;
}

TEST(the_limit_is_over_all_fragments)
{
	for (uint64_t total = MIB; total <= MIB + 1; total++) {
		AUTO(pair_done) struct pair p = pair_new(false);
		AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
		struct flood f = { p.raw, total, 70000 };
		pthread_t t;
		int r;

		REQUIRE(pthread_create(&t, NULL, send_fragments, &f) == 0);
		r = ws_recv(p.ws, &out, NULL);
		pthread_join(t, NULL);
		CHECK_INT(r, total == MIB ? WS_BINARY : -EMSGSIZE);
		if (total == MIB)
			CHECK_INT(out.len, MIB);
	}
}

TEST(goodbye)
{
	AUTO(pair_done) struct pair p = pair_new(false);

	put(&p, 0x88, "\x03\xe9going away");
	check_recv(p.ws, WS_CLOSE, "going away");
	check_raw(&p, "\x88\x02\x03\xe9", 4); /* the echo */
	check_recv(p.ws, WS_CLOSE, "");
	CHECK_INT(ws_send(p.ws, WS_TEXT, "x", 1, NULL), -EPIPE);
}

TEST(goodbye_without_a_word)
{
	AUTO(pair_done) struct pair p = pair_new(false);

	put(&p, 0x88, "");
	check_recv(p.ws, WS_CLOSE, "");
	check_raw(&p, "\x88\x00", 2);
}

TEST(our_goodbye_is_sent_once)
{
	AUTO(pair_done) struct pair p = pair_new(false);
	char rest[8];

	CHECK_INT(ws_send(p.ws, WS_CLOSE, "x", 1, NULL), -EINVAL);
	CHECK_INT(ws_send(p.ws, WS_CLOSE,
			  "\x03\xe8"
			  "done",
			  6, NULL),
		  0);
	CHECK_INT(ws_send(p.ws, WS_CLOSE, NULL, 0, NULL), -EPIPE);
	put(&p, 0x81, "still on its way");
	check_recv(p.ws, WS_TEXT, "still on its way");
	put(&p, 0x88, "\x03\xe8");
	check_recv(p.ws, WS_CLOSE, "");
	ws_free(TAKE_PTR(p.ws));
	check_raw(&p,
		  "\x88\x06\x03\xe8"
		  "done",
		  8);
	CHECK_INT(recv(p.raw, rest, sizeof(rest), 0), 0);
}

TEST(free_says_goodbye)
{
	AUTO(pair_done) struct pair p = pair_new(false);
	uint64_t before = clock_mono_us();

	put(&p, 0x81, "unread");
	CHECK_INT(ws_send(p.ws, WS_TEXT, "last words", 10, NULL), 0);
	ws_free(TAKE_PTR(p.ws)); /* the peer is silent: that costs a moment, no more */
	CHECK(clock_mono_us() - before < 2 * US_PER_S);
	check_raw(&p, "\x81\x0alast words\x88\x02\x03\xe8", 16);
	ws_free(NULL);
}

TEST(hanging_up)
{
	AUTO(pair_done) struct pair a = pair_new(false);
	AUTO(pair_done) struct pair b = pair_new(false);
	AUTO(pair_done) struct pair c = pair_new(false);
	struct err err = ERR_INIT;
	int r = 0;

	shutdown(a.raw, SHUT_WR);
	check_recv(a.ws, WS_CLOSE, "");
	put_frame(b.raw, 0x81, 10, "half", 4, "\1\2\3\4");
	shutdown(b.raw, SHUT_WR);
	check_recv(b.ws, -EPROTO, NULL);
	put(&c, 0x01, "a fragment");
	close(TAKE_FD(c.raw));
	check_recv(c.ws, -EPROTO, NULL);
	for (int i = 0; i < 3 && r == 0; i++)
		r = ws_send(c.ws, WS_TEXT, "x", 1, &err); /* no SIGPIPE */
	CHECK_INT(r, -EPIPE);
}

TEST(wrong_use)
{
	AUTO(pair_done) struct pair p = pair_new(false);
	char long_reason[126] = "\x03\xe8";

	CHECK_INT(ws_send(p.ws, WS_TEXT, "\xff", 1, NULL), -EINVAL);
	CHECK_INT(ws_send(p.ws, WS_CLOSE, long_reason, 126, NULL), -EINVAL);
	check_nothing(&p);
}

static void *recv_one(void *arg)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;

	return (void *)(intptr_t)ws_recv(arg, &out, NULL);
}

TEST(shutdown_wakes_the_reader)
{
	AUTO(pair_done) struct pair p = pair_new(false);
	void *r = NULL;
	pthread_t t;

	REQUIRE(pthread_create(&t, NULL, recv_one, p.ws) == 0);
	clock_sleep_us(50 * US_PER_MS);
	ws_shutdown(p.ws);
	pthread_join(t, &r);
	CHECK_INT((intptr_t)r, WS_CLOSE);
}

static void on_alarm(int sig)
{
	(void)sig;
}

struct talker {
	struct ws *ws;
	char letter;
};

static void *talk(void *arg)
{
	struct talker *t = arg;
	autofree char *data = xmalloc(20000);

	memset(data, t->letter, 20000);
	for (size_t i = 0; i < 100; i++)
		CHECK_INT(ws_send(t->ws, WS_TEXT, data, 1 + i * 199, NULL), 0);
	return NULL;
}

/* Frames of several writers stay whole: small buffers, a timer that interrupts, pongs from the reader between them. */
TEST(writers_do_not_mix)
{
	AUTO(pair_done) struct pair p = pair_new(false);
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct itimerval every = { .it_interval.tv_usec = 700, .it_value.tv_usec = 700 }, off = { 0 };
	struct sigaction sa = { .sa_handler = on_alarm }, old;
	struct talker talkers[3];
	struct ws *other = ws_new(dup(p.raw), true);
	pthread_t reader, t[3];
	sigset_t alarm_only;
	int n = 0, size = 4096;

	setsockopt(ws_fd(p.ws), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	sigaction(SIGALRM, &sa, &old);
	pthread_sigmask(SIG_BLOCK, &alarm_only, NULL); /* only the writers are to be interrupted */
	REQUIRE(pthread_create(&reader, NULL, recv_one, p.ws) == 0);
	pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
	for (int i = 0; i < 3; i++) {
		talkers[i] = (struct talker){ p.ws, (char)('a' + i) };
		REQUIRE(pthread_create(&t[i], NULL, talk, &talkers[i]) == 0);
	}
	pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (int i = 0; i < 20; i++)
		put(&p, 0x89, "ping");
	for (n = 0; n < 300; n++) {
		if (n % 10 == 0)
			clock_sleep_us(2 * US_PER_MS); /* the writers have to wait */
		CHECK_INT(ws_recv(other, &out, NULL), WS_TEXT);
		CHECK(out.len % 199 == 1 && strspn(out.s, (char[]){ out.s[0], '\0' }) == out.len);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	setitimer(ITIMER_REAL, &off, NULL);
	pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
	sigaction(SIGALRM, &old, NULL);
	CHECK_INT(ws_send(other, WS_CLOSE, NULL, 0, NULL), 0);
	pthread_join(reader, NULL);
	ws_free(other);
}

struct counter {
	int fd;
	size_t n;
};

static void *count_late(void *arg)
{
	struct counter *c = arg;
	char buf[4096];
	ssize_t n;

	clock_sleep_us(30 * US_PER_MS);
	while ((n = recv(c->fd, buf, sizeof(buf), 0)) > 0)
		c->n += (size_t)n;
	return NULL;
}

/* Closing a TCP socket with bytes unread throws away what was not sent yet: what was said last arrives all the same. */
TEST(last_words_arrive_over_tcp)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	autoclose int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	autoclose int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	autofree char *data = xcalloc(1, 400000);
	struct counter counter = { .fd = peer };
	int small = 4096, large = 2 * MIB, fd;
	socklen_t len = sizeof(at);
	pthread_t t;
	struct ws *ws;

	REQUIRE(bind(listener, (struct sockaddr *)&at, len) == 0 && listen(listener, 1) == 0);
	REQUIRE(getsockname(listener, (struct sockaddr *)&at, &len) == 0);
	setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	REQUIRE(connect(peer, (struct sockaddr *)&at, len) == 0);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
	ws = ws_new(fd, false);
	put_frame(peer, 0x81, 4, "data", 4, "\1\2\3\4"); /* which nobody reads */
	REQUIRE(pthread_create(&t, NULL, count_late, &counter) == 0);
	CHECK_INT(ws_send(ws, WS_BINARY, data, 400000, NULL), 0);
	ws_free(ws);
	pthread_join(t, NULL);
	CHECK_INT(counter.n, 400000 + 10 + 4);
}
