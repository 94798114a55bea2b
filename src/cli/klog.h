/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * klog.h - the log that conmon writes (Kubernetes' CRI format), taken apart as it comes
 *
 * A line is "TIME STREAM TAG text": the stream is stdout or stderr, the tag F for a whole line or its last piece, P for
 * a piece that the program's line goes on behind. Bytes may arrive cut anywhere.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/auto.h"
#include "base/str.h"

struct klog_piece {
	int stream;	  /* 1 stdout, 2 stderr */
	const char *time; /* NUL-terminated; "" when the line is not in the format */
	const char *text; /* what the program wrote, without the newline */
	size_t len;
	bool is_begin, is_end; /* of the program's line on this stream */
};

struct klog {
	struct strbuf line; /* what has come of the line that is not whole yet */
	bool is_open[3];    /* per stream: the last piece was a P */
	int (*emit)(void *arg, const struct klog_piece *piece);
	void *arg;
};

/* @emit returns 0, or a negative errno, which klog_feed() then returns. */
void klog_init(struct klog *k, int (*emit)(void *arg, const struct klog_piece *piece), void *arg);
void klog_done(struct klog *k);
AUTO_DEFINE_IN(struct klog, klog_done)

int klog_feed(struct klog *k, const char *data, size_t n);

/* The end of the log: a last line without a newline is given out too. */
int klog_finish(struct klog *k);

/*
 * A tail keeps the last @n lines of what it is fed and gives them out when asked; then it is empty.
 */
struct klog_tail;
struct klog_tail *klog_tail_new(size_t n);
void klog_tail_free(struct klog_tail *t);
AUTO_DEFINE(struct klog_tail *, klog_tail_free)
int klog_tail_take(struct klog_tail *t, const struct klog_piece *piece);
int klog_tail_flush(struct klog_tail *t, int (*emit)(void *arg, const struct klog_piece *piece), void *arg);
