/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* seccomp.h - the checkpointable profile: refuse early what could not be dumped later */

struct json;

/* The `linux.seccomp` object of an OCI spec; the caller's. */
struct json *seccomp_checkpointable(void);
