/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* instance.h - what the API says of instances, picked apart */
#include <stdbool.h>

#include "base/err.h"
#include "cli/cli.h"

struct client;
struct json;

/* "web", "Running" */
const char *instance_name(const struct json *instance);
const char *instance_status(const struct json *instance);
/* As a person calls it: "running", "paused", "stopped". */
const char *instance_word(const struct json *instance);
bool instance_is(const struct json *instance, const char *status);

/* "16.8 MiB", the saved state's size; a new string. */
char *instance_saved_size(const struct json *instance);

/* All instances: an array inside of *ret_root. @recursion: 1, or 2 with their `state`. */
int instance_all(struct cli *cli, int recursion, struct json **ret_root, const struct json **ret_array,
		 struct err *err);
int instance_one(struct client *c, const char *name, struct json **ret_root, const struct json **ret_instance,
		 struct err *err);
