/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/confined.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "runtime/spec.h"

#define STATUS_MAX 65536
#define MOUNTS_MAX (4 << 20)

/* A dead one that nobody has waited for has neither mounts nor namespaces, and will not run. */
static bool is_dead(pid_t pid)
{
	autofree char *path = xasprintf("/proc/%d/status", pid), *status = NULL;
	const char *state;

	if (file_read(path, STATUS_MAX, &status, NULL, NULL) < 0)
		return false;
	state = strstr(status, "\nState:");
	return state && (str_after(state, "\nState:\tZ") || str_after(state, "\nState:\tX"));
}

/* ---- capabilities ------------------------------------------------------------------------------------------------ */

static int check_capabilities(const char *path, pid_t pid, struct err *err)
{
	static const char *const sets[] = { "\nCapInh:", "\nCapPrm:", "\nCapEff:", "\nCapBnd:", "\nCapAmb:" };
	autofree char *file = xasprintf("%s/status", path), *status = NULL;
	int r = file_read(file, STATUS_MAX, &status, NULL, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(sets); i++) {
		const char *at = strstr(status, sets[i]);
		uint64_t more = at ? strtoull(at + strlen(sets[i]), NULL, 16) & ~spec_capability_bits() : UINT64_MAX;

		if (more)
			r = err_set(err, -EPERM, "process %d would have capabilities that no instance has (%s %llx)",
				    pid, sets[i] + 1, (unsigned long long)more);
	}
	return r;
}

static int check_threads(pid_t pid, struct err *err)
{
	autofree char *path = xasprintf("/proc/%d/task", pid);
	DIR *d = opendir(path);
	struct dirent *e;
	int r = 0;

	if (!d)
		return err_sys(err, "'%s'", path);
	while (r == 0 && (e = readdir(d))) {
		autofree char *task = xasprintf("%s/%s", path, e->d_name);

		if (e->d_name[0] != '.')
			r = check_capabilities(task, pid, err);
	}
	(void)closedir(d);
	return r;
}

/* ---- namespaces -------------------------------------------------------------------------------------------------- */

enum answer { NO, YES, UNKNOWN };

static enum answer is_same_namespace(const char *a, const char *b, const char *type)
{
	autofree char *x = xasprintf("/proc/%s/ns/%s", a, type), *y = xasprintf("/proc/%s/ns/%s", b, type);
	struct stat sx, sy;

	if (stat(x, &sx) < 0 || stat(y, &sy) < 0)
		return UNKNOWN;
	return sx.st_dev == sy.st_dev && sx.st_ino == sy.st_ino ? YES : NO;
}

/* Ours are the host's, but for that of mounts; whose the first process's are we may not be allowed to know. */
static int check_namespaces(pid_t pid, struct err *err)
{
	static const char *const own[] = { "cgroup", "ipc", "mnt", "net", "pid", "uts" };
	autofree char *name = xasprintf("%d", pid);

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (is_same_namespace("self", name, own[i]) != NO || is_same_namespace("1", name, own[i]) == YES)
			return err_set(err, -EPERM, "process %d would be in the host's %s namespace", pid, own[i]);
	return 0;
}

/* ---- mounts ------------------------------------------------------------------------------------------------------ */

struct mount {
	char *root, *point, *options, *type; /* in the line */
};

/* Blanks and the like are written as \040. */
static char *unescape(char *word)
{
	char *to = word;

	for (char *from = word; word && *from; to++) {
		if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	if (word)
		*to = '\0';
	return word;
}

/* "36 35 98:0 /root /point options … - type source super": cuts the line. */
static bool parse_mount(char *line, struct mount *ret)
{
	char *save = NULL, *word = strtok_r(line, " ", &save);
	char *words[6] = { NULL };
	size_t n = 0;

	for (; word && !str_eq(word, "-"); word = strtok_r(NULL, " ", &save))
		if (n < ARRAY_SIZE(words))
			words[n++] = word;
	*ret = (struct mount){ unescape(words[3]), unescape(words[4]), words[5],
			       word ? strtok_r(NULL, " ", &save) : NULL };
	return ret->options && ret->type;
}

static bool is_below(const char *path, const char *dir)
{
	const char *rest = str_after(path, dir);

	return rest && (!*rest || *rest == '/');
}

static bool is_readonly(const struct mount *m)
{
	return str_eq(m->options, "ro") || str_after(m->options, "ro,");
}

/* crun's empty folder, from whatever file system it is on, and /dev/null: what masks. */
static bool is_mask(const struct mount *m)
{
	if (str_eq(m->type, "devtmpfs"))
		return str_eq(m->root, "/null");
	return str_ends(m->root, "/crun/.empty-directory");
}

static bool is_own_mount(const struct mount *m)
{
	if (str_eq(m->type, "overlay"))
		return str_eq(m->point, "/") && str_eq(m->root, "/");
	if (str_eq(m->type, "proc"))
		return is_below(m->point, "/proc") && (str_eq(m->root, "/") || is_readonly(m));
	if (str_eq(m->type, "sysfs"))
		return is_below(m->point, "/sys") && is_readonly(m);
	if (str_eq(m->type, "cgroup2"))
		return is_below(m->point, "/sys/fs/cgroup") && is_readonly(m);
	if (str_eq(m->type, "devpts"))
		return is_below(m->point, "/dev");
	if (str_eq(m->type, "mqueue"))
		return str_eq(m->point, "/dev/mqueue");
	return str_eq(m->type, "tmpfs") && str_eq(m->root, "/");
}

static int check_mounts(pid_t pid, char *const *binds, struct err *err)
{
	autofree char *path = xasprintf("/proc/%d/mountinfo", pid), *text = NULL;
	char *save = NULL;
	int r = file_read(path, MOUNTS_MAX, &text, NULL, err);

	if (r < 0)
		return r;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct mount m;

		if (!parse_mount(line, &m))
			return err_set(err, -EPROTO, "'%s' cannot be read", path);
		if (!is_own_mount(&m) && !is_mask(&m) && !strv_has(binds, m.point))
			return err_set(err, -EPERM, "it would have '%.80s' of a file system of type %.40s at '%.80s'",
				       m.root, m.type, m.point);
	}
	return 0;
}

int confined_check(const struct cgroup *cg, char *const *binds, struct err *err)
{
	autofree pid_t *pids = NULL;
	size_t n = 0;
	int r = cgroup_processes(cg, CGROUP_PAYLOAD, &pids, &n, err);

	if (r == 0 && n == 0)
		r = err_set(err, -ESRCH, "the restored container has no process");
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (is_dead(pids[i]))
			continue;
		r = check_threads(pids[i], err);
		if (r == 0)
			r = check_namespaces(pids[i], err);
		if (r == 0)
			r = check_mounts(pids[i], binds, err);
	}
	return r;
}
