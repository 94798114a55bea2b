/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - can it be checkpointed, and if not why: asked alone, and before every dump */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/check.h"
#include "engine/host.h"
#include "engine/lifecycle.h"
#include "engine/state.h"
#include "runtime/preflight.h"

static void note_losses(const struct instance *in, const struct preflight *p)
{
	for (size_t i = 0; i < p->n_findings; i++)
		if (!p->findings[i].is_fatal)
			instance_note(in, "a dump loses something of process '%s' (pid %d): %s; %s",
				      p->findings[i].command, p->findings[i].pid, p->findings[i].resource,
				      p->findings[i].remedy);
}

int check_before_dump(struct instance *in, struct preflight *ret, struct err *err)
{
	char obstacle[400];
	int r = host_can_checkpoint(in->engine, err);

	if (r == 0)
		r = preflight_run(&in->cg, in->init, ret, err);
	if (r < 0)
		return r;
	if (preflight_explain(ret, obstacle, sizeof(obstacle)))
		return err_set(err, -EINVAL, "it cannot be saved now: %s", obstacle);
	note_losses(in, ret);
	return 0;
}

static struct check_report *convert(struct preflight *p)
{
	struct check_report *r = xcalloc(1, sizeof(*r));

	r->obstacles = xcalloc(p->n_findings + 1, sizeof(*r->obstacles));
	for (size_t i = 0; i < p->n_findings; i++)
		r->obstacles[r->n_obstacles++] = (struct obstacle){
			.pid = p->findings[i].pid,
			.command = xstrdup(p->findings[i].command),
			.resource = TAKE_PTR(p->findings[i].resource),
			.remedy = TAKE_PTR(p->findings[i].remedy),
			.is_fatal = p->findings[i].is_fatal,
		};
	r->processes = p->processes;
	r->threads = p->threads;
	r->memory_bytes = p->memory_bytes;
	return r;
}

int lifecycle_check(struct engine *e, const char *name, struct check_report **ret, struct err *err)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;
	AUTO(preflight_done) struct preflight report = { 0 };
	struct cgroup cg;
	int r;

	r = instance_info(e, name, /* live= */ false, &info, err);
	if (r < 0)
		return r;
	if (!info->pid)
		return err_set(err, -EINVAL, "'%s' is not running: there is nothing to check", name);
	r = host_can_checkpoint(e, err);
	if (r < 0)
		return r;
	cg = (struct cgroup){ .parent = e->settings.cgroup_parent, .uuid = info->uuid };
	r = preflight_run(&cg, info->pid, &report, err);
	if (r < 0)
		return err_wrap(err, r, "cannot look into '%s'", name);
	*ret = convert(&report);
	return 0;
}

void check_report_free(struct check_report *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_obstacles; i++) {
		free(r->obstacles[i].command);
		free(r->obstacles[i].resource);
		free(r->obstacles[i].remedy);
	}
	free(r->obstacles);
	free(r);
}
