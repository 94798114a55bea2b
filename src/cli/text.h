/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* text.h - numbers, times and foreign words as people read them; all strings are new and the caller's */
#include <stdbool.h>
#include <stdint.h>

struct json;

/* @s with control characters made visible ("\x1b"): what a container wrote must not steer a terminal. Broken UTF-8
 * becomes '?'. text_safe_lines() lets newlines and tabs pass. */
char *text_safe(const char *s);
char *text_safe_lines(const char *s);

char *text_bytes(int64_t n);	 /* "16.8 MiB"; "-" when negative */
char *text_seconds(uint64_t us); /* "0.21 s", "12 s", "3 min 20 s" */
char *text_ms(int64_t ms);	 /* "120 ms", "2.6 s" */

/* "2026-11-20 22:37" in the local time zone from RFC 3339; "never" for LXD's year 1, "-" for NULL. */
char *text_time(const char *rfc3339);
char *text_ago(const char *rfc3339); /* "3 minutes ago", "never" */

const char *text_plural(int64_t n);	/* "" or "s" */
bool text_is_past(const char *rfc3339); /* it is a time at all, and not LXD's "never" */
