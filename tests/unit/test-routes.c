/* SPDX-License-Identifier: Apache-2.0 */
#include "api/routes.h"

#include <errno.h>

#include "test.h"

static int find(struct request *rq, const char *method, const char *target)
{
	uri_done(&rq->uri);
	*rq = (struct request){ .method = method };
	if (uri_parse(target, &rq->uri, NULL) < 0)
		return -EINVAL;
	return route_find(rq, NULL);
}

TEST(the_table_is_sorted)
{
	for (const struct route *r = routes + 1; r->pattern; r++) {
		int c = strcmp(r[-1].pattern, r->pattern);

		if (c > 0 || (c == 0 && strcmp(r[-1].method, r->method) >= 0))
			printf("       %s %s is out of order\n", r->method, r->pattern);
		CHECK(c < 0 || (c == 0 && strcmp(r[-1].method, r->method) < 0));
	}
}

TEST(every_route_has_a_handler_and_finds_itself)
{
	for (const struct route *r = routes; r->pattern; r++) {
		struct request rq = { 0 };
		char target[128];
		size_t n = 0;

		/* "{name}" as "(name)": any text will do for a name. */
		for (const char *p = r->pattern; *p; p++)
			target[n++] = *p == '{' ? '(' : *p == '}' ? ')' : *p;
		target[n] = '\0';
		CHECK(r->handle != NULL);
		CHECK_INT(find(&rq, r->method, target), 0);
		CHECK(rq.route == r);
		uri_done(&rq.uri);
	}
}

TEST(names_become_arguments)
{
	struct request rq = { 0 };

	REQUIRE(find(&rq, "GET", "/1.0/instances/web/logs/a%2Fb") == 0);
	CHECK_STR(rq.args[0], "web");
	CHECK_STR(rq.args[1], "a/b");
	CHECK_STR(rq.collection, "instances");
	uri_done(&rq.uri);
}

TEST(containers_are_instances)
{
	struct request rq = { 0 };

	REQUIRE(find(&rq, "GET", "/1.0/containers/web/state") == 0);
	CHECK_STR(rq.route->pattern, "/1.0/instances/{name}/state");
	CHECK_STR(rq.collection, "containers");
	/* but an instance may be called so */
	REQUIRE(find(&rq, "GET", "/1.0/instances/containers") == 0);
	CHECK_STR(rq.args[0], "containers");
	uri_done(&rq.uri);
}

TEST(a_literal_comes_before_a_name)
{
	struct request rq = { 0 };

	REQUIRE(find(&rq, "GET", "/1.0/images/aliases") == 0);
	CHECK_STR(rq.route->pattern, "/1.0/images/aliases");
	CHECK_INT(find(&rq, "DELETE", "/1.0/images/aliases"), -ENOTSUP);
	uri_done(&rq.uri);
}

TEST(unknown_paths_and_methods_are_told_apart)
{
	static const char *const unknown[] = {
		"/1.1",	 "/1.0/instance",   "/1.0/instances/a/b/c/d/e", "/2.0/containers",
		"/1.00", "/1.0//instances", "/1.0/instances//state"
	};
	struct request rq = { 0 };
	autofree char *allowed = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		CHECK_INT(find(&rq, "GET", unknown[i]), -ENOENT);
	CHECK_INT(find(&rq, "TRACE", "/1.0/operations/x"), -ENOTSUP);
	allowed = route_allowed(&rq);
	CHECK_STR(allowed, "DELETE, GET");
	uri_done(&rq.uri);
}
