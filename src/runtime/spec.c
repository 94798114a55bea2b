/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/spec.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "runtime/seccomp.h"

#define CPU_PERIOD_US 100000

static const struct {
	const char *name;
	int bit;
} capabilities[] = {
	{ "CAP_AUDIT_WRITE", CAP_AUDIT_WRITE },
	{ "CAP_CHOWN", CAP_CHOWN },
	{ "CAP_DAC_OVERRIDE", CAP_DAC_OVERRIDE },
	{ "CAP_FOWNER", CAP_FOWNER },
	{ "CAP_FSETID", CAP_FSETID },
	{ "CAP_KILL", CAP_KILL },
	{ "CAP_MKNOD", CAP_MKNOD },
	{ "CAP_NET_BIND_SERVICE", CAP_NET_BIND_SERVICE },
	{ "CAP_NET_RAW", CAP_NET_RAW },
	{ "CAP_SETFCAP", CAP_SETFCAP },
	{ "CAP_SETGID", CAP_SETGID },
	{ "CAP_SETPCAP", CAP_SETPCAP },
	{ "CAP_SETUID", CAP_SETUID },
	{ "CAP_SYS_CHROOT", CAP_SYS_CHROOT },
};

bool spec_grants_capability(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (str_eq(capabilities[i].name, name))
			return true;
	return false;
}

uint64_t spec_capability_bits(void)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
		bits |= 1ULL << capabilities[i].bit;
	return bits;
}

static const char *const masked_paths[] = {
	"/proc/acpi",
	"/proc/asound",
	"/proc/interrupts",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/sched_debug",
	"/proc/scsi",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/sys/devices/virtual/powercap",
	"/sys/firmware",
};

static const char *const readonly_paths[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

static struct json *strings(const char *const *v, size_t n)
{
	struct json *a = json_new_array();

	for (size_t i = 0; i < n; i++)
		json_add_str(a, v[i]);
	return a;
}

static struct json *capability_sets(void)
{
	/* ambient and inheritable stay empty: a program that changes its user loses them */
	static const char *const sets[] = { "bounding", "effective", "permitted" };
	struct json *o = json_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		struct json *names = json_new_array();

		for (size_t k = 0; k < ARRAY_SIZE(capabilities); k++)
			json_add_str(names, capabilities[k].name);
		json_set(o, sets[i], names);
	}
	return o;
}

/* 1048576 descriptors where our own limit lets us; beyond it the kernel would refuse without CAP_SYS_RESOURCE. */
static struct json *rlimits(void)
{
	struct json *list = json_new_array(), *o = json_new_object();
	struct rlimit own;
	int64_t n = 1048576;

	if (getrlimit(RLIMIT_NOFILE, &own) == 0 && own.rlim_max != RLIM_INFINITY && (int64_t)own.rlim_max < n)
		n = (int64_t)own.rlim_max;
	json_set_str(o, "type", "RLIMIT_NOFILE");
	json_set_int(o, "hard", n);
	json_set_int(o, "soft", n < 1024 ? n : 1024);
	json_add(list, o);
	return list;
}

static struct json *process(const struct spec *s)
{
	struct json *p = json_new_object(), *user = json_new_object(), *groups = json_new_array();

	for (size_t i = 0; i < s->n_groups; i++)
		json_add(groups, json_new_int(s->groups[i]));
	json_set_int(user, "uid", s->uid);
	json_set_int(user, "gid", s->gid);
	json_set(user, "additionalGids", groups);
	json_set_bool(p, "terminal", s->has_tty);
	json_set(p, "user", user);
	json_set(p, "args", json_new_strv(s->args));
	json_set(p, "env", json_new_strv(s->env));
	json_set_str(p, "cwd", s->cwd && *s->cwd ? s->cwd : "/");
	json_set(p, "capabilities", capability_sets());
	json_set(p, "rlimits", rlimits());
	return p;
}

struct mount_row {
	const char *destination, *type, *source, *options; /* comma separated */
	bool only_full;					   /* not under the checkpointable profile */
};

static const struct mount_row mounts[] = {
	{ "/proc", "proc", "proc", "nosuid,noexec,nodev", false },
	{ "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k", false },
	{ "/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5", false },
	{ "/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777", false },
	{ "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev", true }, /* CRIU cannot dump an open queue */
	{ "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro", false },
	{ "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro", false },
};

/* Private: what is mounted below on one side does not appear on the other. */
static struct json *bind_mount(const struct spec_bind *b)
{
	const char *const options[] = { "rbind", "rprivate", b->is_readonly ? "ro" : "rw" };
	struct json *m = json_new_object();

	json_set_str(m, "destination", b->destination);
	json_set_str(m, "type", "bind");
	json_set_str(m, "source", b->source);
	json_set(m, "options", strings(options, ARRAY_SIZE(options)));
	return m;
}

static struct json *mount_list(const struct spec *s)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		struct json *m, *options;
		autofree char *words = NULL;
		char *save = NULL;

		if (mounts[i].only_full && s->is_checkpointable)
			continue;
		m = json_new_object();
		options = json_new_array();
		words = xstrdup(mounts[i].options);
		for (char *w = strtok_r(words, ",", &save); w; w = strtok_r(NULL, ",", &save))
			json_add_str(options, w);
		json_set_str(m, "destination", mounts[i].destination);
		json_set_str(m, "type", mounts[i].type);
		json_set_str(m, "source", mounts[i].source);
		json_set(m, "options", options);
		json_add(list, m);
	}
	for (size_t i = 0; i < s->n_binds; i++)
		json_add(list, bind_mount(&s->binds[i]));
	return list;
}

static struct json *namespaces(const struct spec *s)
{
	static const char *const types[] = { "pid", "ipc", "uts", "mount", "cgroup" };
	struct json *list = json_new_array();

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct json *o = json_new_object();

		json_set_str(o, "type", types[i]);
		json_add(list, o);
	}
	if (s->netns) {
		struct json *o = json_new_object();

		json_set_str(o, "type", "network");
		json_set_str(o, "path", s->netns);
		json_add(list, o);
	}
	return list;
}

static struct json *resources(const struct spec *s)
{
	struct json *r = json_new_object(), *deny = json_new_object(), *devices = json_new_array();

	json_set_bool(deny, "allow", false);
	json_set_str(deny, "access", "rwm");
	json_add(devices, deny); /* crun adds the standard ones: null, zero, full, random, urandom, tty, pts */
	json_set(r, "devices", devices);
	if (s->memory_max) {
		struct json *o = json_new_object();

		json_set_int(o, "limit", (int64_t)s->memory_max);
		json_set(r, "memory", o);
	}
	if (s->processes_max) {
		struct json *o = json_new_object();

		json_set_int(o, "limit", s->processes_max);
		json_set(r, "pids", o);
	}
	if (s->cpus > 0) {
		struct json *o = json_new_object();

		json_set_int(o, "period", CPU_PERIOD_US);
		json_set_int(o, "quota", (int64_t)(s->cpus * CPU_PERIOD_US));
		json_set(r, "cpu", o);
	}
	return r;
}

struct json *spec_make(const struct spec *s)
{
	struct json *root = json_new_object(), *rootfs = json_new_object(), *linux_part = json_new_object();

	json_set_str(root, "ociVersion", "1.0.2");
	json_set(root, "process", process(s));
	json_set_str(rootfs, "path", s->rootfs);
	json_set(root, "root", rootfs);
	json_set_str(root, "hostname", s->hostname);
	json_set(root, "mounts", mount_list(s));
	json_set(linux_part, "namespaces", namespaces(s));
	json_set(linux_part, "resources", resources(s));
	json_set_str(linux_part, "cgroupsPath", s->cgroups_path);
	json_set(linux_part, "maskedPaths",
		 s->masked ? json_new_strv(s->masked) : strings(masked_paths, ARRAY_SIZE(masked_paths)));
	json_set(linux_part, "readonlyPaths",
		 s->readonly ? json_new_strv(s->readonly) : strings(readonly_paths, ARRAY_SIZE(readonly_paths)));
	if (s->is_checkpointable)
		json_set(linux_part, "seccomp", seccomp_checkpointable());
	json_set(root, "linux", linux_part);
	return root;
}

int spec_write(const struct spec *s, const char *bundle, struct err *err)
{
	AUTO(json_free) struct json *root = spec_make(s);
	autofree char *path = path_join(bundle, "config.json"), *text = json_print(root, JSON_PRETTY);

	return file_write_whole(path, text, strlen(text), 0600, err);
}
