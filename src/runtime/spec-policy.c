/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/spec-policy.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "runtime/spec.h"

#define MAX_LIST    4096 /* arguments, variables, groups, paths, mounts */
#define MAX_REASONS 380	 /* of the error's text; what does not fit is counted */
#define MAX_SHOWN   80
#define MAX_ID	    4294967294LL
#define ANY_MINOR   (-1)

static const struct spec_extra_mount extras[] = {
	{ "/dev/shm", "shm", SPEC_EXTRA_SHM },
	{ "/etc/hostname", "hostname", SPEC_EXTRA_FILE },
	{ "/etc/hosts", "hosts", SPEC_EXTRA_FILE },
	{ "/etc/resolv.conf", "resolv.conf", SPEC_EXTRA_FILE },
	{ "/run/.containerenv", "containerenv", SPEC_EXTRA_FILE },
	{ "/run/secrets", "secrets", SPEC_EXTRA_FOLDER },
	{ "/var/run/.containerenv", "var-containerenv", SPEC_EXTRA_FILE },
	{ "/var/run/secrets", "var-secrets", SPEC_EXTRA_FOLDER },
};

const struct spec_extra_mount *spec_policy_extra(const char *destination)
{
	for (size_t i = 0; i < ARRAY_SIZE(extras); i++)
		if (str_eq(extras[i].destination, destination))
			return &extras[i];
	return NULL;
}

void spec_taken_done(struct spec_taken *t)
{
	strv_free(t->args);
	strv_free(t->env);
	strv_free(t->masked);
	strv_free(t->readonly);
	free(t->cwd);
	free(t->groups);
	free(t->extras);
	*t = (struct spec_taken){ 0 };
}

/* ---- the list of reasons ----------------------------------------------------------------------------------------- */

struct judging {
	char *const *volumes;
	struct spec_taken taken;
	char **seen; /* namespaces */
	struct strbuf reasons;
	size_t n, n_left_out;
};

static void judging_done(struct judging *j)
{
	spec_taken_done(&j->taken);
	strv_free(j->seen);
	strbuf_done(&j->reasons);
}
AUTO_DEFINE_IN(struct judging, judging_done)

/* A stranger's word, short and without what moves a terminal's cursor. */
struct shown {
	char s[MAX_SHOWN + 1];
};

static struct shown show(const char *text)
{
	struct shown shown = { "" };

	for (size_t i = 0; text && text[i] && i < MAX_SHOWN; i++)
		shown.s[i] = (char)((unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i]);
	return shown;
}
#define SHOW(text) (show(text).s)

__attribute__((format(printf, 2, 3))) static void refuse(struct judging *j, const char *fmt, ...)
{
	AUTO(strbuf_done) struct strbuf line = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&line, fmt, ap);
	va_end(ap);
	j->n++;
	if (j->reasons.len + line.len > MAX_REASONS)
		j->n_left_out++;
	else
		strbuf_addf(&j->reasons, "%s%s", j->reasons.len ? "; " : "", line.s);
}

static int verdict(const struct judging *j, struct err *err)
{
	if (j->n == 0)
		return 0;
	if (j->n_left_out == 0)
		return err_set(err, -EPERM, "its spec asks for more than an instance gets: %s", j->reasons.s);
	return err_set(err, -EPERM, "its spec asks for more than an instance gets: %s; and %zu more", j->reasons.s,
		       j->n_left_out);
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

/* An array of strings, none of them empty of characters only where @may_be_empty. */
static char **take_strings(struct judging *j, const struct json *list, const char *what)
{
	char **v = NULL;

	if (!list)
		return NULL;
	if (json_type(list) != JSON_ARRAY || json_len(list) > MAX_LIST) {
		refuse(j, "%s is no list, or a very long one", what);
		return NULL;
	}
	for (size_t i = 0; i < json_len(list); i++) {
		const char *s = json_str(json_item(list, i));

		if (s)
			strv_add(&v, s);
		else
			refuse(j, "%s holds something that is no text", what);
	}
	return v;
}

/* Absolute, and says where it is: no "..", no ".", no "//". */
static bool is_clean_path(const char *path)
{
	if (!path || path[0] != '/' || (path[1] && str_ends(path, "/")))
		return false;
	for (const char *p = path; p; p = strchr(p + 1, '/')) {
		size_t n = strcspn(p + 1, "/");

		if (n == 0 && path[1])
			return false;
		if ((n == 1 && p[1] == '.') || (n == 2 && p[1] == '.' && p[2] == '.'))
			return false;
	}
	return true;
}

static int64_t take_id(struct judging *j, const struct json *value, const char *what)
{
	if (!value)
		return 0;
	if (json_is_int64(value) && json_int(value, -1) >= 0 && json_int(value, -1) <= MAX_ID)
		return json_int(value, -1);
	refuse(j, "%s is no number of a user or group", what);
	return 0;
}

static void take_user(struct judging *j, const struct json *user)
{
	const struct json *groups = json_get(user, "additionalGids");
	size_t n = json_type(groups) == JSON_ARRAY ? json_len(groups) : 0;

	j->taken.uid = (uid_t)take_id(j, json_get(user, "uid"), "process.user.uid");
	j->taken.gid = (gid_t)take_id(j, json_get(user, "gid"), "process.user.gid");
	if (n > MAX_LIST) {
		refuse(j, "process.user has %zu groups", n);
		return;
	}
	j->taken.groups = xcalloc(n + 1, sizeof(*j->taken.groups));
	j->taken.n_groups = n;
	for (size_t i = 0; i < n; i++)
		j->taken.groups[i] = (gid_t)take_id(j, json_item(groups, i), "process.user.additionalGids");
}

static void judge_capabilities(struct judging *j, const struct json *sets)
{
	AUTO(strv_free) char **told = NULL;

	for (struct json_iter it = json_iter(sets); json_next(&it);) {
		AUTO(strv_free) char **names = take_strings(j, it.value, "process.capabilities");

		for (size_t i = 0; names && names[i]; i++) {
			if (spec_grants_capability(names[i]) || strv_has(told, names[i]))
				continue;
			refuse(j, "capability %s", SHOW(names[i]));
			strv_add(&told, names[i]);
		}
	}
}

static void judge_process(struct judging *j, const struct json *p)
{
	const char *cwd = json_get_str(p, "cwd"), *scheduler = json_str(json_at(p, "/scheduler/policy"));

	j->taken.args = take_strings(j, json_get(p, "args"), "process.args");
	j->taken.env = take_strings(j, json_get(p, "env"), "process.env");
	j->taken.cwd = xstrdup(is_clean_path(cwd) ? cwd : "/");
	j->taken.has_tty = json_get_bool(p, "terminal", false);
	if (cwd && !is_clean_path(cwd))
		refuse(j, "working folder '%s'", SHOW(cwd));
	take_user(j, json_get(p, "user"));
	judge_capabilities(j, json_get(p, "capabilities"));
	if (json_get_int(p, "oomScoreAdj", 0) < 0)
		refuse(j, "protection from the OOM killer (oomScoreAdj)");
	if (scheduler && !str_eq(scheduler, "SCHED_OTHER") && !str_eq(scheduler, "SCHED_BATCH") &&
	    !str_eq(scheduler, "SCHED_IDLE"))
		refuse(j, "scheduler %s", SHOW(scheduler));
	if (json_has(p, "ioPriority"))
		refuse(j, "an I/O priority");
}

/* ---- mounts ------------------------------------------------------------------------------------------------------ */

struct allowed_mount {
	const char *type, *destination; /* NULL: anywhere */
	bool must_be_readonly;
};

static const struct allowed_mount allowed_mounts[] = {
	{ "cgroup", "/sys/fs/cgroup", true },
	{ "cgroup2", "/sys/fs/cgroup", true },
	{ "devpts", "/dev/pts", false },
	{ "mqueue", "/dev/mqueue", false },
	{ "proc", "/proc", false },
	{ "sysfs", "/sys", true },
	{ "tmpfs", NULL, false },
};

static bool has_option(const struct json *options, const char *name)
{
	for (size_t i = 0; i < json_len(options); i++)
		if (str_eq(json_str(json_item(options, i)), name))
			return true;
	return false;
}

static const char *why_not(const char *type, const char *destination, bool is_readonly)
{
	for (size_t i = 0; i < ARRAY_SIZE(allowed_mounts); i++) {
		const struct allowed_mount *a = &allowed_mounts[i];

		if (!str_eq(a->type, type))
			continue;
		if (a->destination && !str_eq(a->destination, destination))
			return "not where it belongs";
		return a->must_be_readonly && !is_readonly ? "writable" : NULL;
	}
	return "not a file system that an instance may have";
}

static void judge_bind(struct judging *j, const char *source, const char *destination)
{
	const struct spec_extra_mount *extra = spec_policy_extra(destination);

	if (strv_has(j->volumes, destination))
		return;
	if (!extra) {
		refuse(j, "the host's '%s' at %s", SHOW(source), SHOW(destination));
		return;
	}
	for (size_t i = 0; i < j->taken.n_extras; i++)
		if (j->taken.extras[i] == extra)
			return;
	j->taken.extras = xreallocarray(j->taken.extras, j->taken.n_extras + 1, sizeof(const void *));
	j->taken.extras[j->taken.n_extras++] = extra;
}

static void judge_mount(struct judging *j, const struct json *m)
{
	const char *destination = json_get_str(m, "destination"), *type = json_get_str(m, "type");
	const struct json *options = json_get(m, "options");
	const char *reason;

	if (!is_clean_path(destination) || str_eq(destination, "/")) {
		refuse(j, "a mount at '%s'", SHOW(destination));
		return;
	}
	if (json_len(json_get(m, "uidMappings")) || json_len(json_get(m, "gidMappings"))) {
		refuse(j, "mapped owners at %s", SHOW(destination));
		return;
	}
	if (str_eq(type, "bind") || has_option(options, "bind") || has_option(options, "rbind")) {
		judge_bind(j, json_get_str(m, "source"), destination);
		return;
	}
	reason = why_not(type, destination, has_option(options, "ro"));
	if (reason)
		refuse(j, "a mount of type '%s' at %s, %s", SHOW(type), SHOW(destination), reason);
}

/* ---- linux ------------------------------------------------------------------------------------------------------- */

static void judge_namespaces(struct judging *j, const struct json *list)
{
	static const char *const own[] = { "pid", "ipc", "uts", "mount", "cgroup", "network" };

	for (size_t i = 0; i < json_len(list); i++) {
		const char *type = json_get_str(json_item(list, i), "type");
		const char *path = json_get_str(json_item(list, i), "path");
		bool is_network = str_eq(type, "network");

		strv_add(&j->seen, type ? type : "");
		if (str_eq(type, "user"))
			refuse(j, "a user namespace");
		else if (path && *path && !is_network) /* the network's is replaced by ours */
			refuse(j, "the %s namespace of somebody else ('%s')", SHOW(type), SHOW(path));
		if (is_network)
			j->taken.has_own_network = !path || !*path;
	}
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (!strv_has(j->seen, own[i]))
			refuse(j, "the host's own %s namespace", own[i]);
}

/* Rules of the device cgroup: what runtimes give everybody, and making any node. */
static bool is_usual_rule(const struct json *rule)
{
	static const struct {
		int64_t major, minor;
	} usual[] = {
		{ 1, 3 }, { 1, 5 }, { 1, 7 }, { 1, 8 }, { 1, 9 }, { 5, 0 }, { 5, 1 }, { 5, 2 }, { 136, ANY_MINOR },
	};
	int64_t major = json_get_int(rule, "major", -1), minor = json_get_int(rule, "minor", -1);

	if (str_eq(json_get_str(rule, "access"), "m"))
		return true;
	if (!str_eq(json_get_str(rule, "type"), "c"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		if (usual[i].major == major && (usual[i].minor == ANY_MINOR || usual[i].minor == minor))
			return true;
	return false;
}

static void judge_device_rules(struct judging *j, const struct json *rules)
{
	for (size_t i = 0; i < json_len(rules); i++) {
		const struct json *rule = json_item(rules, i);
		const char *type = json_get_str(rule, "type");

		if (json_get_bool(rule, "allow", false) && !is_usual_rule(rule))
			refuse(j, "access to device %s %lld:%lld", SHOW(type ? type : "a"),
			       (long long)json_get_int(rule, "major", -1), (long long)json_get_int(rule, "minor", -1));
	}
}

static void judge_devices(struct judging *j, const struct json *devices)
{
	static const char *const usual[] = { "/dev/console", "/dev/full", "/dev/null",	  "/dev/ptmx",
					     "/dev/random",  "/dev/tty",  "/dev/urandom", "/dev/zero" };

	for (size_t i = 0; i < json_len(devices); i++) {
		const char *path = json_get_str(json_item(devices, i), "path");
		bool is_usual = false;

		for (size_t k = 0; k < ARRAY_SIZE(usual); k++)
			is_usual = is_usual || str_eq(usual[k], path);
		if (!is_usual)
			refuse(j, "device '%s'", SHOW(path));
	}
}

static void judge_sysctls(struct judging *j, const struct json *sysctls)
{
	for (struct json_iter it = json_iter(sysctls); json_next(&it);)
		if (!str_eq(it.key, "net.ipv4.ping_group_range")) /* Podman's default */
			refuse(j, "sysctl %s", SHOW(it.key));
}

static char **take_paths(struct judging *j, const struct json *list, const char *what)
{
	char **v = take_strings(j, list, what);

	for (size_t i = 0; v && v[i]; i++)
		if (!is_clean_path(v[i]) || str_eq(v[i], "/"))
			refuse(j, "%s holds '%s'", what, SHOW(v[i]));
	return v;
}

static void require_paths(struct judging *j, char *const *have, const char *const *wanted, size_t n, const char *what)
{
	for (size_t i = 0; i < n; i++)
		if (!strv_has(have, wanted[i]))
			refuse(j, "%s %s", wanted[i], what);
}

/* What everybody's default hides and protects. */
static void judge_paths(struct judging *j, const struct json *part)
{
	static const char *const hidden[] = { "/proc/acpi",	     "/proc/kcore",	  "/proc/keys",
					      "/proc/latency_stats", "/proc/scsi",	  "/proc/timer_list",
					      "/proc/timer_stats",   "/proc/sched_debug", "/sys/firmware" };
	static const char *const fixed[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };

	j->taken.masked = take_paths(j, json_get(part, "maskedPaths"), "maskedPaths");
	j->taken.readonly = take_paths(j, json_get(part, "readonlyPaths"), "readonlyPaths");
	require_paths(j, j->taken.masked, hidden, ARRAY_SIZE(hidden), "readable");
	require_paths(j, j->taken.readonly, fixed, ARRAY_SIZE(fixed), "writable");
}

static void judge_linux(struct judging *j, const struct json *part)
{
	const char *propagation = json_get_str(part, "rootfsPropagation");

	judge_namespaces(j, json_get(part, "namespaces"));
	judge_devices(j, json_get(part, "devices"));
	judge_device_rules(j, json_at(part, "/resources/devices"));
	judge_sysctls(j, json_get(part, "sysctl"));
	judge_paths(j, part);
	if (json_len(json_get(part, "uidMappings")) || json_len(json_get(part, "gidMappings")))
		refuse(j, "mapped users");
	if (propagation && *propagation && !str_eq(propagation, "private") && !str_eq(propagation, "rprivate"))
		refuse(j, "mounts that are shared with the host (%s)", SHOW(propagation));
	if (json_at(part, "/seccomp/listenerPath"))
		refuse(j, "a seccomp listener");
	if (json_has(part, "intelRdt"))
		refuse(j, "a class of the processor's caches (intelRdt)");
	if (json_len(json_get(part, "netDevices")))
		refuse(j, "network devices of the host");
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static void judge_hooks(struct judging *j, const struct json *hooks)
{
	for (struct json_iter it = json_iter(hooks); json_next(&it);)
		if (json_type(it.value) != JSON_ARRAY || json_len(it.value) > 0)
			refuse(j, "hooks (%s): programs that run on the host", SHOW(it.key));
}

/* Runtimes act on these. None reaches one from here, but an archive with them is meant for something else. */
static void judge_annotations(struct judging *j, const struct json *annotations)
{
	static const char *const acting[] = {
		"cdi.k8s.io", "io.katacontainers.",	  "io.kubernetes.cri-o.", "module.wasm.",
		"org.criu.",  "org.opencontainers.runc.", "org.systemd.",	  "run.oci."
	};

	/* Podman's defaults: how systemd would stop it, and SELinux labels of mounts */
	static const char *const usual[] = { "org.systemd.property.KillSignal", "org.systemd.property.TimeoutStopUSec",
					     "run.oci.mount_context_type" };

	for (struct json_iter it = json_iter(annotations); json_next(&it);) {
		bool is_usual = false;

		for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
			is_usual = is_usual || str_eq(usual[i], it.key);
		for (size_t i = 0; !is_usual && i < ARRAY_SIZE(acting); i++)
			if (str_after(it.key, acting[i]))
				refuse(j, "annotation %s", SHOW(it.key));
	}
}

static int check_shape(const struct json *spec, struct err *err)
{
	static const char *const objects[] = { "process", "linux" };
	const struct json *mounts = json_get(spec, "mounts");

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		if (json_type(json_get(spec, objects[i])) != JSON_OBJECT)
			return err_set(err, -EINVAL, "its spec has no '%s'", objects[i]);
	if (mounts && (json_type(mounts) != JSON_ARRAY || json_len(mounts) > MAX_LIST))
		return err_set(err, -EINVAL, "its spec's mounts are no list, or a very long one");
	return 0;
}

int spec_policy_take(const struct json *spec, char *const *volumes, struct spec_taken *ret, struct err *err)
{
	AUTO(judging_done) struct judging j = { .volumes = volumes, .reasons = STRBUF_INIT };
	const struct json *mounts = json_get(spec, "mounts");
	int r = check_shape(spec, err);

	if (r < 0)
		return r;
	judge_process(&j, json_get(spec, "process"));
	for (size_t i = 0; i < json_len(mounts); i++)
		judge_mount(&j, json_item(mounts, i));
	judge_linux(&j, json_get(spec, "linux"));
	judge_hooks(&j, json_get(spec, "hooks"));
	judge_annotations(&j, json_get(spec, "annotations"));
	r = verdict(&j, err);
	if (r == 0 && (!j.taken.args || !j.taken.args[0]))
		r = err_set(err, -EINVAL, "its spec names no program (process.args)");
	if (r < 0)
		return r;
	*ret = j.taken;
	j.taken = (struct spec_taken){ 0 };
	return 0;
}
