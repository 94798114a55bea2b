/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c - opening and closing the fake, and what its host can do */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/lifecycle.h"
#include "engine/operation.h"
#include "engine/state.h"
#include "fake/fake.h"

struct whole {
	struct engine engine; /* operation.c looks into it */
	struct fake fake;
};

struct fake *fake_of(struct engine *e)
{
	return &list_of(e, struct whole, engine)->fake;
}

int engine_open(const struct settings *settings, struct engine **ret, struct err *err)
{
	struct whole *w = xcalloc(1, sizeof(*w));
	int r;

	settings_init(&w->engine.settings);
	r = settings_set(&w->engine.settings, "socket", settings->socket, err);
	if (r >= 0)
		r = settings_set(&w->engine.settings, "log_dir", settings->log_dir, err);
	if (r >= 0)
		r = path_mkdirs(settings->log_dir, 0700, err);
	w->engine.settings.parallel = settings->parallel;
	w->engine.operations = operations_new();
	w->fake.engine = &w->engine;
	w->fake.log_dir = xstrdup(settings->log_dir);
	mutex_init(&w->fake.mutex);
	list_init(&w->fake.instances);
	list_init(&w->fake.images);
	list_init(&w->fake.checkpoints);
	fake_images_init(&w->fake);
	if (r < 0) {
		engine_close(&w->engine);
		return r;
	}
	*ret = &w->engine;
	return 0;
}

void engine_close(struct engine *e)
{
	struct whole *w = list_of(e, struct whole, engine);

	if (!e)
		return;
	operations_free(e->operations);
	fake_checkpoints_done(&w->fake);
	fake_instances_done(&w->fake);
	fake_images_done(&w->fake);
	strv_free(w->fake.volumes);
	mutex_done(&w->fake.mutex);
	free(w->fake.log_dir);
	settings_done(&e->settings);
	free(w);
}

const struct settings *engine_settings(const struct engine *e)
{
	return &e->settings;
}

void engine_host_info(struct engine *e, struct host_info *ret)
{
	*ret = (struct host_info){ .can_checkpoint = true, .proof_us = 420000 };
	strcpy(ret->criu_version, "4.2");
	strcpy(ret->criu_path, "/usr/sbin/criu");
	strcpy(ret->crun_version, "1.28");
	strcpy(ret->kernel, "6.18.0");
	strcpy(ret->cgroups, "cgroup2");
}

int engine_shutdown(struct engine *e, struct operation *op, struct err *err)
{
	operation_progress(op, "shutdown_progress", "0 of 0");
	return 0;
}

int engine_boot(struct engine *e, struct operation *op, struct err *err)
{
	return 0;
}

int lifecycle_check(struct engine *e, const char *name, struct check_report **ret, struct err *err)
{
	AUTO(instance_info_free) struct instance_info *info = NULL;
	struct check_report *report;
	int r;

	r = instance_info(e, name, /* live= */ false, &info, err);
	if (r < 0)
		return r;
	report = xcalloc(1, sizeof(*report));
	report->processes = 2;
	report->threads = 3;
	report->memory_bytes = 4096;
	report->n_obstacles = 1;
	report->obstacles = xcalloc(1, sizeof(*report->obstacles));
	report->obstacles[0] = (struct obstacle){
		.pid = 7,
		.command = xstrdup("ringer"),
		.resource = xstrdup("file descriptor 5: anon_inode:[io_uring]"),
		.remedy = xstrdup("use epoll"),
		.is_fatal = true,
	};
	*ret = report;
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
