/* SPDX-License-Identifier: Apache-2.0 */
/* proof.c - uses the lower rooms only, as an instance would, in folders of its own that are gone afterwards */
#include "engine/proof.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"
#include "base/uuid.h"
#include "engine/state.h"
#include "runtime/conmon.h"
#include "runtime/criu.h"
#include "runtime/crun.h"
#include "runtime/freezer.h"
#include "runtime/netns.h"
#include "runtime/spec.h"

#define STEP_US	 (30 * US_PER_S)
#define COUNT_US (10 * US_PER_S)

struct proof {
	struct engine *engine;
	char uuid[UUID_SIZE];
	char *dir, *rootfs, *images, *work, *netns, *cgroups_path, *log;
	struct cgroup cg;
};

static int copy_guard(const struct proof *p, struct err *err)
{
	autofree char *to = path_join(p->rootfs, "guard");
	autoclose int from_fd = open(p->engine->tools.guard, O_RDONLY | O_CLOEXEC);
	autoclose int to_fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	int r;

	if (from_fd < 0 || to_fd < 0)
		return err_sys(err, "'%s'", from_fd < 0 ? p->engine->tools.guard : to);
	r = file_copy(from_fd, to_fd, err);
	return r < 0 ? r : 0;
}

static void proof_init(struct proof *p, struct engine *e)
{
	p->engine = e;
	uuid_new(p->uuid);
	p->dir = xasprintf("%s/proof", e->settings.run_dir);
	/* where root file systems are: /run may be mounted noexec, and CRIU maps programs again */
	p->rootfs = xasprintf("%s/tmp/proof-%s", e->settings.state_dir, p->uuid);
	p->images = path_join(p->dir, "images");
	p->work = path_join(p->dir, "work");
	p->log = path_join(p->dir, "output.log");
	p->netns = xasprintf("%s/netns/%s", e->settings.run_dir, p->uuid);
	p->cg = (struct cgroup){ .parent = e->settings.cgroup_parent, .uuid = p->uuid };
	p->cgroups_path = cgroup_spec_path(&p->cg);
}

static void proof_done(struct proof *p)
{
	autofree char *criu_root = path_join(p->dir, "criu-root");

	(void)cgroup_remove(&p->cg, CGROUP_ALL, NULL);
	(void)crun_delete(&p->engine->tools, p->uuid, NULL);
	(void)umount2(criu_root, MNT_DETACH);
	(void)umount2(p->rootfs, MNT_DETACH);
	(void)netns_remove(p->netns, NULL);
	(void)path_remove_all(p->rootfs, NULL);
	(void)path_remove_all(p->dir, NULL);
	free(p->dir);
	free(p->rootfs);
	free(p->images);
	free(p->work);
	free(p->log);
	free(p->netns);
	free(p->cgroups_path);
}
AUTO_DEFINE_IN(struct proof, proof_done)

static int make_bundle(const struct proof *p, struct err *err)
{
	AUTO(strv_free) char **args = strv_new("/guard", "proof", NULL);
	const struct spec spec = { .hostname = "proof",
				   .rootfs = p->rootfs,
				   .cgroups_path = p->cgroups_path,
				   .netns = p->netns,
				   .args = args,
				   .is_checkpointable = true };
	const char *const folders[] = { p->rootfs, p->images, p->work };
	int r = path_remove_all(p->dir, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++)
		r = path_mkdirs(folders[i], 0700, err);
	/* CRIU wants its root to be a mount */
	if (r == 0 && mount(p->rootfs, p->rootfs, NULL, MS_BIND, NULL) < 0)
		r = err_sys(err, "cannot mount '%s'", p->rootfs);
	if (r == 0)
		r = copy_guard(p, err);
	if (r == 0)
		r = netns_make(p->netns, err);
	return r == 0 ? spec_write(&spec, p->dir, err) : r;
}

static long read_count(const struct proof *p)
{
	autofree char *path = path_join(p->rootfs, "count");
	autofree char *text = NULL;

	return file_read(path, 64, &text, NULL, NULL) < 0 ? 0 : atol(text);
}

static int await_count(const struct proof *p, long beyond, struct err *err)
{
	uint64_t deadline = clock_mono_us() + COUNT_US;

	while (read_count(p) <= beyond) {
		if (clock_mono_us() > deadline)
			return err_set(err, -EIO, "the test container does not %s",
				       beyond ? "go on after it was continued" : "run");
		clock_sleep_us(2 * US_PER_MS);
	}
	return 0;
}

static int run_conmon(const struct proof *p, bool is_restore, struct err *err)
{
	const struct tools *t = &p->engine->tools;
	AUTO(strv_free) char **flags = strv_new("--tcp-established", NULL);
	const struct conmon_spec spec = { .uuid = p->uuid,
					  .name = "proof",
					  .bundle = p->dir,
					  .log = p->log,
					  .env = t->env,
					  .timeout_us = STEP_US,
					  .log_cap = p->engine->settings.log_cap,
					  .restore_from = is_restore ? p->images : NULL,
					  .restore_flags = flags };
	pid_t init;
	int r = conmon_start(t, &spec, &p->cg, &init, err);

	return r == 0 && !is_restore ? crun_start(t, p->uuid, err) : r;
}

static int dump(const struct proof *p, struct err *err)
{
	const struct tools *t = &p->engine->tools;
	const struct crun_checkpoint cp = { .image_dir = p->images,
					    .work_dir = p->work,
					    .env = t->env,
					    .tcp_established = true,
					    .timeout_us = STEP_US,
					    .log_cap = p->engine->settings.log_cap };
	AUTO(freezer_release) struct freezer hold = FREEZER_NONE;
	int r = freezer_hold(&hold, &p->cg, STEP_US, err);

	if (r == 0)
		r = crun_checkpoint(t, p->uuid, &cp, &p->cg, err);
	if (r == 0)
		freezer_forget(&hold);
	return r;
}

/* What the log says, and the advice that mends most hosts. */
static int explain(const struct proof *p, const char *step, const char *log_dir, const char *log, int r,
		   struct err *err)
{
	autofree char *path = path_join(log_dir, log);
	char meaning[300];

	if (criu_explain(path, meaning, sizeof(meaning)))
		return err_set(
			err, r,
			"%s of a test container failed: %s. Run setup.sh: it installs a criu that serves this kernel",
			step, meaning);
	return err_wrap(err, r, "%s of a test container failed", step);
}

int proof_run(struct engine *e, struct err *err)
{
	AUTO(proof_done) struct proof p = { 0 };
	long before;
	int r;

	proof_init(&p, e);
	r = make_bundle(&p, err);
	if (r == 0)
		r = run_conmon(&p, /* is_restore= */ false, err);
	if (r == 0)
		r = await_count(&p, 0, err);
	if (r < 0)
		return err_wrap(err, r, "a test container cannot be started");
	r = dump(&p, err);
	if (r < 0)
		return explain(&p, "the dump", p.work, "dump.log", r, err);
	before = read_count(&p);
	(void)cgroup_remove(&p.cg, CGROUP_ALL, NULL);
	(void)crun_delete(&e->tools, p.uuid, NULL);
	r = run_conmon(&p, /* is_restore= */ true, err);
	if (r == 0)
		r = await_count(&p, before, err);
	return r < 0 ? explain(&p, "the continuation", p.dir, "restore.log", r, err) : 0;
}
