/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* image.h - fetching images, for `image pull` and for `launch` */
#include <stdbool.h>

#include "base/err.h"

struct client;
struct job;
struct json;

/* Fetches @reference ("docker://debian:12"; "debian:12" means the same) and waits for it. @alias NULL: a name made from
 * the reference. *ret_fingerprint is a new string. */
int image_pull(struct job *job, const char *reference, const char *alias, bool is_insecure, char **ret_fingerprint,
	       struct err *err);

/* "debian:12" from "docker://registry/library/debian:12"; a tag "latest" and digests are left out. A new string. */
char *image_alias_of(const char *reference);

/* Whether it names a place to fetch from ("docker://debian:12") and not an alias ("debian:12"). */
bool image_is_reference(const char *image);

/* The reference as the daemon needs it, which does not know our working directory: paths in it are absolute. A new
 * string. */
int image_absolute(const char *reference, char **ret, struct err *err);

/* 1 and the fingerprint (a new string) when an image that was fetched from @reference is here, else 0. */
int image_find_reference(struct client *c, const char *reference, char **ret_fingerprint, struct err *err);

/* [{"name": alias}] */
struct json *image_aliases(const char *alias);
