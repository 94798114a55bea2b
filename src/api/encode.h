/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* encode.h - the engine's objects as LXD spells them; each function returns a new document */
#include <stdbool.h>

#include "engine/image.h"
#include "engine/instance.h"
#include "engine/operation.h"

struct json *encode_operation(struct operation *op);
const char *encode_operation_status(enum operation_status status); /* "Running" */

/* @with_state: with the members of LXD's InstanceFull; @info must be live then. */
struct json *encode_instance(const struct instance_info *info, bool with_state);
struct json *encode_instance_state(const struct instance_info *info);

/* Whether "key=value" is kept by the engine: shown in expanded_config only, and not to be set. */
bool encode_is_volatile(const char *pair);

/* What an ETag guards: all that PUT sets. 64 hex digits. */
void encode_instance_etag(const struct instance_info *info, char out[DIGEST_HEX_SIZE]);

struct json *encode_image(const struct image_info *info);
struct json *encode_alias(const struct image_info *info, const char *alias);

/* "amd64" is LXD's "x86_64". */
const char *encode_architecture(const char *oci);
