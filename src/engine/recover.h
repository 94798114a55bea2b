/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * recover.h - at start-up: finish or roll back what the journal says was begun, then adopt what runs
 *
 *   stateful-stop  not committed: thaw and go on        committed (the state exists): finish the kill
 *   restore        not committed: kill, keep the state   committed (state.used exists): adopt what runs
 *   boot           its first instruction not reached: kill, a discarded state comes back; else adopt
 *   no row         a folder without a row is removed; half-written states are removed
 */
#include "base/err.h"
#include "engine/engine.h"

/* Called once, before there is an API: nobody else claims anything. */
int recover(struct engine *e, struct err *err);
