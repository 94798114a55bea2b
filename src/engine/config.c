/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/str.h"
#include "base/strv.h"

#define VALUE_MAX 65536

/* Words of LXD and Incus where they have one for it (boot.*, environment.*, oci.*, user.*, volatile.*). */
static const struct config_key table[] = {
	{ "boot.autostart", CONFIG_BOOL, NULL, NULL, true, false,
	  "start with the host; unset: if it ran when the host went down" },
	{ "boot.autostart.delay", CONFIG_INT, "0", "0..3600", true, false,
	  "seconds to wait after starting it, before the next one" },
	{ "boot.autostart.priority", CONFIG_INT, "0", "-1000000..1000000", true, false, "higher starts earlier" },
	{ "boot.host_shutdown_action", CONFIG_ENUM, "stop", "stop|force-stop|stateful-stop", true, false,
	  "what to do with it when the host goes down" },
	{ "boot.host_shutdown_timeout", CONFIG_INT, "30", "0..86400", true, false,
	  "seconds for a clean stop when the host goes down" },
	{ "boot.stop.priority", CONFIG_INT, "0", "-1000000..1000000", true, false,
	  "higher stops earlier when the host goes down" },
	{ "checkpoint.file_locks", CONFIG_BOOL, "true", NULL, true, false,
	  "keep file locks (flock, leases) in a checkpoint" },
	{ "checkpoint.profile", CONFIG_ENUM, "checkpointable", "checkpointable|full", false, false,
	  "checkpointable: refuse programs what CRIU cannot dump; full: allow all" },
	{ "checkpoint.tcp", CONFIG_ENUM, "keep", "keep|close", true, false,
	  "keep established TCP connections in a checkpoint, or refuse to dump with any" },
	{ "console.stdin", CONFIG_BOOL, "false", NULL, false, false, "keep standard input open for 'console'" },
	{ "console.tty", CONFIG_BOOL, "false", NULL, false, false, "give the instance's process a terminal" },
	{ "environment.*", CONFIG_STRING, NULL, NULL, false, false,
	  "an environment variable of the instance's process" },
	{ "limits.cpu", CONFIG_STRING, NULL, NULL, false, false, "processors it may use, as a number (1.5)" },
	{ "limits.memory", CONFIG_SIZE, NULL, NULL, false, false, "memory it may use (512MiB)" },
	{ "limits.processes", CONFIG_INT, NULL, "1..4194304", false, false, "processes and threads it may have" },
	{ "migration.stateful", CONFIG_BOOL, NULL, NULL, true, false,
	  "accepted for LXD's sake: every instance can be stopped with state" },
	{ "oci.cwd", CONFIG_STRING, NULL, NULL, false, false, "working folder, instead of the image's" },
	{ "oci.entrypoint", CONFIG_WORDS, NULL, NULL, false, false, "command line, instead of the image's" },
	{ "oci.user", CONFIG_STRING, NULL, NULL, false, false,
	  "user[:group], by name or number, instead of the image's" },
	{ "stop.signal", CONFIG_SIGNAL, NULL, NULL, true, false,
	  "signal that asks it to stop, instead of the image's" },
	{ "stop.timeout", CONFIG_TIME, "10s", NULL, true, false, "how long it may take to stop before it is killed" },
	{ "user.*", CONFIG_STRING, NULL, NULL, true, false, "free for you" },
	{ "volatile.last_state.power", CONFIG_STRING, "STOPPED", NULL, true, true,
	  "RUNNING or STOPPED: what the host's next boot brings back" },
	{ NULL, CONFIG_STRING, NULL, NULL, false, false, NULL },
};

const struct config_key *config_table(void)
{
	return table;
}

const struct config_key *config_find(const char *name)
{
	for (const struct config_key *k = table; k->name; k++) {
		size_t n = strlen(k->name);

		if (str_eq(k->name, name))
			return k;
		if (k->name[n - 1] == '*' && strncmp(k->name, name, n - 1) == 0 && strlen(name) >= n)
			return k;
	}
	return NULL;
}

/* Edits that turn @a into @b, no more than short strings need. */
static size_t distance(const char *a, const char *b)
{
	size_t row[64], la = strlen(a), lb = strlen(b);

	if (lb >= ARRAY_SIZE(row))
		return lb;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);

			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = above;
			row[j] = best;
		}
	}
	return row[lb];
}

static int unknown_key(const char *key, struct err *err)
{
	const char *nearest = NULL;
	size_t best = 4;

	for (const struct config_key *k = table; k->name; k++) {
		size_t d = distance(key, k->name);

		if (d < best && !k->is_volatile) {
			best = d;
			nearest = k->name;
		}
	}
	if (nearest)
		return err_set(err, -EINVAL, "there is no configuration key '%s'; did you mean '%s'?", key, nearest);
	return err_set(err, -EINVAL,
		       "there is no configuration key '%s' ('stasis config keys' lists them; user.* is free)", key);
}

static int check_enum(const struct config_key *k, const char *value, struct err *err)
{
	AUTO(strv_free) char **words = strv_split(k->values, '|');

	if (strv_has(words, value))
		return 0;
	return err_set(err, -EINVAL, "%s must be one of %s, not '%s'", k->name, k->values, value);
}

static int check_int(const struct config_key *k, const char *value, struct err *err)
{
	long long min = INT64_MIN, max = INT64_MAX;
	int64_t n;

	if (k->values)
		(void)sscanf(k->values, "%lld..%lld", &min, &max);
	return str_to_i64(value, min, max, &n, err);
}

/* Names with or without SIG, SIGRTMIN+n, or the number. */
int config_parse_signal(const char *text)
{
	static const struct {
		const char *name;
		int number;
	} names[] = { { "HUP", SIGHUP },   { "INT", SIGINT },	  { "KILL", SIGKILL },
		      { "QUIT", SIGQUIT }, { "TERM", SIGTERM },	  { "USR1", SIGUSR1 },
		      { "USR2", SIGUSR2 }, { "WINCH", SIGWINCH }, { "PWR", SIGPWR } };
	const char *name = str_after(text, "SIG") ? str_after(text, "SIG") : text;
	int64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(names[i].name, name))
			return names[i].number;
	if (str_after(name, "RTMIN+") && str_to_i64(str_after(name, "RTMIN+"), 0, SIGRTMAX - SIGRTMIN, &n, NULL) == 0)
		return SIGRTMIN + (int)n;
	if (str_to_i64(text, 1, SIGRTMAX, &n, NULL) == 0)
		return (int)n;
	return -EINVAL;
}

static int check_value(const struct config_key *k, const char *value, struct err *err)
{
	AUTO(strv_free) char **words = NULL;
	uint64_t number;
	bool truth;

	switch (k->type) {
	case CONFIG_BOOL:
		return str_to_bool(value, &truth, err);
	case CONFIG_INT:
		return check_int(k, value, err);
	case CONFIG_TIME:
		return str_to_us(value, &number, err);
	case CONFIG_SIZE:
		return str_to_bytes(value, &number, err);
	case CONFIG_ENUM:
		return check_enum(k, value, err);
	case CONFIG_WORDS:
		return strv_parse_words(value, &words, err);
	case CONFIG_SIGNAL:
		if (config_parse_signal(value) > 0)
			return 0;
		return err_set(err, -EINVAL, "'%s' is no signal that stasis knows (SIGTERM, SIGINT, SIGQUIT, …)",
			       value);
	case CONFIG_STRING:
		return 0;
	}
	return 0;
}

int config_check(const char *key, const char *value, struct err *err)
{
	const struct config_key *k = config_find(key);
	char *end;
	int r;

	if (!k)
		return unknown_key(key, err);
	if (strchr(key, '=') || !str_is_utf8(key, strlen(key)))
		return err_set(err, -EINVAL, "a configuration key cannot be spelled '%s'", key);
	if (k->is_volatile)
		return err_set(err, -EINVAL, "'%s' is kept by stasis itself and cannot be set", key);
	if (strlen(value) > VALUE_MAX)
		return err_set(err, -EINVAL, "the value of '%s' is longer than %d bytes", key, VALUE_MAX);
	if (str_eq(key, "limits.cpu") && (strtod(value, &end) <= 0 || *end))
		return err_set(err, -EINVAL, "limits.cpu must be a number of processors like 0.5 or 2, not '%s'",
			       value);
	r = check_value(k, value, err);
	return r < 0 ? err_wrap(err, r, "'%s'", key) : 0;
}

const char *config_get(char *const *config, const char *key)
{
	const struct config_key *k = config_find(key);
	const char *value = strv_env_get(config, key);

	return value ? value : k ? k->fallback : NULL;
}

bool config_get_bool(char *const *config, const char *key)
{
	const char *value = config_get(config, key);
	bool truth = false;

	if (value)
		(void)str_to_bool(value, &truth, NULL);
	return truth;
}

int64_t config_get_int(char *const *config, const char *key)
{
	const char *value = config_get(config, key);
	int64_t n = 0;

	if (value)
		(void)str_to_i64(value, INT64_MIN, INT64_MAX, &n, NULL);
	return n;
}

uint64_t config_get_us(char *const *config, const char *key)
{
	const char *value = config_get(config, key);
	uint64_t us = 0;

	if (value)
		(void)str_to_us(value, &us, NULL);
	return us;
}
