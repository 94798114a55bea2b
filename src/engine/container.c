/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/container.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/strv.h"
#include "engine/config.h"
#include "engine/remove.h"
#include "engine/saved.h"
#include "engine/state.h"
#include "engine/volume.h"
#include "image/rootfs.h"
#include "runtime/conmon.h"
#include "runtime/crun.h"
#include "runtime/freezer.h"
#include "runtime/netns.h"
#include "runtime/spec.h"

#define CREATE_US    (120 * US_PER_S)
#define STDIO_MAX    4096
#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int make_folders(struct instance *in, struct err *err)
{
	autofree char *own = instance_path(in, ""), *bundle = instance_bundle_path(in, "work");
	autofree char *logs = instance_log_path(in, "");
	const char *const folders[] = { own, bundle, logs };

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		int r = path_mkdirs(folders[i], 0700, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int mount_rootfs(struct instance *in, struct err *err)
{
	autofree char *upper = instance_path(in, "upper"), *work = instance_path(in, "work");
	autofree char *rootfs = instance_path(in, "rootfs");
	AUTO(image_info_free) struct image_info *image = NULL;
	int r;

	if (rootfs_is_mounted(rootfs, NULL) == 1)
		return 0;
	r = image_find(in->engine, in->row.image, &image, err);
	if (r < 0)
		return err_wrap(err, r, "its image");
	return rootfs_mount(image->layers, upper, work, rootfs, err);
}

int container_prepare(struct instance *in, struct err *err)
{
	autofree char *netns = instance_netns_path(in);
	int r;

	r = make_folders(in, err);
	if (r == 0)
		r = netns_make(netns, err);
	if (r == 0)
		r = mount_rootfs(in, err);
	return r;
}

static char **process_args(const struct instance *in, const struct image_info *image)
{
	const char *words = config_get(in->row.config, "oci.entrypoint");
	char **args = NULL;

	if (words && strv_parse_words(words, &args, NULL) == 0 && args)
		return args;
	args = strv_copy(image->entrypoint);
	strv_add_all(&args, image->cmd);
	return args;
}

static char **process_env(const struct instance *in, const struct image_info *image, const char *home, bool has_tty)
{
	char **env = strv_new(DEFAULT_PATH, NULL);

	strv_env_set(&env, "HOME", home ? home : "/");
	strv_env_set(&env, "HOSTNAME", in->row.name);
	if (has_tty)
		strv_env_set(&env, "TERM", "xterm");
	for (size_t i = 0; image->env && image->env[i]; i++) {
		const char *eq = strchr(image->env[i], '=');
		autofree char *key = eq ? xstrndup(image->env[i], (size_t)(eq - image->env[i])) : NULL;

		if (key)
			strv_env_set(&env, key, eq + 1);
	}
	for (size_t i = 0; in->row.config && in->row.config[i]; i++) {
		const char *var = str_after(in->row.config[i], "environment."), *eq = var ? strchr(var, '=') : NULL;
		autofree char *key = eq ? xstrndup(var, (size_t)(eq - var)) : NULL;

		if (key)
			strv_env_set(&env, key, eq + 1);
	}
	return env;
}

/* With the instance's volumes mounted over what it has below. */
static int write_spec_with_volumes(const struct instance *in, struct spec *spec, const char *bundle, struct err *err)
{
	size_t n;
	struct volume_mount *volumes = volume_mounts(in, &n);
	autofree struct spec_bind *binds = xcalloc(n + 1, sizeof(*binds));
	int r;

	for (size_t i = 0; i < n; i++)
		binds[i] = (struct spec_bind){ volumes[i].source, volumes[i].path, volumes[i].is_readonly };
	spec->binds = binds;
	spec->n_binds = n;
	r = spec_write(spec, bundle, err);
	volume_mounts_free(volumes, n);
	return r;
}

static int write_spec(struct instance *in, struct err *err)
{
	autofree char *rootfs = instance_path(in, "rootfs"), *netns = instance_netns_path(in);
	autofree char *cgroups_path = cgroup_spec_path(&in->cg), *bundle = instance_bundle_path(in, "");
	const char *user_words = config_get(in->row.config, "oci.user"), *cwd = config_get(in->row.config, "oci.cwd");
	const char *cpus = config_get(in->row.config, "limits.cpu"),
		   *memory = config_get(in->row.config, "limits.memory");
	bool has_tty = config_get_bool(in->row.config, "console.tty");
	AUTO(image_info_free) struct image_info *image = NULL;
	AUTO(strv_free) char **args = NULL, **env = NULL;
	AUTO(rootfs_user_done) struct rootfs_user user = { 0 };
	struct spec spec = { 0 };
	int r;

	r = image_find(in->engine, in->row.image, &image, err);
	if (r == 0)
		r = rootfs_lookup_user(rootfs, user_words ? user_words : image->user, &user, err);
	if (r < 0)
		return r;
	args = process_args(in, image);
	if (!args || !args[0])
		return err_set(err, -EINVAL, "its image names no command: give one with oci.entrypoint");
	env = process_env(in, image, user.home, has_tty);
	spec = (struct spec){
		.hostname = in->row.name,
		.rootfs = rootfs,
		.cgroups_path = cgroups_path,
		.netns = netns,
		.args = args,
		.env = env,
		.cwd = cwd ? cwd : image->cwd,
		.uid = user.uid,
		.gid = user.gid,
		.groups = user.groups,
		.n_groups = user.n_groups,
		.has_tty = has_tty,
		.is_checkpointable = str_eq(config_get(in->row.config, "checkpoint.profile"), "checkpointable"),
		.processes_max = config_get_int(in->row.config, "limits.processes"),
		.cpus = cpus ? strtod(cpus, NULL) : 0,
	};
	if (memory)
		(void)str_to_bytes(memory, &spec.memory_max, NULL);
	if ((spec.memory_max || spec.processes_max || spec.cpus > 0) && !cgroup_has_controllers())
		return err_set(
			err, -EOPNOTSUPP,
			"limits.* cannot be had on this host: its memory and pids controllers belong to cgroup v1");
	return write_spec_with_volumes(in, &spec, bundle, err);
}

static struct conmon_spec conmon_spec_of(const struct instance *in, const char *bundle, const char *log)
{
	return (struct conmon_spec){
		.uuid = in->row.uuid,
		.name = in->row.name,
		.bundle = bundle,
		.log = log,
		.has_tty = config_get_bool(in->row.config, "console.tty"),
		.has_stdin = config_get_bool(in->row.config, "console.stdin") ||
			     config_get_bool(in->row.config, "console.tty"),
		.env = in->engine->tools.env,
		.timeout_us = CREATE_US,
		.log_cap = in->engine->settings.log_cap,
	};
}

static int watch_conmon(struct instance *in, pid_t init, struct err *err)
{
	autofree char *bundle = instance_bundle_path(in, "");
	pid_t conmon;
	int fd, r;

	r = conmon_find(bundle, &in->cg, &conmon, err);
	if (r < 0)
		return err_wrap(err, r, "its monitor has gone");
	fd = proc_open(conmon, 0, err);
	if (fd < 0)
		return err_wrap(err, fd, "its monitor has gone");
	instance_set_running(in, init, fd);
	return 0;
}

void container_stdio_done(struct container_stdio *s)
{
	free(s->descriptors);
	*s = (struct container_stdio){ 0 };
}

int container_note_stdio(const struct instance *in, const struct container_stdio *stdio, struct err *err)
{
	autofree char *path = instance_bundle_path(in, "stdio"), *text = NULL;
	AUTO(json_free) struct json *o = json_new_object();

	json_set_str(o, "descriptors", stdio->descriptors);
	json_set_bool(o, "tty", stdio->has_tty);
	json_set_bool(o, "stdin", stdio->has_stdin);
	text = json_print(o, JSON_COMPACT);
	return file_write_whole(path, text, strlen(text), 0600, err);
}

int container_read_stdio(const char *bundle, struct container_stdio *ret, struct err *err)
{
	autofree char *path = path_join(bundle, "stdio");
	AUTO(json_free) struct json *o = NULL;
	int r = json_parse_file(path, STDIO_MAX, &o, err);

	if (r < 0)
		return r;
	*ret = (struct container_stdio){ .descriptors = xstrdup_null(json_get_str(o, "descriptors")),
					 .has_tty = json_get_bool(o, "tty", false),
					 .has_stdin = json_get_bool(o, "stdin", false) };
	return ret->descriptors ? 0 : err_set(err, -EPROTO, "'%s' says nothing of descriptors", path);
}

int container_create(struct instance *in, struct err *err)
{
	autofree char *bundle = instance_bundle_path(in, ""), *log = instance_log_path(in, "output.log");
	struct conmon_spec spec = conmon_spec_of(in, bundle, log);
	AUTO(container_stdio_done)
	struct container_stdio stdio = { .has_tty = spec.has_tty, .has_stdin = spec.has_stdin };
	pid_t init = 0;
	int r;

	r = volume_fill(in, err);
	if (r == 0)
		r = write_spec(in, err);
	if (r == 0)
		r = conmon_start(&in->engine->tools, &spec, &in->cg, &init, err);
	if (r == 0)
		r = crun_stdio_of_created(in->engine->settings.run_dir, in->row.uuid, &stdio.descriptors, err);
	if (r == 0)
		r = container_note_stdio(in, &stdio, err);
	if (r < 0)
		return r;
	FAULT("start.created", err);
	in->init = init; /* ours until it is running: nobody looks at it before */
	return 0;
}

int container_run(struct instance *in, struct err *err)
{
	int r = crun_start(&in->engine->tools, in->row.uuid, err);

	if (r < 0)
		return r;
	FAULT_HERE("start.started");
	return watch_conmon(in, in->init, err);
}

int container_restore(struct instance *in, const struct saved *saved, char *const *env, struct err *err)
{
	autofree char *bundle = instance_bundle_path(in, ""), *log = instance_log_path(in, "output.log");
	autofree char *images = instance_path(in, SAVED_STATE "/checkpoint");
	AUTO(strv_free) char **flags = NULL;
	struct conmon_spec spec = conmon_spec_of(in, bundle, log);
	pid_t init;
	int r;

	if (saved->tcp_established)
		strv_add(&flags, "--tcp-established");
	if (saved->file_locks)
		strv_add(&flags, "--file-locks");
	spec.env = env;
	spec.has_tty = saved->has_tty;
	spec.has_stdin = saved->has_stdin;
	spec.restore_from = images;
	spec.restore_flags = flags;
	spec.timeout_us = in->engine->settings.restore_us;
	r = conmon_start(&in->engine->tools, &spec, &in->cg, &init, err);
	if (r < 0)
		return r;
	return watch_conmon(in, init, err);
}

static void unmount_leftover(const char *bundle)
{
	autofree char *root = path_join(bundle, "criu-root");

	if (!path_exists(root))
		return;
	(void)umount2(root, MNT_DETACH);
	(void)rmdir(root);
}

void container_teardown(struct instance *in)
{
	autofree char *crun_state = xasprintf("%s/crun/%s", in->engine->settings.run_dir, in->row.uuid);
	autofree char *bundle = instance_bundle_path(in, ""), *rootfs = instance_path(in, "rootfs");
	autofree char *netns = instance_netns_path(in), *memory = instance_memory_path(in);
	struct err err = ERR_INIT;

	if (cgroup_remove(&in->cg, CGROUP_ALL, &err) < 0)
		instance_note(in, "%s", err.text);
	if (path_exists(crun_state)) {
		(void)crun_delete(&in->engine->tools, in->row.uuid, NULL);
		(void)path_remove_all(crun_state, NULL); /* where crun itself is broken */
	}
	unmount_leftover(bundle);
	if (rootfs_is_mounted(rootfs, NULL) == 1 && rootfs_unmount(rootfs, /* is_lazy= */ true, &err) < 0)
		instance_note(in, "%s", err.text);
	(void)path_remove_all(memory, NULL);
	if (path_remove_all(bundle, &err) < 0)
		instance_note(in, "%s", err.text);
	if (netns_remove(netns, &err) < 0)
		instance_note(in, "%s", err.text);
}

bool container_conmon_has_ended(const struct instance *in)
{
	return in->conmon_fd >= 0 && proc_wait_pidfd(in->conmon_fd, 0) == 1;
}

int container_wait_end(const struct instance *in, uint64_t timeout_us)
{
	return in->conmon_fd < 0 || proc_wait_pidfd(in->conmon_fd, timeout_us) == 1;
}

static void keep_exit_code(struct instance *in)
{
	autofree char *bundle = instance_bundle_path(in, "");
	int code = 0;
	bool is_known = conmon_exit_code(bundle, &code, NULL) == 0;
	SCOPED_LOCK(&in->engine->mutex);

	in->has_exit_code = is_known;
	in->exit_code = code;
}

/* Somebody killed conmon: the container lost its log and its exit code, and runs on. */
static int watch_init_instead(struct instance *in, pid_t init, struct err *err)
{
	int fd = proc_open(init, 0, err);

	if (fd < 0)
		return fd;
	if (in->conmon_fd >= 0)
		(void)close(in->conmon_fd);
	instance_note(in, "its monitor is gone: it runs on without log and without exit code");
	instance_set_running(in, init, fd);
	return 0;
}

int container_ended(struct instance *in, bool may_delete, struct err *err)
{
	bool is_unproven = in->prove_at_us != 0;

	if (in->init && cgroup_has_process(&in->cg, CGROUP_PAYLOAD, in->init) &&
	    watch_init_instead(in, in->init, NULL) == 0)
		return 0;
	keep_exit_code(in);
	container_teardown(in);
	instance_set_stopped(in);
	if (in->has_exit_code)
		instance_note(in, "ended with exit code %d", in->exit_code);
	else
		instance_note(in, "ended; its exit code is not known");
	if (is_unproven && in->previous.exists)
		instance_note(in,
			      "it ended before it had proven itself; the state that it was continued from is kept in "
			      "'" SAVED_USED "' until the next successful start");
	if (may_delete && in->row.is_ephemeral)
		return remove_instance(in, err);
	return instance_set_power(in, false, err);
}

int container_adopt(struct instance *in, struct err *err)
{
	autofree char *bundle = instance_bundle_path(in, "");
	pid_t init;
	int r;

	if (!path_exists(bundle))
		return 0;
	r = conmon_find_init(bundle, &in->cg, &init, NULL);
	if (r < 0)
		return 0;
	r = watch_conmon(in, init, err);
	if (r < 0)
		r = watch_init_instead(in, init, err);
	if (r < 0)
		return r;
	if (freezer_is_frozen(&in->cg))
		instance_set_status(in, INSTANCE_FROZEN);
	return 1;
}
