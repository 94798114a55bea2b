/* SPDX-License-Identifier: Apache-2.0 */
/* pull.c - images from elsewhere, fetched by skopeo */
#include "image/pull.h"

#include <string.h>

#include "base/auto.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strv.h"
#include "image/skopeo.h"

#define MAX_REFERENCE 1024
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

int pull_fetch(const struct pull_request *rq, struct err *err)
{
	AUTO(strv_free) char **options = strv_new("--dest-oci-accept-uncompressed-layers", NULL);
	autofree char *to = xasprintf("oci:%s:image", rq->folder), *say = xasprintf("pull %.150s", rq->reference);
	struct skopeo_copy copy = {
		.from = rq->reference,
		.to = to,
		.tmp = rq->tmp,
		.grows = rq->folder,
		.what = "download",
		.say = say,
		.timeout_us = rq->timeout_us,
		.watch = rq->watch,
	};

	if (rq->is_insecure)
		strv_add(&options, "--src-tls-verify=false");
	copy.options = options;
	return skopeo_copy(&copy, err);
}
