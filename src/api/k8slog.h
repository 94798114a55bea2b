/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * k8slog.h - conmon's k8s-file log format, back to what the program wrote
 *
 * A line is "2026-11-20T22:37:24.123456789+00:00 stdout F text": F is a whole line, P a part of one that goes on. The
 * decoder takes bytes in pieces of any size; what is no such line is passed on as it is.
 */
#include <stddef.h>

#include "base/str.h"

#define K8SLOG_HEAD_MAX 64 /* no time stamp and stream name are longer */

struct k8slog {
	char head[K8SLOG_HEAD_MAX]; /* of the line under way, until its third blank */
	size_t head_len;
	int n_blanks;
	enum { K8SLOG_HEAD, K8SLOG_TEXT, K8SLOG_RAW } state;
	int is_partial;
};

/* All zero is the beginning. Appends to @out. */
void k8slog_feed(struct k8slog *k, const char *data, size_t len, struct strbuf *out);

/* The end of the log: what is left of a line without its end. */
void k8slog_end(struct k8slog *k, struct strbuf *out);
