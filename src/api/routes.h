/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* routes.h - the table of everything that can be asked */
#include "api/request.h"

enum body_kind {
	BODY_NONE,	     /* a body is swallowed */
	BODY_JSON,	     /* an object, parsed before the handler runs */
	BODY_JSON_OR_OCTETS, /* JSON, unless Content-Type says octets: those come through request.upload_fd */
	BODY_JSON_OR_STREAM  /* octets, unless Content-Type says JSON */
};

/* A handler runs in the connection's thread and may block; it fills in the reply or returns an error. */
typedef int route_handler(struct request *rq, struct reply *ret, struct err *err);

struct route {
	const char *pattern; /* {name} stands for one segment and becomes the next of request.args */
	const char *method;
	enum body_kind body;
	route_handler *handle;
};

/* Sorted by pattern and method; ends with a row whose pattern is NULL. */
extern const struct route routes[];

/*
 * route_find() - the route for rq->method and rq->uri; sets rq->route, args and collection
 *
 * -ENOENT: nobody has such a path. -ENOTSUP: the path exists, the method does not.
 */
int route_find(struct request *rq, struct err *err);

/* "DELETE, GET": the methods that rq->uri knows, for Allow; a heap string. */
char *route_allowed(const struct request *rq);
