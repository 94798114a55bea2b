/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* config.h - the table of instance configuration keys: name, type, default, check, help */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum config_type {
	CONFIG_STRING,
	CONFIG_BOOL,
	CONFIG_INT,
	CONFIG_TIME,
	CONFIG_SIZE,
	CONFIG_ENUM,
	CONFIG_WORDS,
	CONFIG_SIGNAL
};

struct config_key {
	const char *name; /* "boot.autostart"; a name that ends in "*" stands for a family: "user.*" */
	enum config_type type;
	const char *fallback; /* NULL: unset */
	const char *values;   /* CONFIG_ENUM: "stop|force-stop|stateful-stop"; CONFIG_INT: "min..max" */
	bool is_live;	      /* takes effect on a running instance */
	bool is_volatile;     /* kept by the engine, refused from outside */
	const char *help;
};

/* Sorted by name; ends with a row whose name is NULL. */
const struct config_key *config_table(void);
const struct config_key *config_find(const char *name);

/* Checks one "key", value. -EINVAL "unknown key 'x.y' (did you mean 'x.z'?)" or what is wrong with the value. */
int config_check(const char *key, const char *value, struct err *err);

/* Reading a vector "key=value" with the table's default; the key must be in the table. */
const char *config_get(char *const *config, const char *key);
bool config_get_bool(char *const *config, const char *key);
int64_t config_get_int(char *const *config, const char *key);
uint64_t config_get_us(char *const *config, const char *key);

/* "SIGTERM", "TERM", "15", "SIGRTMIN+3": the number, or -EINVAL. */
int config_parse_signal(const char *text);
