/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault.c - named points where tests can make things go wrong
 *
 * How often each point was passed is counted for the process; that is the only state. A change of the text (of the file
 * that STASIS_FAULT_FILE names) begins the counting anew.
 */
#include "base/fault.h"

#include <stddef.h>

/* Sorted, one a line. */
/* clang-format off */
static const char *const FAULT_LIST[] = {
	"boot.begin",
	"checkpoint.copied",
	"checkpoint.dumped",
	"checkpoint.frozen",
	"create.rootfs",
	"create.row",
	"delete.files",
	"delete.row",
	"import.made",
	"restore.committed",
	"restore.done",
	"restore.journal",
	"restore.mounted",
	"restore.resume",
	"restore.verified",
	"rollback.started",
	"rollback.swapped",
	"shutdown.begin",
	"start.created",
	"start.mounted",
	"start.started",
	"stop.committed",
	"stop.copied",
	"stop.dumped",
	"stop.frozen",
	"stop.journal",
	"stop.killed",
	NULL,
};
/* clang-format on */

const char *const *fault_names(void)
{
	return FAULT_LIST;
}

#ifdef STASIS_FAULTS

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "base/sync.h"

#define SPEC_MAX 4096

/* Test code only: the one module besides log.c and main.c with state of its own. */
static struct {
	struct mutex lock;
	uint64_t passed[sizeof(FAULT_LIST) / sizeof(FAULT_LIST[0])];
	char *spec; /* what was counted for */
} state = { .lock = { PTHREAD_MUTEX_INITIALIZER } };

static void bad(const char *what, const char *name)
{
	(void)fprintf(stderr, "fault: %s: '%s'\n", what, name);
	abort();
}

static size_t index_of(const char *name)
{
	for (size_t i = 0; FAULT_LIST[i]; i++)
		if (strcmp(FAULT_LIST[i], name) == 0)
			return i;
	bad("a name that is not in FAULT_LIST", name);
	return 0;
}

/* The text that rules now; a heap string. */
static char *read_spec(void)
{
	const char *path = getenv("STASIS_FAULT_FILE"), *text = getenv("STASIS_FAULT");
	char *s;

	if (!path)
		return xstrdup(text ? text : "");
	if (file_read(path, SPEC_MAX, &s, NULL, NULL) < 0)
		return xstrdup("");
	str_rtrim(s);
	return s;
}

/* Counts the passage of @name under @spec: 1 for the first. */
static uint64_t count(const char *name, const char *spec)
{
	SCOPED_LOCK(&state.lock);
	if (!str_eq(state.spec, spec)) {
		free(state.spec);
		state.spec = xstrdup(spec);
		memset(state.passed, 0, sizeof(state.passed));
	}
	return ++state.passed[index_of(name)];
}

static int act(const char *what, const char *name, struct err *err)
{
	const char *ms = str_after(what, "sleep");
	int64_t n;

	if (strcmp(what, "fail") == 0)
		return err_set(err, -EIO, "fault injected at %s", name);
	if (strcmp(what, "enospc") == 0)
		return err_set(err, -ENOSPC, "fault injected at %s: no space left on device", name);
	if (strcmp(what, "kill") == 0)
		(void)kill(getpid(), SIGKILL);
	else if (strcmp(what, "stop") == 0)
		(void)kill(getpid(), SIGSTOP);
	else if (ms && str_to_i64(ms, 0, 3600000, &n, NULL) == 0)
		clock_sleep_us((uint64_t)n * US_PER_MS);
	else
		bad("an action that does not exist", what);
	return 0;
}

/* One "name=what[:count]". A name that does not exist would be a test that tests nothing. */
static int obey(char *rule, const char *name, uint64_t passage, struct err *err)
{
	char *what = strchr(rule, '='), *nth;
	int64_t n;

	if (!what)
		bad("'name=what' is expected", rule);
	*what++ = '\0';
	(void)index_of(rule);
	if (strcmp(rule, name) != 0)
		return 0;
	nth = strchr(what, ':');
	if (nth) {
		*nth++ = '\0';
		if (str_to_i64(nth, 1, INT64_MAX, &n, NULL) < 0)
			bad("not a count", nth);
		if ((uint64_t)n != passage)
			return 0;
	}
	return act(what, name, err);
}

int fault_hit(const char *name, struct err *err)
{
	autofree char *spec = read_spec();
	uint64_t passage = count(name, spec);
	AUTO(strv_free) char **rules = NULL;
	int r = 0;

	if (!*spec)
		return 0;
	rules = strv_split(spec, ',');
	for (size_t i = 0; rules[i] && r == 0; i++)
		if (rules[i][0])
			r = obey(rules[i], name, passage, err);
	return r;
}

#endif
