/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/crun.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/strv.h"

#define COMMAND_US (60 * US_PER_S)
#define STATUS_MAX (1 << 20)
#define OUTPUT_MAX 65536

static int run(const struct tools *t, char **argv, struct err *err)
{
	const struct proc_spec spec = { .argv = argv, .env = t->env };
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;

	return proc_run(&spec, COMMAND_US, &out, OUTPUT_MAX, NULL, err);
}

int crun_start(const struct tools *t, const char *uuid, struct err *err)
{
	AUTO(strv_free) char **argv = strv_new(t->crun, "start", uuid, NULL);

	return run(t, argv, err);
}

int crun_kill(const struct tools *t, const char *uuid, int signal, struct err *err)
{
	AUTO(strv_free) char **argv = strv_new(t->crun, "kill", uuid, NULL);

	strv_addf(&argv, "%d", signal);
	return run(t, argv, err);
}

int crun_delete(const struct tools *t, const char *uuid, struct err *err)
{
	AUTO(strv_free) char **argv = strv_new(t->crun, "delete", "--force", uuid, NULL);

	return run(t, argv, err);
}

int crun_stdio_of_created(const char *run_dir, const char *uuid, char **ret, struct err *err)
{
	autofree char *path = xasprintf("%s/crun/%s/status", run_dir, uuid);
	AUTO(json_free) struct json *j = NULL;
	const char *text;
	int r = json_parse_file(path, STATUS_MAX, &j, err);

	if (r < 0)
		return r;
	text = json_get_str(j, "external_descriptors");
	if (!text)
		return err_set(err, -EPROTO, "crun's status '%s' has no external_descriptors", path);
	*ret = xstrdup(text);
	return 0;
}

static char **checkpoint_argv(const struct tools *t, const char *uuid, const struct crun_checkpoint *cp,
			      const char *cgroup)
{
	char **v = strv_new(t->guard, "confine", cgroup, t->crun, "checkpoint", "--image-path", cp->image_dir,
			    "--work-path", cp->work_dir, NULL);

	if (cp->leave_running)
		strv_add(&v, "--leave-running");
	if (cp->tcp_established)
		strv_add(&v, "--tcp-established");
	if (cp->file_locks)
		strv_add(&v, "--file-locks");
	strv_add(&v, uuid);
	return v;
}

/* Waits for crun, in slices, so that a log without end and a dump without end are both ended. */
static int supervise(struct proc *p, const struct crun_checkpoint *cp, const struct cgroup *cg, int *ret_status,
		     struct err *err)
{
	autofree char *log = path_join(cp->work_dir, "dump.log");
	uint64_t deadline = clock_mono_us() + cp->timeout_us;
	const char *why = NULL;
	struct stat st;
	int r;

	while ((r = proc_wait(p, 100 * US_PER_MS, ret_status, err)) == 0) {
		if (clock_mono_us() >= deadline)
			why = "the dump took too long and was ended";
		else if (stat(log, &st) == 0 && (uint64_t)st.st_size > cp->log_cap)
			why = "CRIU fills its log without end and was ended";
		if (!why)
			continue;
		(void)cgroup_kill(cg, CGROUP_DUMP, 10 * US_PER_S, NULL);
		(void)proc_wait(p, 10 * US_PER_S, ret_status, NULL);
		return err_set(err, -ETIMEDOUT, "%s", why);
	}
	return r < 0 ? r : 0;
}

int crun_checkpoint(const struct tools *t, const char *uuid, const struct crun_checkpoint *cp, const struct cgroup *cg,
		    struct err *err)
{
	autofree char *cgroup = cgroup_path(cg, CGROUP_DUMP);
	AUTO(strv_free) char **argv = checkpoint_argv(t, uuid, cp, cgroup);
	const struct proc_spec spec = { .argv = argv, .env = cp->env, .cwd = cp->work_dir };
	AUTO(proc_done) struct proc p = PROC_NONE;
	int status = 0, r;

	r = cgroup_make(cg, CGROUP_DUMP, err);
	if (r == 0)
		r = proc_start(&p, &spec, err);
	if (r == 0)
		r = supervise(&p, cp, cg, &status, err);
	if (r < 0)
		return r;
	/* crun may be gone before its criu (somebody killed it): the dump is over when the cgroup is empty */
	if (!cgroup_wait_empty(cg, CGROUP_DUMP, cp->timeout_us))
		return cgroup_kill(cg, CGROUP_DUMP, 10 * US_PER_S, err);
	if (status != 0)
		return err_set(err, -EIO, "crun checkpoint failed (wait status %#x)", status);
	return 0;
}

char **crun_exec_argv(const struct tools *t, const char *uuid, const struct crun_exec *ex, const char *pidfile)
{
	char **v = strv_new(t->crun, "exec", "--pid-file", pidfile, NULL);

	if (ex->has_tty)
		strv_add(&v, "--tty");
	if (ex->cwd && *ex->cwd) {
		strv_add(&v, "--cwd");
		strv_add(&v, ex->cwd);
	}
	if (ex->uid >= 0)
		strv_addf(&v, "--user=%lld:%lld", (long long)ex->uid, (long long)(ex->gid >= 0 ? ex->gid : 0));
	for (size_t i = 0; ex->env && ex->env[i]; i++) {
		strv_add(&v, "--env");
		strv_add(&v, ex->env[i]);
	}
	strv_add(&v, uuid);
	strv_add_all(&v, ex->command);
	return v;
}
