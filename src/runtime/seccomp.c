/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp.c - the table of system calls that the checkpointable profile answers with an error
 *
 * Each error is one after which programs are known to go on by other means: node and mariadb without io_uring, Go
 * servers without MPTCP, sandboxes without Landlock. What would be lost silently by a dump (Landlock, keyrings, mseal)
 * is refused as well.
 */
#include "runtime/seccomp.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/auto.h"
#include "base/json.h"

#define PROTO_MPTCP  262
#define FAMILY_VSOCK 40
#define PIPE_PACKETS 040000 /* O_DIRECT */
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

struct refusal {
	const char *name;
	int error;
	int arg; /* -1: always; else the argument that decides */
	uint64_t value;
	bool is_mask; /* the argument has the bit(s) of @value */
};

static const struct refusal refusals[] = {
	{ "add_key", ENOSYS, -1, 0, false },
	{ "bpf", EPERM, -1, 0, false },
	{ "clone", EPERM, 0, CLONE_NEWCGROUP, true },
	{ "clone", EPERM, 0, CLONE_NEWIPC, true },
	{ "clone", EPERM, 0, CLONE_NEWPID, true },
	{ "clone", EPERM, 0, CLONE_NEWUSER, true },
	{ "clone", EPERM, 0, CLONE_NEWUTS, true },
	{ "clone3", ENOSYS, -1, 0, false }, /* its flags are behind a pointer; libc falls back to clone */
	{ "io_uring_enter", EPERM, -1, 0, false },
	{ "io_uring_register", EPERM, -1, 0, false },
	{ "io_uring_setup", EPERM, -1, 0, false },
	{ "keyctl", ENOSYS, -1, 0, false },
	{ "landlock_add_rule", ENOSYS, -1, 0, false },
	{ "landlock_create_ruleset", ENOSYS, -1, 0, false },
	{ "landlock_restrict_self", ENOSYS, -1, 0, false },
	{ "memfd_secret", ENOSYS, -1, 0, false },
	{ "mq_open", ENOSYS, -1, 0, false },
	{ "mseal", ENOSYS, -1, 0, false },
	{ "perf_event_open", EPERM, -1, 0, false },
	{ "pipe2", EINVAL, 1, PIPE_PACKETS, true },
	{ "request_key", ENOSYS, -1, 0, false },
	{ "socket", EAFNOSUPPORT, 0, FAMILY_VSOCK, false },
	{ "socket", EPROTONOSUPPORT, 2, PROTO_MPTCP, false },
	{ "unshare", EPERM, 0, CLONE_NEWCGROUP, true },
	{ "unshare", EPERM, 0, CLONE_NEWIPC, true },
	{ "unshare", EPERM, 0, CLONE_NEWPID, true },
	{ "unshare", EPERM, 0, CLONE_NEWTIME, true },
	{ "unshare", EPERM, 0, CLONE_NEWUSER, true },
	{ "unshare", EPERM, 0, CLONE_NEWUTS, true },
	{ "userfaultfd", EPERM, -1, 0, false },
};

static struct json *rule(const struct refusal *r)
{
	struct json *o = json_new_object(), *names = json_new_array();

	json_add_str(names, r->name);
	json_set(o, "names", names);
	json_set_str(o, "action", "SCMP_ACT_ERRNO");
	json_set_int(o, "errnoRet", r->error);
	if (r->arg >= 0) {
		struct json *args = json_new_array(), *a = json_new_object();

		json_set_int(a, "index", r->arg);
		json_set_int(a, "value", (int64_t)r->value);
		if (r->is_mask)
			json_set_int(a, "valueTwo", (int64_t)r->value);
		json_set_str(a, "op", r->is_mask ? "SCMP_CMP_MASKED_EQ" : "SCMP_CMP_EQ");
		json_add(args, a);
		json_set(o, "args", args);
	}
	return o;
}

struct json *seccomp_checkpointable(void)
{
#if defined(__x86_64__)
	static const char *const archs[] = { "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32" };
#elif defined(__aarch64__)
	static const char *const archs[] = { "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM" };
#else
#error "say which system call tables this processor has"
#endif
	struct json *o = json_new_object(), *list = json_new_array(), *rules = json_new_array();

	for (size_t i = 0; i < ARRAY_SIZE(archs); i++)
		json_add_str(list, archs[i]);
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		json_add(rules, rule(&refusals[i]));
	json_set_str(o, "defaultAction", "SCMP_ACT_ALLOW");
	json_set(o, "architectures", list);
	json_set(o, "syscalls", rules);
	return o;
}
