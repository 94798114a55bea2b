/* SPDX-License-Identifier: Apache-2.0 */
/* skopeo.c - one run of `skopeo copy` */
#include "image/skopeo.h"

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

#define POLL_US (200 * US_PER_MS)
#define MAX_LOG (1 << 20)
#define POLICY	"/etc/containers/policy.json"

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

static char **command(const struct skopeo_copy *c)
{
	char **argv = strv_new("skopeo", "--override-os", "linux", "--tmpdir", c->tmp, NULL);

	/* A host that has skopeo but no policy trusts what it is told to fetch, as the usual policy does. */
	if (!path_exists(POLICY))
		strv_add(&argv, "--insecure-policy");
	strv_add(&argv, "copy");
	for (size_t i = 0; c->options && c->options[i]; i++)
		strv_add(&argv, c->options[i]);
	strv_add(&argv, c->from);
	strv_add(&argv, c->to);
	return argv;
}

/* Until it ends, tells how much has arrived. */
static int follow(const struct skopeo_copy *c, struct proc *p, int *ret_status, struct err *err)
{
	uint64_t end = clock_mono_us() + c->timeout_us, bytes = 0;
	int r;

	for (;;) {
		r = proc_wait(p, POLL_US, ret_status, err);
		if (r != 0)
			return r < 0 ? r : 0;
		if (clock_mono_us() > end)
			return err_set(err, -ETIMEDOUT, "it took longer than %llu s",
				       (unsigned long long)(c->timeout_us / US_PER_S));
		if (c->grows)
			(void)path_disk_usage(c->grows, &bytes, NULL);
		r = image_watch_tick(c->watch, c->what, bytes, err);
		if (r < 0)
			return r;
	}
}

int skopeo_copy(const struct skopeo_copy *c, struct err *err)
{
	autofree char *log_path = path_join(c->tmp, "skopeo.log");
	autoclose int log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	AUTO(strv_free) char **argv = command(c);
	struct proc_fd fds[] = { { log, 1 }, { log, 2 } };
	struct proc_spec spec = { .argv = argv, .fds = fds, .n_fds = 2, .new_session = true };
	AUTO(proc_done) struct proc p = PROC_NONE;
	autofree char *words = NULL;
	int status = 0, r;

	if (log < 0)
		return err_sys(err, "%s", log_path);
	r = proc_start(&p, &spec, err);
	if (r == -ENOENT)
		return err_set(err, r, "cannot %.200s: skopeo is not installed (package skopeo)", c->say);
	if (r == 0)
		r = follow(c, &p, &status, err);
	if (r < 0)
		return err_wrap(err, r, "cannot %.200s", c->say);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	words = last_words(log_path);
	return err_set(err, -EREMOTEIO, "cannot %.200s: %s", c->say, words);
}
