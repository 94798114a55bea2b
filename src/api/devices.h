/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* devices.h - an instance's devices in LXD's words: {NAME: {type: "disk", pool, source: VOLUME, path, readonly}} */
#include "base/err.h"
#include "engine/devices.h"

struct json;

#define DEVICES_POOL "default" /* the one storage pool there is */

/* All devices; NULL and null are none. */
int decode_devices(const struct json *j, struct devices *ret, struct err *err);

/* A PATCH: @now with some devices replaced, added, or (null) removed. */
int decode_devices_patch(const struct json *j, const struct devices *now, struct devices *ret, struct err *err);

struct json *encode_devices(const struct devices *d);
