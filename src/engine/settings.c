/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/settings.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"

#define FILE_MAX_SIZE 65536
#define RUN_DIR_MAX   50 /* sockets below it must fit into 108 bytes */

enum kind { KIND_PATH, KIND_STRING, KIND_INT, KIND_TIME, KIND_SIZE };

static const struct row {
	struct setting_row public;
	enum kind kind;
	size_t offset;
} rows[] = {
#define ROW_AS(key, field, kind, fallback, help)                                                                       \
	{                                                                                                              \
		{ #key, fallback, help }, kind, offsetof(struct settings, field)                                       \
	}
#define ROW(name, kind, fallback, help) ROW_AS(name, name, kind, fallback, help)
	ROW(bridge, KIND_STRING, "stasis0", "bridge of the default network"),
	ROW(cgroup_parent, KIND_STRING, "stasis", "cgroup of all instances, below the root of cgroup2"),
	ROW_AS(dump_timeout, dump_us, KIND_TIME, "10m", "longest time for one dump"),
	ROW_AS(freeze_timeout, freeze_us, KIND_TIME, "10s", "longest time to try to freeze an instance"),
	ROW(guard, KIND_PATH, "", "our program stasis-guard; empty: beside the daemon's own files"),
	ROW(log_cap, KIND_SIZE, "64M", "a CRIU log that grows beyond this ends the run"),
	ROW(log_dir, KIND_PATH, "/var/log/stasis", "logs of the instances"),
	ROW(log_level, KIND_STRING, "info", "error, warn, info or debug"),
	ROW(parallel, KIND_INT, "0",
	    "instances started or stopped at the same time; 0: twice the number of processors"),
	ROW_AS(proof_time, proof_us, KIND_TIME, "10s", "a continued container that has run so long has proven itself"),
	ROW_AS(restore_timeout, restore_us, KIND_TIME, "10m", "longest time for one restore"),
	ROW(run_dir, KIND_PATH, "/run/stasis", "socket, bundles, namespaces: what a reboot may take"),
	ROW(socket, KIND_PATH, "", "the API's socket; empty: RUN_DIR/stasis.socket"),
	ROW(socket_group, KIND_STRING, "stasis", "group that may use the socket"),
	ROW(state_dir, KIND_PATH, "/var/lib/stasis", "database, images, root file systems, saved states"),
	ROW(tools_dir, KIND_PATH, "/usr/local/lib/stasis/bin", "folder searched before PATH for crun, criu and conmon"),
#undef ROW
#undef ROW_AS
};

const struct setting_row *settings_row(size_t i)
{
	return i < ARRAY_SIZE(rows) ? &rows[i].public : NULL;
}

static const struct row *find(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (str_eq(rows[i].public.key, key))
			return &rows[i];
	return NULL;
}

static int set_string(char **field, const struct row *row, const char *value, struct err *err)
{
	if (row->kind == KIND_PATH && *value && *value != '/')
		return err_set(err, -EINVAL, "%s must be an absolute path, not '%s'", row->public.key, value);
	if (strpbrk(value, "\n\"\\") || (str_eq(row->public.key, "run_dir") && strpbrk(value, " \t")))
		return err_set(err, -EINVAL, "%s must not hold blanks, quotes or backslashes", row->public.key);
	if (str_eq(row->public.key, "run_dir") && strlen(value) > RUN_DIR_MAX)
		return err_set(err, -EINVAL,
			       "run_dir must not be longer than %d characters (sockets lie below it): '%s'",
			       RUN_DIR_MAX, value);
	if (str_eq(row->public.key, "cgroup_parent") && !path_is_name(value))
		return err_set(err, -EINVAL, "cgroup_parent must be one name, not '%s'", value);
	free(*field);
	*field = xstrdup(value);
	return 0;
}

int settings_set(struct settings *s, const char *key, const char *value, struct err *err)
{
	const struct row *row = find(key);
	void *field;

	if (!row) {
		AUTO(strbuf_done) struct strbuf known = STRBUF_INIT;

		for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
			strbuf_addf(&known, "%s%s", i ? ", " : "", rows[i].public.key);
		return err_set(err, -ENOENT, "there is no setting '%s' (there are %s)", key, known.s);
	}
	field = (char *)s + row->offset;
	switch (row->kind) {
	case KIND_PATH:
	case KIND_STRING:
		return set_string(field, row, value, err);
	case KIND_INT: {
		int r = str_to_i64(value, 0, 1000000, field, err);

		return r < 0 ? err_wrap(err, r, "%s", key) : 0;
	}
	case KIND_TIME: {
		int r = str_to_us(value, field, err);

		return r < 0 ? err_wrap(err, r, "%s", key) : 0;
	}
	case KIND_SIZE: {
		int r = str_to_bytes(value, field, err);

		return r < 0 ? err_wrap(err, r, "%s", key) : 0;
	}
	}
	return 0;
}

void settings_init(struct settings *s)
{
	*s = (struct settings){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		(void)settings_set(s, rows[i].public.key, rows[i].public.fallback, NULL);
}

static char **string_of(struct settings *s, const struct row *row)
{
	return row->kind == KIND_PATH || row->kind == KIND_STRING ? (char **)((char *)s + row->offset) : NULL;
}

void settings_copy(struct settings *to, const struct settings *from)
{
	*to = *from;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char **string = string_of(to, &rows[i]);

		if (string)
			*string = xstrdup(*string);
	}
}

void settings_done(struct settings *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (string_of(s, &rows[i]))
			free(*string_of(s, &rows[i]));
	*s = (struct settings){ 0 };
}

int settings_set_root(struct settings *s, const char *root, struct err *err)
{
	static const struct {
		const char *key, *below;
	} dirs[] = { { "state_dir", "lib" }, { "run_dir", "run" }, { "log_dir", "log" } };
	char hex[DIGEST_HEX_SIZE];
	autofree char *parent = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		autofree char *path = path_join(root, dirs[i].below);
		int r = settings_set(s, dirs[i].key, path, err);

		if (r < 0)
			return err_wrap(err, r, "--root");
	}
	digest_of(root, strlen(root), hex);
	parent = xasprintf("stasis-%.8s", hex);
	return settings_set(s, "cgroup_parent", parent, err);
}

static int set_line(struct settings *s, char *line, struct err *err)
{
	char *eq, *key = line + strspn(line, " \t");

	str_rtrim(key);
	if (!*key || *key == '#')
		return 0;
	eq = strchr(key, '=');
	if (!eq)
		return err_set(err, -EINVAL, "expected key = value, not '%s'", key);
	*eq = 0;
	str_rtrim(key);
	return settings_set(s, key, eq + 1 + strspn(eq + 1, " \t"), err);
}

int settings_read_file(struct settings *s, const char *path, struct err *err)
{
	autofree char *text = NULL;
	int line_no = 0, r;

	r = file_read(path, FILE_MAX_SIZE, &text, NULL, err);
	if (r < 0)
		return r;
	for (char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		line_no++;
		r = set_line(s, line, err);
		if (r < 0)
			return err_wrap(err, r, "%s:%d", path, line_no);
	}
	return 0;
}

int settings_read_env(struct settings *s, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		autofree char *name = xasprintf("STASIS_%s", rows[i].public.key);
		const char *value;
		int r;

		for (char *c = name; *c; c++)
			*c = (char)toupper((unsigned char)*c);
		value = getenv(name);
		if (!value)
			continue;
		r = settings_set(s, rows[i].public.key, value, err);
		if (r < 0)
			return err_wrap(err, r, "environment variable %s", name);
	}
	return 0;
}
