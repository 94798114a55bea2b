/* SPDX-License-Identifier: Apache-2.0 */
/* annotations.c - what makes an OCI image a checkpoint */
#include "image/annotations.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#define PODMAN	  "io.podman.annotations.checkpoint."
#define CRIU	  "org.criu.checkpoint."
#define CRIO_NAME "io.kubernetes.cri-o.annotations.checkpoint.name"
#define IMAGE	  "org.opencontainers.image."

char *annotations_criu_number(const char *version)
{
	unsigned int major = 0, minor = 0, sub = 0;

	if (!version || sscanf(version, "%2u.%2u.%2u", &major, &minor, &sub) < 2)
		return NULL;
	return xasprintf("%u", major * 10000 + minor * 100 + sub);
}

static char *prefixed(const char *prefix, const char *s)
{
	return s && *s ? xasprintf("%s%s", prefix, s) : NULL;
}

struct json *annotations_make(const struct annotations *a)
{
	autofree char *criu = annotations_criu_number(a->criu), *crun = prefixed("crun version ", a->crun);
	autofree char *stasis = prefixed("stasis ", a->stasis), *base = prefixed("sha256:", a->image_digest);
	char when[CLOCK_RFC3339_SIZE];
	struct json *o = json_new_object();
	const struct {
		const char *key, *value;
	} rows[] = {
		{ PODMAN "cgroups.version", "v2" },
		{ PODMAN "conmon.version", a->conmon },
		{ PODMAN "criu.version", criu },
		{ PODMAN "distribution.name", a->distribution },
		{ PODMAN "distribution.version", a->distribution_version },
		{ PODMAN "host.arch", a->architecture },
		{ PODMAN "host.kernel", a->kernel },
		{ PODMAN "name", a->name },
		{ PODMAN "podman.version", stasis },
		{ PODMAN "rawImageName", a->image },
		{ PODMAN "rootfsImageID", a->image_id },
		{ PODMAN "rootfsImageName", a->image },
		{ PODMAN "runtime.name", "crun" },
		{ PODMAN "runtime.version", crun },
		{ CRIU "cgroup.version", "v2" },
		{ CRIU "conmon.version", a->conmon },
		{ CRIU "container.name", a->name },
		{ CRIU "criu.version", a->criu },
		{ CRIU "distribution.name", a->distribution },
		{ CRIU "distribution.version", a->distribution_version },
		{ CRIU "engine.name", "stasis" },
		{ CRIU "engine.version", a->stasis },
		{ CRIU "host.arch", a->architecture },
		{ CRIU "host.kernel", a->kernel },
		{ CRIU "rawImageName", a->image },
		{ CRIU "rootfsImageID", a->image_id },
		{ CRIU "rootfsImageName", a->image },
		{ CRIU "rootfsImageUserRequested", a->image },
		{ CRIU "runtime.name", "crun" },
		{ CRIU "runtime.version", a->crun },
		{ CRIO_NAME, a->name },
		{ IMAGE "base.digest", base },
		{ IMAGE "base.name", a->image },
		{ IMAGE "created", clock_rfc3339(a->created_us, when) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].value && *rows[i].value)
			json_set_str(o, rows[i].key, rows[i].value);
	return o;
}

int annotations_check(const char *manifest, struct err *err)
{
	static const char *const marks[] = { PODMAN "runtime.name", CRIO_NAME, CRIU "container.name",
					     CRIU "engine.name" };
	AUTO(json_free) struct json *j = NULL;
	int r = json_parse(manifest, strlen(manifest), &j, err);

	if (r < 0)
		return err_wrap(err, r, "its manifest");
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (json_get_str(json_get(j, "annotations"), marks[i]))
			return 0;
	return err_set(err, -EINVAL,
		       "it is not a checkpoint, but an image like any other (a checkpoint's manifest says so in its "
		       "annotations, which docker archives lose)");
}
