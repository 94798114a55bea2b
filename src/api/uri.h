/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* uri.h - the target of a request: path segments and query, decoded once */
#include "base/auto.h"
#include "base/err.h"

#define URI_MAX_SEGMENTS 12
#define URI_MAX_QUERIES	 32

struct uri {
	char **segments; /* "/1.0/instances/a%2Fb" is "1.0", "instances", "a/b"; a slash at the end counts for nothing
			  */
	char **query;	 /* "key=value", in the order given */
};

/* Parses what stands in the request line. -EINVAL on bad escapes, NUL, what is not UTF-8, and too many parts. */
int uri_parse(const char *text, struct uri *ret, struct err *err);
void uri_done(struct uri *u);
AUTO_DEFINE_IN(struct uri, uri_done)

/* The value of the first @key, or NULL; borrowed. */
const char *uri_query(const struct uri *u, const char *key);

/* @s with everything but unreserved characters escaped, for a path segment; a heap string. */
char *uri_encode(const char *s);
