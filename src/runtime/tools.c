/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/tools.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/strv.h"
#include "runtime/mntns.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static char *find_in_path(const char *path, const char *name)
{
	AUTO(strv_free) char **dirs = strv_split(path, ':');

	for (size_t i = 0; dirs[i]; i++) {
		autofree char *file = path_join(dirs[i], name);

		if (dirs[i][0] == '/' && access(file, X_OK) == 0)
			return TAKE_PTR(file);
	}
	return NULL;
}

static int find_all(struct tools *t, const char *path, struct err *err)
{
	const struct {
		const char *name;
		char **ret;
	} wanted[] = { { "conmon", &t->conmon }, { "criu", &t->criu }, { "crun", &t->crun } };

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		*wanted[i].ret = find_in_path(path, wanted[i].name);
		if (!*wanted[i].ret)
			return err_set(err, -ENOENT, "program '%s' is missing: setup.sh installs it (looked in %s)",
				       wanted[i].name, path);
	}
	return 0;
}

/*
 * What the runtime has no flag for. The empty controller name keeps CRIU away from cgroup v1 hierarchies on hybrid
 * hosts, where the restore would write into the host's own; link-remap and ghost-limit let files that are open without
 * a name be dumped; skip-in-flight ignores connections that nobody has accepted yet (their clients connect again).
 */
static int write_criu_conf(const char *path, const char *hook, struct err *err)
{
	autofree char *text = xasprintf("network-lock nftables\n"
					"cgroup-dump-controller=\n"
					"skip-in-flight\n"
					"link-remap\n"
					"force-irmap\n"
					"ghost-limit 1G\n"
					"action-script \"%s\"\n",
					hook);

	return file_write_whole(path, text, strlen(text), 0600, err);
}

int tools_find(struct tools *t, const char *tools_dir, const char *guard, const char *run_dir, struct err *err)
{
	AUTO(tools_done) struct tools found = { 0 };
	const char *host_path = getenv("PATH");
	autofree char *path = xasprintf("%s:%s", tools_dir, host_path ? host_path : DEFAULT_PATH);
	autofree char *conf = path_join(run_dir, "criu.conf");
	autofree char *hook = path_join(run_dir, "hook");
	int r;

	r = find_all(&found, path, err);
	if (r < 0)
		return r;
	if (access(guard, X_OK) < 0)
		return err_sys(err, "our own program '%s'", guard);
	found.guard = xstrdup(guard);
	(void)unlink(hook);
	if (symlink(guard, hook) < 0)
		return err_sys(err, "'%s'", hook);
	r = write_criu_conf(conf, hook, err);
	if (r < 0)
		return r;
	strv_env_set(&found.env, "PATH", path);
	strv_env_set(&found.env, "XDG_RUNTIME_DIR", MNTNS_XDG);
	strv_env_set(&found.env, "CRIU_CONFIG_FILE", conf);
	strv_env_set(&found.env, "LC_ALL", "C");
	*t = found;
	found = (struct tools){ 0 };
	return 0;
}

void tools_done(struct tools *t)
{
	free(t->crun);
	free(t->criu);
	free(t->conmon);
	free(t->guard);
	strv_free(t->env);
	*t = (struct tools){ 0 };
}

void tools_version(const struct tools *t, const char *program, char *buf, size_t size)
{
	AUTO(strv_free) char **argv = strv_new(program, "--version", NULL);
	const struct proc_spec spec = { .argv = argv, .env = t->env };
	AUTO(strbuf_done) struct strbuf out = STRBUF_INIT;
	const char *digits;

	buf[0] = 0;
	if (proc_run(&spec, 10 * US_PER_S, &out, 4096, NULL, NULL) < 0)
		return;
	digits = out.s;
	while (*digits && !isdigit((unsigned char)*digits))
		digits++;
	(void)snprintf(buf, size, "%.*s", (int)strcspn(digits, " \n"), digits);
}
