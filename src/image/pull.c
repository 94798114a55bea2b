/* SPDX-License-Identifier: Apache-2.0 */
/* pull.c - images from elsewhere, fetched by skopeo */
#include "image/pull.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/strv.h"

#define POLL_US	      (200 * US_PER_MS)
#define MAX_REFERENCE 1024
#define MAX_LOG	      (1 << 20)
#define POLICY	      "/etc/containers/policy.json"
#define REGISTRY      "docker://"

int pull_reference(const char *given, char **ret, struct err *err)
{
	static const char *const transports[] = {
		"containers-storage:", "dir:", "docker-archive:", "docker-daemon:", REGISTRY, "oci-archive:", "oci:",
	};

	if (!*given || strlen(given) > MAX_REFERENCE || *given == '-')
		return err_set(err, -EINVAL, "'%.100s' is no reference of an image", given);
	for (const unsigned char *c = (const unsigned char *)given; *c; c++)
		if (*c <= ' ' || *c == 0x7f)
			return err_set(err, -EINVAL, "a reference with blanks or control characters in it");
	for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
		if (!str_after(given, transports[i]))
			continue;
		*ret = xstrdup(given);
		return 0;
	}
	if (strstr(given, "://") || *given == '/' || *given == '.')
		return err_set(err, -EINVAL,
			       "'%.100s' is no reference that can be pulled (docker://HOST/NAME:TAG, oci:FOLDER, "
			       "docker-archive:FILE …)",
			       given);
	*ret = xasprintf(REGISTRY "%s", given);
	return 0;
}

const char *pull_name(const char *reference)
{
	return str_after(reference, REGISTRY);
}

/* "time=… level=fatal msg=\"…\"" → what stands in msg; anything else as it is. */
static char *message_of(const char *line)
{
	const char *msg = strstr(line, " msg=\"");
	AUTO(strbuf_done) struct strbuf sb = STRBUF_INIT;

	if (!msg)
		return xstrdup(line);
	for (msg += strlen(" msg=\""); *msg && *msg != '"'; msg++) {
		if (*msg == '\\' && msg[1])
			msg++;
		strbuf_addc(&sb, *msg);
	}
	return strbuf_take(&sb);
}

/* The last line of the log that says anything. */
static char *last_words(const char *log_path)
{
	AUTO(strv_free) char **lines = NULL;
	autofree char *text = NULL;

	if (file_read(log_path, MAX_LOG, &text, NULL, NULL) < 0)
		return xstrdup("it left no message");
	lines = strv_split(text, '\n');
	for (size_t i = strv_len(lines); i > 0; i--)
		if (lines[i - 1][strspn(lines[i - 1], " \t\r")])
			return message_of(lines[i - 1]);
	return xstrdup("it said nothing");
}

static char **command(const struct pull_request *rq)
{
	char **argv = strv_new("skopeo", "--override-os", "linux", "--tmpdir", rq->tmp, NULL);

	/* A host that has skopeo but no policy trusts what it is told to fetch, as the usual policy does. */
	if (!path_exists(POLICY))
		strv_add(&argv, "--insecure-policy");
	strv_add(&argv, "copy");
	strv_add(&argv, "--dest-oci-accept-uncompressed-layers");
	if (rq->is_insecure)
		strv_add(&argv, "--src-tls-verify=false");
	strv_add(&argv, rq->reference);
	strv_addf(&argv, "oci:%s:image", rq->folder);
	return argv;
}

/* Until it ends, tells how much has arrived. Returns the wait status. */
static int follow(const struct pull_request *rq, struct proc *p, int *ret_status, struct err *err)
{
	uint64_t end = clock_mono_us() + rq->timeout_us, bytes = 0;
	int r;

	for (;;) {
		r = proc_wait(p, POLL_US, ret_status, err);
		if (r != 0)
			return r < 0 ? r : 0;
		if (clock_mono_us() > end)
			return err_set(err, -ETIMEDOUT, "it took longer than %llu s",
				       (unsigned long long)(rq->timeout_us / US_PER_S));
		(void)path_disk_usage(rq->folder, &bytes, NULL);
		r = image_watch_tick(rq->watch, "download", bytes, err);
		if (r < 0)
			return r;
	}
}

int pull_fetch(const struct pull_request *rq, struct err *err)
{
	autofree char *log_path = path_join(rq->tmp, "skopeo.log");
	autoclose int log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	AUTO(strv_free) char **argv = command(rq);
	struct proc_fd fds[] = { { log, 1 }, { log, 2 } };
	struct proc_spec spec = { .argv = argv, .fds = fds, .n_fds = 2, .new_session = true };
	AUTO(proc_done) struct proc p = PROC_NONE;
	autofree char *words = NULL;
	int status = 0, r;

	if (log < 0)
		return err_sys(err, "%s", log_path);
	r = proc_start(&p, &spec, err);
	if (r == -ENOENT)
		return err_set(err, r, "cannot pull: skopeo is not installed (package skopeo)");
	if (r == 0)
		r = follow(rq, &p, &status, err);
	if (r < 0)
		return err_wrap(err, r, "cannot pull %.150s", rq->reference);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	words = last_words(log_path);
	return err_set(err, -EREMOTEIO, "cannot pull %.150s: %s", rq->reference, words);
}
