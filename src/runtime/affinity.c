/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/affinity.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#define STATUS_MAX 65536
#define MASK_MAX   4096

/* A field of /proc/…/status up to the end of its line, a heap string or NULL. */
static char *status_word(const char *status, const char *field)
{
	const char *at = strstr(status, field);

	if (!at)
		return NULL;
	at += strlen(field);
	at += strspn(at, " \t");
	return xstrndup(at, strcspn(at, "\n"));
}

/* "4711	7": the thread as the container counts. */
static int64_t innermost(const char *nspid)
{
	const char *last = nspid ? strrchr(nspid, '\t') : NULL;

	return nspid ? strtoll(last ? last : nspid, NULL, 10) : 0;
}

struct thread {
	pid_t tid; /* on the host */
	int64_t inner;
	char *cpus;
};

static int read_thread(pid_t pid, const char *name, struct thread *ret)
{
	autofree char *path = xasprintf("/proc/%d/task/%s/status", pid, name);
	autofree char *status = NULL, *nspid = NULL;

	if (file_read(path, STATUS_MAX, &status, NULL, NULL) < 0)
		return -ESRCH;
	nspid = status_word(status, "\nNSpid:");
	*ret = (struct thread){ .tid = (pid_t)atoi(name),
				.inner = innermost(nspid),
				.cpus = status_word(status, "\nCpus_allowed:") };
	return ret->cpus ? 0 : -ESRCH;
}

/* Calls @fn for each thread of the payload. */
static int each_thread(const struct cgroup *cg, void (*fn)(const struct thread *t, void *ctx), void *ctx,
		       struct err *err)
{
	autofree pid_t *pids = NULL;
	size_t n = 0;
	int r = cgroup_processes(cg, CGROUP_PAYLOAD, &pids, &n, err);

	for (size_t i = 0; r == 0 && i < n; i++) {
		autofree char *dir = xasprintf("/proc/%d/task", pids[i]);
		DIR *d = opendir(dir);
		struct dirent *e;

		while (d && (e = readdir(d))) {
			struct thread t;

			if (e->d_name[0] == '.' || read_thread(pids[i], e->d_name, &t) < 0)
				continue;
			fn(&t, ctx);
			free(t.cpus);
		}
		if (d)
			(void)closedir(d);
	}
	return r;
}

struct reading {
	char *ours;
	struct json *list;
};

static void note(const struct thread *t, void *ctx)
{
	struct reading *reading = ctx;
	struct json *o;

	if (str_eq(t->cpus, reading->ours))
		return;
	o = json_new_object();
	json_set_int(o, "tid", t->inner);
	json_set_str(o, "cpus", t->cpus);
	json_add(reading->list, o);
}

int affinity_read(const struct cgroup *cg, struct json **ret, struct err *err)
{
	AUTO(json_free) struct json *list = json_new_array();
	autofree char *status = NULL, *ours = NULL;
	struct reading reading = { .list = list };
	int r = file_read("/proc/self/status", STATUS_MAX, &status, NULL, err);

	if (r < 0)
		return r;
	ours = status_word(status, "\nCpus_allowed:");
	reading.ours = ours;
	r = each_thread(cg, note, &reading, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(list);
	return 0;
}

/* "ff,00000001": words of 32 bits, the highest first. */
static bool parse_mask(const char *text, cpu_set_t *set)
{
	size_t n = strlen(text), bit = 0;

	CPU_ZERO(set);
	if (n == 0 || n > MASK_MAX)
		return false;
	for (size_t i = n; i-- > 0;) {
		const char *digits = "0123456789abcdef", *at = strchr(digits, text[i]);

		if (text[i] == ',')
			continue;
		if (!at)
			return false;
		for (size_t b = 0; b < 4; b++, bit++)
			if (((size_t)(at - digits) >> b & 1) && bit < CPU_SETSIZE)
				CPU_SET(bit, set);
	}
	return CPU_COUNT(set) > 0;
}

static void give_back(const struct thread *t, void *ctx)
{
	const struct json *list = ctx;

	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *o = json_item(list, i);
		const char *cpus = json_get_str(o, "cpus");
		cpu_set_t set;

		if (json_get_int(o, "tid", -1) == t->inner && cpus && parse_mask(cpus, &set))
			(void)sched_setaffinity(t->tid, sizeof(set), &set); /* fails where no such processor is */
	}
}

int affinity_apply(const struct cgroup *cg, const struct json *list, struct err *err)
{
	if (json_len(list) == 0)
		return 0;
	return each_thread(cg, give_back, (void *)list, err);
}
