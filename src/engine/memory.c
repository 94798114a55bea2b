/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/config.h"
#include "engine/logs.h"
#include "engine/state.h"
#include "runtime/crun.h"

#define RESERVE_BYTES (256ULL << 20) /* of memory, for everybody else */
#define DISK_SLACK    (16ULL << 20)

static uint64_t memory_available(void)
{
	autofree char *text = NULL;
	const char *at;

	if (file_read("/proc/meminfo", 65536, &text, NULL, NULL) < 0)
		return 0;
	at = strstr(text, "MemAvailable:");
	return at ? strtoull(at + strlen("MemAvailable:"), NULL, 10) << 10 : 0;
}

static int check_disk(const char *dir, uint64_t bytes, struct err *err)
{
	struct statvfs fs;
	char need[32], have[32];

	if (statvfs(dir, &fs) < 0)
		return err_sys(err, "'%s'", dir);
	if ((uint64_t)fs.f_bavail * fs.f_frsize >= bytes + DISK_SLACK)
		return 0;
	return err_set(err, -ENOSPC, "no space left for the state: it needs about %s, and '%s' has %s",
		       str_from_bytes(bytes, need, sizeof(need)), dir,
		       str_from_bytes((uint64_t)fs.f_bavail * fs.f_frsize, have, sizeof(have)));
}

int memory_prepare(struct memory *m, const struct instance *in, const char *on_disk, uint64_t bytes, struct err *err)
{
	int r;

	r = check_disk(on_disk, bytes, err);
	if (r < 0)
		return r;
	m->is_in_memory = bytes + bytes / 8 + RESERVE_BYTES < memory_available();
	m->images = m->is_in_memory ? instance_memory_path(in) : xstrdup(on_disk);
	m->work = instance_bundle_path(in, "work");
	m->tcp_established = str_eq(config_get(in->row.config, "checkpoint.tcp"), "keep");
	m->file_locks = config_get_bool(in->row.config, "checkpoint.file_locks");
	if (m->is_in_memory) {
		r = path_remove_all(m->images, err);
		if (r == 0)
			r = path_mkdirs(m->images, 0700, err);
	}
	if (r == 0)
		r = path_remove_all(m->work, err);
	if (r == 0)
		r = path_mkdirs(m->work, 0700, err);
	return r;
}

void memory_done(struct memory *m)
{
	if (m->is_in_memory && m->images)
		(void)path_remove_all(m->images, NULL);
	free(m->images);
	free(m->work);
	*m = (struct memory){ 0 };
}

int memory_dump(struct memory *m, struct instance *in, const struct hook *hook, const char *done, bool leave_running,
		struct err *err)
{
	AUTO(strv_free) char **env = hook_env(hook, done);
	const struct crun_checkpoint cp = {
		.image_dir = m->images,
		.work_dir = m->work,
		.env = env,
		.leave_running = leave_running,
		.tcp_established = m->tcp_established,
		.file_locks = m->file_locks,
		.timeout_us = in->engine->settings.dump_us,
		.log_cap = in->engine->settings.log_cap,
	};
	autofree char *log = path_join(m->work, "dump.log");
	char meaning[480];
	int r, has_error;

	r = crun_checkpoint(&in->engine->tools, in->row.uuid, &cp, &in->cg, err);
	has_error = logs_keep_criu(in, log, "dump", meaning, sizeof(meaning));
	if (r == -EIO && has_error)
		return err_set(err, r, "%s", meaning);
	return r;
}
