/* SPDX-License-Identifier: Apache-2.0 */
/* The OCI spec of a stranger: what is taken, what is passed over, and what is refused with its reason. */
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "runtime/spec-policy.h"
#include "runtime/spec.h"
#include "test.h"

/* What our own engine writes: good by definition. */
static struct json *good_spec(void)
{
	AUTO(strv_free) char **args = strv_new("/bin/sh", "-c", "true", NULL), **env = strv_new("A=b", NULL);
	const struct spec spec = { .hostname = "c1",
				   .rootfs = "/rootfs",
				   .cgroups_path = "/x/y",
				   .netns = "/run/netns/x",
				   .args = args,
				   .env = env,
				   .cwd = "/tmp",
				   .uid = 5,
				   .gid = 6,
				   .is_checkpointable = true };

	return spec_make(&spec);
}

/* Puts @text at @pointer: a member of an object, or with "/-" behind the last element of an array. */
static void change(struct json *spec, const char *pointer, const char *text)
{
	const char *key = strrchr(pointer, '/');
	autofree char *above = xstrndup(pointer, (size_t)(key - pointer));
	struct json *parent = *above ? json_at(spec, above) : spec, *value = NULL;

	if (!parent || json_parse(text, strlen(text), &value, NULL) < 0) {
		test_check(false, __FILE__, __LINE__, pointer);
		json_free(value);
		return;
	}
	if (str_eq(key, "/-"))
		json_add(parent, value);
	else
		json_set(parent, key + 1, value);
}

static int judge(const struct json *spec, char *const *volumes, struct err *err)
{
	AUTO(spec_taken_done) struct spec_taken taken = { 0 };

	return spec_policy_take(spec, volumes, &taken, err);
}

struct hostile {
	const char *pointer, *text;
	const char *reason; /* part of the error */
};

static const struct hostile hostile[] = {
	/* the host's files */
	{ "/mounts/-", "{\"destination\":\"/mnt\",\"type\":\"bind\",\"source\":\"/\",\"options\":[\"rbind\"]}",
	  "host's '/' at /mnt" },
	{ "/mounts/-", "{\"destination\":\"/mnt\",\"source\":\"/etc\",\"options\":[\"bind\",\"ro\"]}",
	  "host's '/etc'" },
	{ "/mounts/-", "{\"destination\":\"/mnt\",\"type\":\"tmpfs\",\"source\":\"/etc\",\"options\":[\"rbind\"]}",
	  "host's '/etc'" },
	{ "/mounts/-", "{\"destination\":\"/etc/../mnt\",\"type\":\"bind\",\"source\":\"/etc\"}", "a mount at" },
	{ "/mounts/-", "{\"destination\":\"//data\",\"type\":\"bind\",\"source\":\"/etc\"}", "a mount at" },
	{ "/mounts/-", "{\"destination\":\"/data/\",\"type\":\"bind\",\"source\":\"/etc\"}", "a mount at" },
	{ "/mounts/-", "{\"destination\":\"data\",\"type\":\"bind\",\"source\":\"/etc\"}", "a mount at" },
	{ "/mounts/-", "{\"destination\":\"/\",\"type\":\"bind\",\"source\":\"/\"}", "a mount at '/'" },
	{ "/mounts/-", "{\"type\":\"bind\",\"source\":\"/\"}", "a mount at" },
	{ "/mounts/-", "{\"destination\":\"/etc/hosts.d\",\"type\":\"bind\",\"source\":\"/etc\"}", "host's" },
	{ "/mounts/-", "{\"destination\":\"/var/run/docker.sock\",\"type\":\"bind\",\"source\":\"/run/docker.sock\"}",
	  "docker.sock" },
	{ "/mounts/-", "{\"destination\":\"/mnt\",\"type\":\"ext4\",\"source\":\"/dev/vda\"}", "of type 'ext4'" },
	{ "/mounts/-", "{\"destination\":\"/mnt\",\"type\":\"overlay\",\"source\":\"o\",\"options\":[\"lowerdir=/\"]}",
	  "'overlay'" },
	{ "/mounts/-", "{\"destination\":\"/mnt\",\"type\":\"debugfs\",\"source\":\"d\"}", "'debugfs'" },
	{ "/mounts/-", "{\"destination\":\"/mnt\",\"type\":\"devtmpfs\",\"source\":\"d\"}", "'devtmpfs'" },
	{ "/mounts/-", "{\"destination\":\"/mnt\"}", "of type ''" },
	{ "/mounts/-", "{\"destination\":\"/proc2\",\"type\":\"proc\",\"source\":\"proc\"}", "not where it belongs" },
	{ "/mounts/-", "{\"destination\":\"/sys\",\"type\":\"sysfs\",\"options\":[\"rw\"]}", "writable" },
	{ "/mounts/-", "{\"destination\":\"/sys/fs/cgroup\",\"type\":\"cgroup2\"}", "writable" },
	{ "/mounts/-", "{\"destination\":\"/t\",\"type\":\"tmpfs\",\"uidMappings\":[{}]}", "mapped owners" },
	/* devices */
	{ "/linux/devices", "[{\"path\":\"/dev/vda\",\"type\":\"b\",\"major\":254,\"minor\":0}]", "device '/dev/vda'" },
	{ "/linux/devices", "[{\"path\":\"/dev/kvm\",\"type\":\"c\"}]", "device '/dev/kvm'" },
	{ "/linux/devices", "[{}]", "device ''" },
	{ "/linux/resources/devices/-", "{\"allow\":true,\"access\":\"rwm\"}", "access to device a -1:-1" },
	{ "/linux/resources/devices/-", "{\"allow\":true,\"type\":\"b\",\"major\":254,\"access\":\"r\"}",
	  "device b 254" },
	{ "/linux/resources/devices/-", "{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":1,\"access\":\"r\"}",
	  "device c 1:1" },
	{ "/linux/resources/devices/-", "{\"allow\":true,\"type\":\"b\",\"major\":1,\"minor\":3,\"access\":\"rw\"}",
	  "device b 1:3" },
	/* capabilities */
	{ "/process/capabilities/bounding/-", "\"CAP_SYS_ADMIN\"", "capability CAP_SYS_ADMIN" },
	{ "/process/capabilities/effective/-", "\"CAP_NET_ADMIN\"", "capability CAP_NET_ADMIN" },
	{ "/process/capabilities/inheritable", "[\"CAP_SYS_PTRACE\"]", "capability CAP_SYS_PTRACE" },
	{ "/process/capabilities/ambient", "[\"CAP_BPF\"]", "capability CAP_BPF" },
	{ "/process/capabilities/ambient", "[\"cap_chown\"]", "capability cap_chown" },
	{ "/process/capabilities/ambient", "[7]", "no text" },
	/* programs on the host */
	{ "/hooks", "{\"prestart\":[{\"path\":\"/bin/sh\"}]}", "hooks (prestart)" },
	{ "/hooks", "{\"createRuntime\":[{\"path\":\"/x\"}],\"poststop\":[]}", "hooks (createRuntime)" },
	{ "/hooks", "{\"poststop\":{\"path\":\"/x\"}}", "hooks (poststop)" },
	/* the kernel */
	{ "/linux/sysctl", "{\"kernel.core_pattern\":\"|/x\"}", "sysctl kernel.core_pattern" },
	{ "/linux/sysctl", "{\"net.ipv4.ip_forward\":\"1\"}", "sysctl net.ipv4.ip_forward" },
	{ "/linux/intelRdt", "{\"closID\":\"x\"}", "intelRdt" },
	{ "/linux/netDevices", "{\"eth0\":{}}", "network devices" },
	{ "/linux/seccomp/listenerPath", "\"/run/x\"", "seccomp listener" },
	/* namespaces */
	{ "/linux/namespaces", "[]", "the host's own pid namespace" },
	{ "/linux/namespaces",
	  "[{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"},{\"type\":\"cgroup\"}]",
	  "the host's own network namespace" },
	{ "/linux/namespaces/-", "{\"type\":\"pid\",\"path\":\"/proc/1/ns/pid\"}", "'/proc/1/ns/pid'" },
	{ "/linux/namespaces/-", "{\"type\":\"mount\",\"path\":\"/proc/1/ns/mnt\"}",
	  "mount namespace of somebody else" },
	{ "/linux/namespaces/-", "{\"type\":\"user\"}", "a user namespace" },
	{ "/linux/uidMappings", "[{\"containerID\":0,\"hostID\":0,\"size\":1}]", "mapped users" },
	/* what is hidden and protected */
	{ "/linux/maskedPaths", "[]", "/proc/kcore readable" },
	{ "/linux/maskedPaths/-", "\"proc/x\"", "maskedPaths holds 'proc/x'" },
	{ "/linux/maskedPaths/-", "\"/proc/../etc\"", "maskedPaths holds" },
	{ "/linux/readonlyPaths", "[\"/proc/bus\"]", "/proc/sys writable" },
	{ "/linux/rootfsPropagation", "\"rshared\"", "rshared" },
	/* annotations that runtimes act on */
	{ "/annotations", "{\"org.criu.config\":\"/tmp/x\"}", "annotation org.criu.config" },
	{ "/annotations", "{\"run.oci.handler\":\"wasm\"}", "annotation run.oci.handler" },
	{ "/annotations", "{\"cdi.k8s.io/x\":\"vendor.com/gpu=all\"}", "annotation cdi.k8s.io/x" },
	{ "/annotations", "{\"run.oci.hooks.stdout\":\"/etc/x\"}", "annotation run.oci.hooks.stdout" },
	{ "/annotations", "{\"org.systemd.property.DeviceAllow\":\"[]\"}",
	  "annotation org.systemd.property.DeviceAllow" },
	/* the process */
	{ "/process/cwd", "\"/proc/self/fd/../..\"", "working folder" },
	{ "/process/cwd", "\"etc\"", "working folder 'etc'" },
	{ "/process/user/uid", "-1", "process.user.uid" },
	{ "/process/user/uid", "4294967295", "process.user.uid" },
	{ "/process/user/gid", "\"0\"", "process.user.gid is no number" },
	{ "/process/user/additionalGids", "[1.5]", "additionalGids" },
	{ "/process/oomScoreAdj", "-1000", "oomScoreAdj" },
	{ "/process/scheduler", "{\"policy\":\"SCHED_FIFO\",\"priority\":99}", "SCHED_FIFO" },
	{ "/process/ioPriority", "{\"class\":\"IOPRIO_CLASS_RT\"}", "I/O priority" },
	{ "/process/args", "[]", "names no program" },
	{ "/process/args", "\"sh\"", "process.args is no list" },
	{ "/process/args", "[[]]", "no text" },
	{ "/process", "[]", "no 'process'" },
	{ "/linux", "null", "no 'linux'" },
	{ "/mounts", "{}", "mounts are no list" },
};

TEST(hostile_specs_are_refused_with_their_reason)
{
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		AUTO(json_free) struct json *spec = good_spec();
		struct err err = ERR_INIT;
		int r;

		change(spec, hostile[i].pointer, hostile[i].text);
		r = judge(spec, NULL, &err);
		if (r == 0 || !strstr(err.text, hostile[i].reason)) {
			printf("     %s %s: %d '%s'\n", hostile[i].pointer, hostile[i].text, r, err.text);
			CHECK(!"refused with its reason");
		}
	}
}

TEST(our_own_spec_is_taken)
{
	AUTO(json_free) struct json *spec = good_spec();
	AUTO(spec_taken_done) struct spec_taken t = { 0 };
	struct err err = ERR_INIT;

	CHECK_INT(spec_policy_take(spec, NULL, &t, &err), 0);
	CHECK_STR(err.text, "");
	REQUIRE(strv_len(t.args) == 3);
	CHECK_STR(t.args[2], "true");
	CHECK_STR(t.env[0], "A=b");
	CHECK_STR(t.cwd, "/tmp");
	CHECK_INT(t.uid, 5);
	CHECK_INT(t.gid, 6);
	CHECK(!t.has_tty && !t.has_own_network);
	CHECK_INT(t.n_extras, 0);
	CHECK(strv_has(t.masked, "/proc/kcore") && strv_has(t.readonly, "/proc/sys"));
}

/* Podman's and crun's defaults: none of it gives anybody anything. */
TEST(what_others_write_by_default_is_harmless)
{
	static const struct {
		const char *pointer, *text;
	} usual[] = {
		{ "/mounts/-", "{\"destination\":\"/etc/hosts\",\"type\":\"bind\",\"source\":\"/run/x/"
			       "hosts\",\"options\":[\"bind\"]}" },
		{ "/mounts/-", "{\"destination\":\"/dev/shm\",\"type\":\"bind\",\"source\":\"/run/x/shm\"}" },
		{ "/mounts/-", "{\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"/volumes/v\"}" },
		{ "/mounts/-", "{\"destination\":\"/cache\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"}" },
		{ "/mounts/-", "{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\"}" },
		{ "/annotations", "{\"io.container.manager\":\"libpod\",\"org.systemd.property.KillSignal\":\"15\"}" },
		{ "/linux/sysctl", "{\"net.ipv4.ping_group_range\":\"0 0\"}" },
		{ "/linux/resources/devices/-",
		  "{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":3,\"access\":\"rwm\"}" },
		{ "/linux/resources/devices/-", "{\"allow\":true,\"type\":\"c\",\"access\":\"m\"}" },
		{ "/linux/devices", "[{\"path\":\"/dev/null\",\"type\":\"c\"}]" },
		{ "/linux/maskedPaths/-", "\"/sys/fs/selinux\"" },
		{ "/process/capabilities/ambient", "[\"CAP_CHOWN\"]" },
		{ "/process/terminal", "true" },
		{ "/hooks", "{\"prestart\":[]}" },
	};
	AUTO(json_free) struct json *spec = good_spec();
	AUTO(spec_taken_done) struct spec_taken t = { 0 };
	AUTO(strv_free) char **volumes = strv_new("/data", NULL);
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		change(spec, usual[i].pointer, usual[i].text);
	CHECK_INT(spec_policy_take(spec, volumes, &t, &err), 0);
	CHECK_STR(err.text, "");
	CHECK(t.has_tty);
	REQUIRE(t.n_extras == 2);
	CHECK_STR(t.extras[0]->name, "hosts");
	CHECK_INT(t.extras[1]->kind, SPEC_EXTRA_SHM);
}

TEST(a_network_without_path_is_the_containers_own)
{
	AUTO(json_free) struct json *spec = good_spec();
	AUTO(spec_taken_done) struct spec_taken t = { 0 };
	struct json *list = json_at(spec, "/linux/namespaces");

	for (size_t i = 0; i < json_len(list); i++)
		json_unset(json_item(list, i), "path");
	CHECK_INT(spec_policy_take(spec, NULL, &t, NULL), 0);
	CHECK(t.has_own_network);
}

TEST(all_reasons_are_told_at_once)
{
	AUTO(json_free) struct json *spec = good_spec();
	struct err err = ERR_INIT;

	change(spec, "/process/oomScoreAdj", "-5");
	change(spec, "/hooks", "{\"prestart\":[{}]}");
	change(spec, "/mounts/-", "{\"destination\":\"/m\",\"type\":\"bind\",\"source\":\"/etc\"}");
	CHECK_INT(judge(spec, NULL, &err), -EPERM);
	CHECK(strstr(err.text, "oomScoreAdj") && strstr(err.text, "hooks") && strstr(err.text, "'/etc' at /m"));
	for (int i = 0; i < 100; i++)
		change(spec, "/process/capabilities/bounding/-", i % 2 ? "\"CAP_SYS_ADMIN\"" : "\"CAP_X\"");
	for (int i = 0; i < 40; i++)
		change(spec, "/mounts/-", "{\"destination\":\"/m\",\"type\":\"bind\",\"source\":\"/etc\"}");
	CHECK_INT(judge(spec, NULL, &err), -EPERM);
	CHECK(strstr(err.text, " more") != NULL);
}

TEST(what_is_shown_cannot_move_the_cursor)
{
	AUTO(json_free) struct json *spec = good_spec();
	struct err err = ERR_INIT;

	change(spec, "/mounts/-", "{\"destination\":\"/m\",\"type\":\"bind\",\"source\":\"/\\u001b[2J\"}");
	CHECK_INT(judge(spec, NULL, &err), -EPERM);
	CHECK(strchr(err.text, 0x1b) == NULL);
}
