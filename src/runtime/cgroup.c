/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define SMALL	    65536

static const char *const part_names[] = {
	[CGROUP_PAYLOAD] = "/payload",
	[CGROUP_MONITOR] = "/monitor",
	[CGROUP_DUMP] = "/dump",
	[CGROUP_ALL] = "",
};

char *cgroup_path(const struct cgroup *cg, enum cgroup_part part)
{
	return xasprintf(CGROUP_ROOT "/%s/%s%s", cg->parent, cg->uuid, part_names[part]);
}

char *cgroup_spec_path(const struct cgroup *cg)
{
	return xasprintf("/%s/%s%s", cg->parent, cg->uuid, part_names[CGROUP_PAYLOAD]);
}

char *cgroup_file(const struct cgroup *cg, enum cgroup_part part, const char *file)
{
	return xasprintf(CGROUP_ROOT "/%s/%s%s/%s", cg->parent, cg->uuid, part_names[part], file);
}

int cgroup_make(const struct cgroup *cg, enum cgroup_part part, struct err *err)
{
	autofree char *path = cgroup_path(cg, part);

	return path_mkdirs(path, 0755, err);
}

bool cgroup_has_controllers(void)
{
	autofree char *text = NULL;

	return file_read(CGROUP_ROOT "/cgroup.controllers", SMALL, &text, NULL, NULL) == 0 && strstr(text, "memory") &&
	       strstr(text, "pids");
}

bool cgroup_exists(const struct cgroup *cg, enum cgroup_part part)
{
	autofree char *path = cgroup_path(cg, part);

	return path_exists(path);
}

static bool events_say_populated(int fd)
{
	char text[256];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = 0;
	return strstr(text, "populated 1") != NULL;
}

bool cgroup_is_populated(const struct cgroup *cg, enum cgroup_part part)
{
	autofree char *path = cgroup_file(cg, part, "cgroup.events");
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && events_say_populated(fd);
}

int cgroup_wait_empty(const struct cgroup *cg, enum cgroup_part part, uint64_t timeout_us)
{
	autofree char *path = cgroup_file(cg, part, "cgroup.events");
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t deadline = clock_mono_us() + timeout_us;
	struct pollfd p = { .fd = fd, .events = POLLPRI };

	while (fd >= 0 && events_say_populated(fd)) {
		uint64_t now = clock_mono_us();

		if (now >= deadline)
			return 0;
		/* the kernel tells of a change by POLLPRI; the cap is for a change between the read and the poll */
		(void)poll(&p, 1, (int)((deadline - now) / US_PER_MS < 20 ? (deadline - now) / US_PER_MS + 1 : 20));
	}
	return 1;
}

int cgroup_kill(const struct cgroup *cg, enum cgroup_part part, uint64_t timeout_us, struct err *err)
{
	autofree char *path = cgroup_file(cg, part, "cgroup.kill");
	int r;

	if (!path_exists(path))
		return 0;
	r = file_poke(path, "1", err);
	if (r < 0)
		return r;
	if (!cgroup_wait_empty(cg, part, timeout_us))
		return err_set(err, -ETIMEDOUT, "processes in '%s' do not end although killed", path);
	return 0;
}

int cgroup_attach(const struct cgroup *cg, enum cgroup_part part, pid_t pid, struct err *err)
{
	autofree char *path = cgroup_file(cg, part, "cgroup.procs");
	char text[24];

	(void)snprintf(text, sizeof(text), "%d", pid);
	return file_poke(path, text, err);
}

/* Calls @fn for @dir and every folder below, deepest first. */
static int each_folder(const char *dir, int (*fn)(const char *dir, void *ctx), void *ctx)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int r = 0;

	if (!d)
		return -errno;
	while (r >= 0 && (e = readdir(d))) {
		autofree char *sub = NULL;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		sub = path_join(dir, e->d_name);
		r = each_folder(sub, fn, ctx);
	}
	(void)closedir(d);
	return r < 0 ? r : fn(dir, ctx);
}

static int remove_folder(const char *dir, void *ctx)
{
	(void)ctx;
	return rmdir(dir) < 0 && errno != ENOENT ? -errno : 0;
}

int cgroup_remove(const struct cgroup *cg, enum cgroup_part part, struct err *err)
{
	autofree char *path = cgroup_path(cg, part);
	int r = 0;

	if (!path_exists(path))
		return 0;
	r = cgroup_kill(cg, part, 10 * US_PER_S, err);
	if (r < 0)
		return r;
	/* "not populated" comes a moment before the last task has left: EBUSY is then for microseconds */
	for (int tries = 0; tries < 200; tries++) {
		r = each_folder(path, remove_folder, NULL);
		if (r != -EBUSY)
			break;
		clock_sleep_us(5 * US_PER_MS);
	}
	if (r < 0 && r != -ENOENT)
		return err_set(err, r, "cannot remove cgroup '%s': %s", path, strerror(-r));
	return 0;
}

bool cgroup_has_process(const struct cgroup *cg, enum cgroup_part part, pid_t pid)
{
	autofree char *proc = xasprintf("/proc/%d/cgroup", pid);
	autofree char *ours = xasprintf("/%s/%s%s", cg->parent, cg->uuid, part_names[part]);
	autofree char *text = NULL;
	const char *line;

	if (file_read(proc, SMALL, &text, NULL, NULL) < 0)
		return false;
	line = strstr(text, "0::");
	while (line && line != text && line[-1] != '\n')
		line = strstr(line + 1, "0::");
	if (!line)
		return false;
	line = str_after(line + 3, ours);
	return line && (*line == '\n' || *line == '/');
}

struct pids {
	pid_t *v;
	size_t n;
};

static int add_pids(const char *dir, void *ctx)
{
	autofree char *path = path_join(dir, "cgroup.procs");
	autofree char *text = NULL;
	struct pids *pids = ctx;
	char *save = NULL;

	if (file_read(path, 1 << 20, &text, NULL, NULL) < 0)
		return 0; /* gone meanwhile */
	for (char *w = strtok_r(text, "\n", &save); w; w = strtok_r(NULL, "\n", &save)) {
		pids->v = xreallocarray(pids->v, pids->n + 1, sizeof(pid_t));
		pids->v[pids->n++] = (pid_t)atoi(w);
	}
	return 0;
}

int cgroup_processes(const struct cgroup *cg, enum cgroup_part part, pid_t **ret, size_t *ret_n, struct err *err)
{
	autofree char *path = cgroup_path(cg, part);
	struct pids pids = { 0 };
	int r = each_folder(path, add_pids, &pids);

	if (r < 0) {
		free(pids.v);
		return err_set(err, r, "cannot read cgroup '%s': %s", path, strerror(-r));
	}
	*ret = pids.v;
	*ret_n = pids.n;
	return 0;
}

static uint64_t resident_bytes(pid_t pid)
{
	autofree char *path = xasprintf("/proc/%d/statm", pid);
	autofree char *text = NULL;
	unsigned long size, resident;

	if (file_read(path, SMALL, &text, NULL, NULL) < 0 || sscanf(text, "%lu %lu", &size, &resident) != 2)
		return 0;
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

void cgroup_stats(const struct cgroup *cg, struct cgroup_stats *ret)
{
	autofree char *cpu = cgroup_file(cg, CGROUP_PAYLOAD, "cpu.stat");
	autofree char *memory = cgroup_file(cg, CGROUP_PAYLOAD, "memory.current");
	autofree char *text = NULL, *bytes = NULL;
	autofree pid_t *pids = NULL;
	const char *usage;
	size_t n = 0;

	*ret = (struct cgroup_stats){ 0 };
	(void)cgroup_processes(cg, CGROUP_PAYLOAD, &pids, &n, NULL);
	ret->processes = (int64_t)n;
	if (file_read(memory, SMALL, &bytes, NULL, NULL) == 0)
		ret->memory_bytes = strtoull(bytes, NULL, 10);
	else
		for (size_t i = 0; i < n; i++)
			ret->memory_bytes += resident_bytes(pids[i]);
	if (file_read(cpu, SMALL, &text, NULL, NULL) < 0)
		return;
	usage = strstr(text, "usage_usec ");
	if (usage)
		ret->cpu_ns = strtoull(usage + strlen("usage_usec "), NULL, 10) * 1000;
}
