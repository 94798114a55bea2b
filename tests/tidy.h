/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tidy.h - what clang-tidy is told besides the sources: these functions return what their names promise
 *
 * Its analyzer looks at one file at a time. Not knowing that err_sys() is never 0 or more, it follows paths on which a
 * function failed and yet returned success, and finds uninitialised results there. tests/lint.sh includes this first.
 */
#pragma once
#include <errno.h>

#include "base/err.h"

#define err_set(err, code, ...)	 ((void)err_set(err, code, __VA_ARGS__), (code))
#define err_wrap(err, code, ...) ((void)err_wrap(err, code, __VA_ARGS__), (code))
#define err_sys(...)		 ((void)err_sys(__VA_ARGS__), -EIO)
