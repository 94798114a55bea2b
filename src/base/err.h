/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * err.h - a failure and its words
 *
 * A function that can fail returns 0 or a negative errno and takes `struct err *err` as its last parameter. Who finds
 * the failure names the thing once; who passes it on adds context with err_wrap() or nothing. The text lives in the
 * caller's frame: no allocation, nothing to free. @err may be NULL where only the number matters.
 */
#include <errno.h>

struct err {
	char text[480];
};

#define ERR_INIT                                                                                                       \
	{                                                                                                              \
		.text = ""                                                                                             \
	}

/* Sets the text and returns @code (a negative errno), so that one line reports and returns. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set() with the current errno: "<text>: <strerror>". Returns -errno (-EIO if errno is 0). */
int err_sys(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "<text>: " before what is there and returns @code unchanged. */
int err_wrap(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
