/* SPDX-License-Identifier: Apache-2.0 */
/*
 * criu.c - the table of CRIU's messages
 *
 * Each row was provoked with criu 4.2.1 by a program that uses that one feature. The wording of CRIU's messages is no
 * interface: a message that no row knows is shown as it is.
 */
#include "runtime/criu.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/str.h"

#define LINE_MAX_LEN 1024
#define LOG_TAIL     (4 << 20) /* of a longer log only the end is read */

struct rule {
	const char *first, *second; /* both must occur in the line; second may be NULL */
	const char *meaning;	    /* of the resource and what to do */
};

static const struct rule rules[] = {
	{ "io_uring", NULL,
	  "uses io_uring, which CRIU cannot dump: run it with checkpoint.profile=checkpointable, where io_uring is "
	  "refused and programs fall back" },
	{ "secretmem", NULL,
	  "uses memfd_secret memory, which cannot be dumped: run it with checkpoint.profile=checkpointable" },
	{ "anon_inode:[userfaultfd]", NULL,
	  "uses userfaultfd, which cannot be dumped: run it with checkpoint.profile=checkpointable" },
	{ "anon_inode:bpf", NULL,
	  "has a BPF object open, which cannot be dumped: run it with checkpoint.profile=checkpointable" },
	{ "anon_inode:[perf_event]", NULL, "has a perf event open, which cannot be dumped: stop the profiler" },
	{ "Unsupported proto 262", NULL,
	  "uses an MPTCP socket, which CRIU cannot dump: set net.mptcp.enabled=0 (for Go: GODEBUG=multipathtcp=0)" },
	{ "Unknown socket collected", "family 40",
	  "has a vsock socket, which cannot be dumped: close it before the checkpoint" },
	{ "packetized mode for pipes", NULL, "has a pipe in packet mode (O_DIRECT), which cannot be dumped" },
	{ "Can't lookup mount=", "for fd",
	  "has a POSIX message queue or a file of a mount from outside open: close it before the checkpoint" },
	{ "Non-empty write queue on an in-flight socket", NULL,
	  "has an unaccepted unix connection with data in it: try again in a moment" },
	{ "External socket is used", NULL,
	  "is connected to a unix socket outside of the container: disconnect it before the checkpoint" },
	{ "Can't dump half of stream unix connection", NULL,
	  "is connected to a unix socket outside of the container: disconnect it before the checkpoint" },
	{ "Can't dump nested", "namespace",
	  "has made namespaces of its own (a sandbox or a container inside), which cannot be dumped" },
	{ "found while seizing", "zombie",
	  "is traced by another program (a debugger?), or another checkpoint is under way: detach it" },
	{ "state D", NULL,
	  "waits in the kernel (a vfork in progress, or a file system that does not answer): try again in a moment" },
	{ "Unable to freeze cgroup", NULL,
	  "does not come to rest: a file system that it uses (FUSE, NFS) does not answer" },
	{ "memory.pressure", NULL,
	  "watches memory pressure (PSI), which cannot be dumped: set MEMORY_PRESSURE_WATCH=/dev/null for it" },
	{ "POKEDATA failed", NULL,
	  "has memory that cannot be written by a debugger (PHP's JIT): switch its opcache off (opcache.enable=0)" },
	{ "Can't dump ghost file", NULL,
	  "has a deleted file open that is larger than CRIU's ghost-limit of 1 GiB: close it" },
	{ "Can't dump that handle", NULL, "watches files (inotify or fanotify) on a file system without file handles" },
	{ "of that type [20666]", NULL, "has a device open that cannot be dumped: close it before the checkpoint" },
	{ "Can't get rlimit", NULL,
	  "runs under another user, and this host does not give stasis CAP_SYS_RESOURCE: grant it, or run everything "
	  "in the instance as root" },
	{ "No space left on device", NULL, "did not fit on the disk: make room and try again" },
	{ "Can't dump file", "of that type", "has something open that CRIU cannot dump" },
	/* restore */
	{ "has bad size", NULL, "needs a file that has changed since the state was saved" },
	{ "has bad mode", NULL, "needs a file whose mode has changed since the state was saved" },
	{ "Can't open file", NULL, "needs a file that is missing now" },
	{ "Can't bind", NULL, "needs an address or a port that is taken now" },
	{ "Can't fork for", "File exists", "needs a process id that is taken" },
	{ "bad magic", NULL, "has damaged images" },
	{ "unpacking object", NULL, "has damaged images" },
	{ "Unexpected EOF", NULL, "has images that are cut short" },
};

/* Errors that CRIU logs and gets over. */
static const char *const harmless[] = {
	"Can't setup RLIMIT_NOFILE for self",
	"Could not process rule: No such file or directory",
	"One of more action scripts failed",
	"Dumping FAILED",
	"Restoring FAILED",
	"cgroupd: recv req error",
	"exited with",
	"Unable to kill",
};

static bool is_harmless(const char *line)
{
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (strstr(line, harmless[i]))
			return true;
	return false;
}

static const struct rule *find_rule(const char *line)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (strstr(line, rules[i].first) && (!rules[i].second || strstr(line, rules[i].second)))
			return &rules[i];
	return NULL;
}

struct subject {
	int pid;
	char name[32];
};

/* "Dumping task (pid: 1234 comm: redis-server)" says whom the lines after it are about. */
static void note_subject(const char *line, struct subject *s)
{
	const char *at = strstr(line, "Dumping task (pid: ");
	struct subject found = { 0 };

	if (at && sscanf(at, "Dumping task (pid: %d comm: %31[^)])", &found.pid, found.name) >= 1)
		*s = found;
}

static void describe(const struct subject *s, const struct rule *rule, const char *line, char *buf, size_t size)
{
	const char *text = strstr(line, "): ");
	char who[80] = "the container";

	if (s->pid && s->name[0])
		(void)snprintf(who, sizeof(who), "process '%s' (pid %d on the host)", s->name, s->pid);
	text = text ? text + 3 : line;
	if (rule)
		(void)snprintf(buf, size, "%s %s (CRIU: %.160s)", who, rule->meaning, text);
	else
		(void)snprintf(buf, size, "CRIU says of %s: %.240s", who, text);
}

int criu_explain(const char *log_path, char *buf, size_t size)
{
	FILE *f = fopen(log_path, "re");
	struct subject subject = { 0 };
	char line[LINE_MAX_LEN];
	int found = 0;
	struct stat st;

	buf[0] = 0;
	if (!f)
		return 0;
	if (fstat(fileno(f), &st) == 0 && st.st_size > LOG_TAIL)
		(void)fseek(f, -LOG_TAIL, SEEK_END);
	while (found < 2 && fgets(line, sizeof(line), f)) {
		const struct rule *rule;

		str_rtrim(line);
		note_subject(line, &subject);
		if (!strstr(line, "Error (") || is_harmless(line))
			continue;
		rule = find_rule(line);
		if (rule || !found)
			describe(&subject, rule, line, buf, size);
		found = rule ? 2 : 1; /* a line that a rule knows says more than the first one */
	}
	(void)fclose(f);
	return found > 0;
}
