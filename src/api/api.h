/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * api.h - the REST API: the only room that knows LXD's words
 *
 * Everything else in src/api/ is behind these two functions.
 */
#include "base/auto.h"
#include "base/err.h"

struct engine;
struct api;

/*
 * api_start() - listen on settings.socket and answer
 *
 * Takes over a socket file that nobody answers on; -EADDRINUSE when somebody does. The file has mode 0660 and belongs
 * to settings.socket_group where that group exists. @e must outlive the api. Threads made here have all signals
 * blocked.
 */
int api_start(struct engine *e, struct api **ret, struct err *err);

/*
 * api_stop() - stop answering
 *
 * New connections are refused at once, requests that wait are answered early, exec and console sessions are told good
 * bye. Operations that do not need a client go on: engine_close() waits for them. Removes the socket file. NULL is
 * fine.
 */
void api_stop(struct api *a);
AUTO_DEFINE(struct api *, api_stop)
