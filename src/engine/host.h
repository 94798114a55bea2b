/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * host.h - what this host can do, proven by doing it
 *
 * `criu check` says "Looks good" where dumping a TCP socket fails, so the proof is a container: our guard program with
 * an established TCP connection is started, dumped and continued, by the same conmon, crun and criu that instances get.
 * The result is kept in STATE_DIR/proof.json until kernel, crun or criu change.
 */
#include "base/err.h"
#include "engine/engine.h"

struct host;

/* Looks at versions and limits, and proves in a thread of its own if there is no valid result. */
int host_open(struct engine *e, struct host **ret, struct err *err);
void host_close(struct host *h); /* waits for a proof that runs */

/* 0, or -EOPNOTSUPP with the reason and what to do. Waits for a proof that runs. */
int host_can_checkpoint(struct engine *e, struct err *err);
/* Valid as long as the engine. */
void host_versions(struct engine *e, const char **ret_criu, const char **ret_crun);
