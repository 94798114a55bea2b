/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* proof.h - dump and continue one container with a TCP connection: 0, or what failed and what to do */
#include "base/err.h"
#include "engine/engine.h"

int proof_run(struct engine *e, struct err *err);
