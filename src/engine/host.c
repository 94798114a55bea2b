/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "engine/proof.h"
#include "engine/state.h"
#include "runtime/capability.h"

#define PROOF_MAX 65536

struct host {
	struct engine *engine;
	struct host_info info; /* versions are constant; the result is under the mutex */
	struct mutex mutex;
	struct cond proven;
	bool is_proving;
};

static void find_limits(struct host *h)
{
	char *w = h->info.warnings;
	size_t size = sizeof(h->info.warnings);
	bool is_hybrid = !cgroup_has_controllers();

	(void)snprintf(h->info.cgroups, sizeof(h->info.cgroups), is_hybrid ? "hybrid" : "cgroup2");
	w[0] = 0;
	if (is_hybrid)
		(void)snprintf(w, size, "cgroup v1 holds the memory and pids controllers: limits.* cannot be used. ");
	if (!capability_has(CAPABILITY_SYS_RESOURCE))
		(void)snprintf(
			w + strlen(w), size - strlen(w),
			"CAP_SYS_RESOURCE is missing: instances with processes of other users than root cannot be "
			"checkpointed. ");
}

static void find_versions(struct host *h)
{
	const struct tools *t = &h->engine->tools;
	struct host_info *i = &h->info;
	struct utsname u;

	tools_version(t, t->criu, i->criu_version, sizeof(i->criu_version));
	tools_version(t, t->crun, i->crun_version, sizeof(i->crun_version));
	tools_version(t, t->conmon, i->conmon_version, sizeof(i->conmon_version));
	(void)snprintf(i->criu_path, sizeof(i->criu_path), "%s", t->criu);
	(void)snprintf(i->crun_path, sizeof(i->crun_path), "%s", t->crun);
	(void)snprintf(i->kernel, sizeof(i->kernel), "%s", uname(&u) == 0 ? u.release : "unknown");
}

/* What the result depends on: a change of any of these makes it void. */
static char *fingerprint(const struct host *h)
{
	struct stat criu = { 0 }, crun = { 0 };

	(void)stat(h->info.criu_path, &criu);
	(void)stat(h->info.crun_path, &crun);
	return xasprintf("%s; %s %s %lld; %s %s %lld; %d", h->info.kernel, h->info.criu_path, h->info.criu_version,
			 (long long)criu.st_mtime, h->info.crun_path, h->info.crun_version, (long long)crun.st_mtime,
			 capability_has(CAPABILITY_SYS_RESOURCE));
}

static char *proof_path(const struct host *h)
{
	return path_join(h->engine->settings.state_dir, "proof.json");
}

/* Only a success is remembered: what has failed may have been mended. */
static bool load(struct host *h)
{
	autofree char *path = proof_path(h), *wanted = fingerprint(h);
	AUTO(json_free) struct json *j = NULL;
	const char *of;

	if (json_parse_file(path, PROOF_MAX, &j, NULL) < 0)
		return false;
	of = json_get_str(j, "of");
	if (!of || strcmp(of, wanted) != 0)
		return false;
	h->info.can_checkpoint = true;
	h->info.proof_us = (uint64_t)json_get_int(j, "took_us", 0);
	return true;
}

static void save(const struct host *h)
{
	autofree char *path = proof_path(h), *of = fingerprint(h), *text = NULL;
	AUTO(json_free) struct json *j = json_new_object();

	json_set_str(j, "of", of);
	json_set_int(j, "took_us", (int64_t)h->info.proof_us);
	text = json_print(j, JSON_PRETTY);
	(void)file_write_whole(path, text, strlen(text), 0600, NULL);
}

static void *prove(void *arg)
{
	struct host *h = arg;
	uint64_t began = clock_mono_us();
	struct err err = ERR_INIT;
	int r = proof_run(h->engine, &err);

	mutex_lock(&h->mutex);
	h->info.can_checkpoint = r == 0;
	h->info.proof_us = clock_mono_us() - began;
	(void)snprintf(h->info.reason, sizeof(h->info.reason), "%s", err.text);
	if (r == 0)
		save(h);
	h->is_proving = false;
	cond_broadcast(&h->proven);
	mutex_unlock(&h->mutex);
	return NULL;
}

static void await_locked(struct host *h)
{
	while (h->is_proving)
		cond_wait(&h->proven, &h->mutex);
}

int host_open(struct engine *e, struct host **ret, struct err *err)
{
	struct host *h = xcalloc(1, sizeof(*h));
	int r = 0;

	h->engine = e;
	mutex_init(&h->mutex);
	cond_init(&h->proven);
	find_versions(h);
	find_limits(h);
	if (!load(h)) {
		h->is_proving = true;
		r = thread_detach("proof", prove, h, err);
	}
	if (r < 0) {
		h->is_proving = false;
		host_close(h);
		return r;
	}
	*ret = h;
	return 0;
}

void host_close(struct host *h)
{
	if (!h)
		return;
	mutex_lock(&h->mutex);
	await_locked(h);
	mutex_unlock(&h->mutex);
	cond_done(&h->proven);
	mutex_done(&h->mutex);
	free(h);
}

int host_can_checkpoint(struct engine *e, struct err *err)
{
	struct host *h = e->host;
	SCOPED_LOCK(&h->mutex);

	await_locked(h);
	if (h->info.can_checkpoint)
		return 0;
	return err_set(err, -EOPNOTSUPP, "this host cannot checkpoint: %s", h->info.reason);
}

void host_versions(struct engine *e, const char **ret_criu, const char **ret_crun)
{
	*ret_criu = e->host->info.criu_version;
	*ret_crun = e->host->info.crun_version;
}

void engine_host_info(struct engine *e, struct host_info *ret)
{
	struct host *h = e->host;
	SCOPED_LOCK(&h->mutex);

	await_locked(h);
	*ret = h->info;
}
