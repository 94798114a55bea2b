/* SPDX-License-Identifier: Apache-2.0 */
/* paths.c - where an instance keeps things. Folders are named by uuid, so that a rename changes one row and nothing
 * else. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "engine/state.h"

static char *below(const char *dir, const char *kind, const struct instance *in, const char *name)
{
	return xasprintf("%s%s/%s%s%s", dir, kind, in->row.uuid, *name ? "/" : "", name);
}

char *instance_path(const struct instance *in, const char *name)
{
	return below(in->engine->settings.state_dir, "/instances", in, name);
}

char *instance_bundle_path(const struct instance *in, const char *name)
{
	return below(in->engine->settings.run_dir, "/c", in, name);
}

char *instance_log_path(const struct instance *in, const char *name)
{
	return below(in->engine->settings.log_dir, "", in, name);
}

char *instance_netns_path(const struct instance *in)
{
	return below(in->engine->settings.run_dir, "/netns", in, "");
}

char *instance_memory_path(const struct instance *in)
{
	return below(in->engine->settings.run_dir, "/mem", in, "");
}

void instance_note(const struct instance *in, const char *fmt, ...)
{
	autofree char *path = instance_log_path(in, "stasis.log");
	autoclose int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	AUTO(strbuf_done) struct strbuf line = STRBUF_INIT;
	char when[CLOCK_RFC3339_SIZE];
	va_list ap;

	if (fd < 0)
		return;
	strbuf_addf(&line, "%s ", clock_rfc3339(clock_real_us(), when));
	va_start(ap, fmt);
	strbuf_vaddf(&line, fmt, ap);
	va_end(ap);
	strbuf_addc(&line, '\n');
	(void)file_write_all(fd, line.s, line.len, NULL);
}
