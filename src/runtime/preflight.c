/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/preflight.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "runtime/capability.h"

#define MAX_FINDINGS 1000
#define TEXT_MAX     (64 << 20)
#define MQUEUE_MAGIC 0x19800202
#define PROTO_SCTP   132
#define PROTO_MPTCP  262
#define FAMILY_VSOCK 40
#define USE_PROFILE  "run it with checkpoint.profile=checkpointable, under which programs fall back to something else"

struct subject {
	struct preflight *report;
	pid_t host_pid, init;
	pid_t pid; /* in the container */
	char command[32];
	bool has_sys_resource;
	char *maps; /* /proc/PID/maps */
};

static void found(struct subject *s, bool is_fatal, char *resource, const char *remedy)
{
	struct preflight *p = s->report;
	struct preflight_finding *f;

	if (p->n_findings >= MAX_FINDINGS) {
		free(resource);
		return;
	}
	p->findings = xreallocarray(p->findings, p->n_findings + 1, sizeof(*p->findings));
	f = &p->findings[p->n_findings++];
	*f = (struct preflight_finding){
		.pid = s->pid, .resource = resource, .remedy = xstrdup(remedy), .is_fatal = is_fatal
	};
	(void)snprintf(f->command, sizeof(f->command), "%s", s->command);
}

/* What a descriptor's link or a mapping's name gives away. */
static const struct {
	const char *name, *what, *remedy;
} names[] = {
	{ "anon_inode:[io_uring]", "io_uring", USE_PROFILE },
	{ "anon_inode:[userfaultfd]", "userfaultfd", USE_PROFILE },
	{ "anon_inode:bpf-", "a BPF object", USE_PROFILE },
	{ "anon_inode:[perf_event]", "a perf event", "stop the profiler" },
	{ "anon_inode:landlock", "a Landlock ruleset", USE_PROFILE },
	{ "/secretmem", "memfd_secret memory", USE_PROFILE },
};

static void check_name(struct subject *s, const char *where, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_after(name, names[i].name))
			found(s, true, xasprintf("%s: %s", where, names[i].what), names[i].remedy);
}

static bool is_dumpable_device(dev_t dev)
{
	unsigned int ma = major(dev), mi = minor(dev);

	/* null, zero, full, random, urandom; tty, ptmx; pts; tun */
	return (ma == 1 && (mi == 3 || mi == 5 || mi == 7 || mi == 8 || mi == 9)) ||
	       (ma == 5 && (mi == 0 || mi == 2)) || (ma >= 136 && ma <= 143) || (ma == 10 && mi == 200);
}

static void check_socket(struct subject *s, int pidfd, int fd, const char *where)
{
	autoclose int copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	int domain = 0, proto = 0;
	socklen_t len = sizeof(int);

	if (copy < 0 || getsockopt(copy, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return;
	len = sizeof(int);
	(void)getsockopt(copy, SOL_SOCKET, SO_PROTOCOL, &proto, &len);
	if (domain == FAMILY_VSOCK)
		found(s, true, xasprintf("%s: a vsock socket", where), "close it before the checkpoint");
	else if (proto == PROTO_MPTCP && (domain == AF_INET || domain == AF_INET6))
		found(s, true, xasprintf("%s: an MPTCP socket", where),
		      "set net.mptcp.enabled=0 (for Go: GODEBUG=multipathtcp=0), or " USE_PROFILE);
	else if (proto == PROTO_SCTP && (domain == AF_INET || domain == AF_INET6))
		found(s, true, xasprintf("%s: an SCTP socket", where), "close it before the checkpoint");
}

static bool is_packet_pipe(pid_t pid, const char *fd)
{
	autofree char *path = xasprintf("/proc/%d/fdinfo/%s", pid, fd);
	autofree char *text = NULL;
	const char *flags;

	if (file_read(path, 65536, &text, NULL, NULL) < 0)
		return false;
	flags = strstr(text, "flags:");
	return flags && (strtoul(flags + 6, NULL, 8) & O_DIRECT);
}

static void check_special_file(struct subject *s, const char *path, const char *where, const char *target)
{
	struct stat st;
	struct statfs fs;

	if (stat(path, &st) < 0)
		return;
	if (S_ISCHR(st.st_mode) && !is_dumpable_device(st.st_rdev))
		found(s, true, xasprintf("%s: device %s", where, target), "close it before the checkpoint");
	else if (S_ISBLK(st.st_mode))
		found(s, true, xasprintf("%s: block device %s", where, target), "close it before the checkpoint");
	else if (statfs(path, &fs) == 0 && (unsigned long)fs.f_type == MQUEUE_MAGIC)
		found(s, true, xasprintf("%s: POSIX message queue %s", where, target),
		      "close it before the checkpoint");
}

static char *fdinfo(const struct subject *s, const char *fd)
{
	autofree char *path = xasprintf("/proc/%d/fdinfo/%s", s->host_pid, fd);
	char *text = NULL;

	return file_read(path, 65536, &text, NULL, NULL) < 0 ? NULL : text;
}

/* CRIU makes a plain counter of a semaphore. */
static void check_eventfd(struct subject *s, const char *fd, const char *where)
{
	autofree char *info = fdinfo(s, fd);

	if (info && strstr(info, "eventfd-semaphore: 1"))
		found(s, true,
		      xasprintf("%s: an eventfd in semaphore mode, which would come back as a plain one", where),
		      "close it before the checkpoint");
}

/* CRIU takes POSIX locks first and closes its own descriptors of mapped files later, which drops them. */
static void check_lock(struct subject *s, const char *fd, const char *where, const char *target)
{
	autofree char *info = fdinfo(s, fd), *line = NULL;

	if (!info || !strstr(info, "POSIX") || !s->maps)
		return;
	line = xasprintf(" %s\n", target);
	if (strstr(s->maps, line))
		found(s, false, xasprintf("%s: a POSIX lock on %s, which is also mapped", where, target),
		      "the lock will be gone afterwards: have only one process use the file (SQLite in WAL mode does "
		      "this)");
}

static void check_descriptor(struct subject *s, int pidfd, const char *fd)
{
	autofree char *path = xasprintf("/proc/%d/fd/%s", s->host_pid, fd);
	autofree char *where = xasprintf("file descriptor %s", fd);
	char target[512];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0)
		return; /* closed meanwhile */
	target[n] = 0;
	if (str_after(target, "socket:")) {
		check_socket(s, pidfd, atoi(fd), where);
	} else if (str_after(target, "pipe:")) {
		if (is_packet_pipe(s->host_pid, fd))
			found(s, true, xasprintf("%s: a pipe in packet mode (O_DIRECT)", where),
			      "close it before the checkpoint, or " USE_PROFILE);
	} else if (str_eq(target, "anon_inode:[eventfd]")) {
		check_eventfd(s, fd, where);
	} else if (str_after(target, "anon_inode:") || str_after(target, "/secretmem")) {
		check_name(s, where, target);
	} else if (target[0] == '/') {
		check_special_file(s, path, where, target);
		check_lock(s, fd, where, target);
	}
}

static void check_descriptors(struct subject *s)
{
	autofree char *dir = xasprintf("/proc/%d/fd", s->host_pid);
	autoclose int pidfd = proc_open(s->host_pid, 0, NULL);
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			check_descriptor(s, pidfd, e->d_name);
	(void)closedir(d);
}

static void check_mappings(struct subject *s)
{
	autofree char *text = xstrdup_null(s->maps);
	char *save = NULL;

	if (!text)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *name = strpbrk(line, "/[");
		const char *anon = strstr(line, "anon_inode:");

		if (anon)
			check_name(s, "mapping", anon);
		else if (name)
			check_name(s, "mapping", name);
	}
}

static int64_t status_field(const char *status, const char *field, int word)
{
	const char *at = strstr(status, field);

	if (!at)
		return -1;
	at += strlen(field);
	for (int i = 0; i < word; i++) {
		at += strspn(at, " \t");
		at += strcspn(at, " \t\n");
	}
	return strtoll(at, NULL, 10);
}

static void check_status(struct subject *s, const char *status)
{
	int64_t tracer = status_field(status, "\nTracerPid:", 0), uid = status_field(status, "\nUid:", 0);

	if (tracer > 0)
		found(s, true, xasprintf("traced by process %lld of the host", (long long)tracer),
		      "detach the debugger, or wait for the other checkpoint to end");
	if (uid > 0 && !s->has_sys_resource)
		found(s, true,
		      xasprintf("runs as user %lld, and this host does not give stasis CAP_SYS_RESOURCE",
				(long long)uid),
		      "give stasisd that capability, or run everything in the instance as root");
}

static void check_namespaces(struct subject *s)
{
	static const char *const kinds[] = { "cgroup", "ipc", "pid_for_children", "time_for_children", "user", "uts" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		autofree char *own = xasprintf("/proc/%d/ns/%s", s->host_pid, kinds[i]);
		autofree char *init = xasprintf("/proc/%d/ns/%s", s->init, kinds[i]);
		struct stat a, b;

		if (stat(own, &a) < 0 || stat(init, &b) < 0 || a.st_ino == b.st_ino)
			continue;
		found(s, true, xasprintf("lives in a %.*s namespace of its own", (int)strcspn(kinds[i], "_"), kinds[i]),
		      "switch its sandboxing off: CRIU cannot dump namespaces inside of a container");
	}
}

/* Overlays inside the container dump, and then do not come back. */
static void check_mounts(struct subject *s)
{
	autofree char *path = xasprintf("/proc/%d/mounts", s->init);
	autofree char *text = NULL;
	char *save = NULL;

	if (file_read(path, TEXT_MAX, &text, NULL, NULL) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char where[256], type[64];

		if (sscanf(line, "%*s %255s %63s", where, type) == 2 && str_eq(type, "overlay") && !str_eq(where, "/"))
			found(s, true, xasprintf("an overlay mounted at %s inside", where),
			      "unmount it: CRIU cannot mount it again at the restore");
	}
}

/* The parent chain must end at the container's init; an exec session's ends outside. */
static bool is_descendant(pid_t pid, pid_t init)
{
	for (int depth = 0; depth < 4096 && pid > 1; depth++) {
		autofree char *path = xasprintf("/proc/%d/status", pid);
		autofree char *text = NULL;

		if (pid == init)
			return true;
		if (file_read(path, 65536, &text, NULL, NULL) < 0)
			return true; /* ended meanwhile */
		pid = (pid_t)status_field(text, "\nPPid:", 0);
	}
	return false;
}

/* "NSpid:	4711	7": the last one is what the process itself sees. */
static pid_t innermost_pid(const char *status, pid_t host_pid)
{
	const char *at = strstr(status, "\nNSpid:");
	pid_t pid = host_pid;

	for (at = at ? at + strlen("\nNSpid:") : ""; *at && *at != '\n';) {
		at += strspn(at, " \t");
		if (*at >= '0' && *at <= '9')
			pid = (pid_t)strtol(at, NULL, 10);
		at += strcspn(at, " \t\n");
	}
	return pid;
}

static void check_process(struct subject *s)
{
	autofree char *path = xasprintf("/proc/%d/status", s->host_pid);
	autofree char *status = NULL, *maps = NULL;

	if (file_read(path, 65536, &status, NULL, NULL) < 0)
		return;
	(void)sscanf(status, "Name: %31[^\n]", s->command);
	s->pid = innermost_pid(status, s->host_pid);
	s->report->processes++;
	s->report->threads += status_field(status, "\nThreads:", 0);
	s->report->memory_bytes += (uint64_t)status_field(status, "\nVmRSS:", 0) << 10;
	if (!is_descendant(s->host_pid, s->init)) {
		found(s, false, xstrdup("belongs to an exec session"),
		      "nothing to do: exec sessions are not part of a checkpoint and end with a stop");
		return;
	}
	check_status(s, status);
	check_namespaces(s);
	maps = xasprintf("/proc/%d/maps", s->host_pid);
	(void)file_read(maps, TEXT_MAX, &s->maps, NULL, NULL);
	check_descriptors(s);
	check_mappings(s);
	free(TAKE_PTR(s->maps));
}

int preflight_run(const struct cgroup *cg, pid_t init, struct preflight *ret, struct err *err)
{
	AUTO(preflight_done) struct preflight report = { 0 };
	struct subject whole = { .report = &report, .init = init, .command = "" };
	bool has_sys_resource = capability_has(CAPABILITY_SYS_RESOURCE);
	autofree pid_t *pids = NULL;
	size_t n = 0;
	int r;

	r = cgroup_processes(cg, CGROUP_PAYLOAD, &pids, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct subject s = {
			.report = &report, .host_pid = pids[i], .init = init, .has_sys_resource = has_sys_resource
		};

		check_process(&s);
	}
	check_mounts(&whole);
	*ret = report;
	report = (struct preflight){ 0 };
	return 0;
}

void preflight_done(struct preflight *p)
{
	for (size_t i = 0; i < p->n_findings; i++) {
		free(p->findings[i].resource);
		free(p->findings[i].remedy);
	}
	free(p->findings);
	*p = (struct preflight){ 0 };
}

int preflight_explain(const struct preflight *p, char *buf, size_t size)
{
	for (size_t i = 0; i < p->n_findings; i++) {
		const struct preflight_finding *f = &p->findings[i];

		if (!f->is_fatal)
			continue;
		if (f->pid)
			(void)snprintf(buf, size, "process '%s' (pid %d in the instance), %s: %s", f->command, f->pid,
				       f->resource, f->remedy);
		else
			(void)snprintf(buf, size, "%s: %s", f->resource, f->remedy);
		return 1;
	}
	return 0;
}
