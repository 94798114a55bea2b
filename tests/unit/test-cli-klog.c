/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/str.h"
#include "cli/keys.h"
#include "cli/klog.h"
#include "cli/progress.h"
#include "test.h"

/* Notes each piece as "STREAM[TEXT]", with "<" when it begins a line and ">" when it ends one. */
static int note(void *arg, const struct klog_piece *piece)
{
	struct strbuf *sb = arg;

	strbuf_addf(sb, "%d%s[%.*s]%s", piece->stream, piece->is_begin ? "<" : "", (int)piece->len, piece->text,
		    piece->is_end ? ">" : "");
	return 0;
}

/* All of @log, fed in chunks of @chunk bytes. */
static char *decode(const char *log, size_t chunk)
{
	struct strbuf sb = STRBUF_INIT;
	AUTO(klog_done) struct klog k;
	size_t n = strlen(log);

	klog_init(&k, note, &sb);
	for (size_t at = 0; at < n; at += chunk)
		CHECK(klog_feed(&k, log + at, n - at < chunk ? n - at : chunk) == 0);
	CHECK(klog_finish(&k) == 0);
	return strbuf_take(&sb);
}

#define T "2026-11-20T22:37:24.123456789+00:00 "

TEST(lines_and_streams)
{
	autofree char *all = decode(T "stdout F one\n" T "stderr F two\n" T "stdout F \n", 1000);

	CHECK_STR(all, "1<[one]>2<[two]>1<[]>");
}

TEST(cut_anywhere)
{
	const char *log = T "stdout F one\n" T "stderr P tw\n" T "stderr F o\n" T "stdout F three words here\n";
	autofree char *whole = decode(log, 1000);

	CHECK_STR(whole, "1<[one]>2<[tw]2[o]>1<[three words here]>");
	for (size_t chunk = 1; chunk < 60; chunk++) {
		autofree char *all = decode(log, chunk);

		CHECK_STR(all, whole);
	}
}

TEST(pieces_of_two_streams_between_each_other)
{
	autofree char *all =
		decode(T "stdout P a\n" T "stderr P x\n" T "stdout F b\n" T "stderr F y\n" T "stdout F c\n", 7);

	CHECK_STR(all, "1<[a]2<[x]1[b]>2[y]>1<[c]>");
}

TEST(no_newline_at_the_end)
{
	autofree char *all = decode(T "stdout F one\n" T "stdout P tw", 1000);

	CHECK_STR(all, "1<[one]>1<[tw]");
}

TEST(what_is_not_in_the_format)
{
	static const char *const lines[] = { "hello",	 T "stdin F x",	 T "stdout X x",
					     T "stdout", "  stdout F x", T "stdout Fx" };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		autofree char *all = decode(lines[i], 1000);
		autofree char *wanted = xasprintf("1<[%s]>", lines[i]);

		CHECK_STR(all, wanted);
	}
}

TEST(a_tag_without_text)
{
	autofree char *all = decode(T "stdout F\n" T "stdout F x\n", 1000);

	CHECK_STR(all, "1<[]>1<[x]>");
}

static int note_time(void *arg, const struct klog_piece *piece)
{
	strbuf_adds(arg, piece->time);
	return -EPIPE;
}

TEST(time_and_a_reader_that_stops)
{
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;
	AUTO(klog_done) struct klog k;
	const char log[] = "then stdout F one\nlater stdout F two\n";

	klog_init(&k, note_time, &sb);
	CHECK_INT(klog_feed(&k, log, sizeof(log) - 1), -EPIPE);
	CHECK_STR(sb.s, "then");
}

static int into_tail(void *arg, const struct klog_piece *piece)
{
	return klog_tail_take(arg, piece);
}

static char *last(const char *log, size_t n)
{
	struct strbuf sb = STRBUF_INIT;
	AUTO(klog_tail_free) struct klog_tail *tail = klog_tail_new(n);
	AUTO(klog_done) struct klog k;

	klog_init(&k, into_tail, tail);
	CHECK(klog_feed(&k, log, strlen(log)) == 0);
	CHECK(klog_finish(&k) == 0);
	CHECK(klog_tail_flush(tail, note, &sb) == 0);
	return strbuf_take(&sb);
}

TEST(the_last_lines)
{
	const char *log = T "stdout F one\n" T "stdout P tw\n" T "stderr F err\n" T "stdout F o\n" T "stdout P thr\n";
	autofree char *none = last(log, 0), *one = last(log, 1), *two = last(log, 2), *three = last(log, 3),
		      *all = last(log, 100);

	CHECK_STR(none, "");
	CHECK_STR(one, "1<[thr]");
	CHECK_STR(two, "2<[err]>1<[thr]");
	CHECK_STR(three, "1<[two]>2<[err]>1<[thr]");
	CHECK_STR(all, "1<[one]>1<[two]>2<[err]>1<[thr]");
}

/* ---- keys and progress: small neighbours ------------------------------------------------------------------------- */

static bool type(struct keys *keys, const char *typed, char *ret, size_t size)
{
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	bool is_detached = keys_filter(keys, typed, strlen(typed), &out);

	(void)snprintf(ret, size, "%s", out.s);
	return is_detached;
}

TEST(detach_key)
{
	struct keys keys = { 0 };
	char out[32];

	CHECK(!type(&keys, "abc", out, sizeof(out)));
	CHECK_STR(out, "abc");
	CHECK(type(&keys, "ab\001qcd", out, sizeof(out)));
	CHECK_STR(out, "ab");
	CHECK(!type(&keys, "a\001\001b", out, sizeof(out)));
	CHECK_STR(out, "a\001b");
	CHECK(!type(&keys, "a\001x", out, sizeof(out)));
	CHECK_STR(out, "a\001x");

	/* The two keys may come apart. */
	CHECK(!type(&keys, "a\001", out, sizeof(out)));
	CHECK_STR(out, "a");
	CHECK(type(&keys, "q", out, sizeof(out)));
	CHECK_STR(out, "");
}

TEST(percentages)
{
	CHECK_INT(progress_percent("Writing memory: 61%"), 61);
	CHECK_INT(progress_percent("100%"), 100);
	CHECK_INT(progress_percent("0%"), 0);
	CHECK_INT(progress_percent("Writing memory"), -1);
	CHECK_INT(progress_percent("%"), -1);
	CHECK_INT(progress_percent(""), -1);
	CHECK_INT(progress_percent("101%"), -1);
}
