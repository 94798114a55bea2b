/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - stasisd-fake FOLDER: the api on the fake engine, until SIGTERM */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "engine/engine.h"

static int run(const char *folder, struct err *err)
{
	AUTO(settings_done) struct settings s;
	AUTO(engine_close) struct engine *e = NULL;
	AUTO(api_stop) struct api *api = NULL;
	autofree char *socket = path_join(folder, "socket");
	autofree char *logs = path_join(folder, "log");
	sigset_t set;
	int r, signal;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	settings_init(&s);
	r = settings_set(&s, "socket", socket, err);
	if (r >= 0)
		r = settings_set(&s, "log_dir", logs, err);
	if (r >= 0)
		r = engine_open(&s, &e, err);
	if (r >= 0)
		r = api_start(e, &api, err);
	if (r >= 0)
		(void)sigwait(&set, &signal);
	return r;
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;

	if (argc != 2) {
		fprintf(stderr, "usage: stasisd-fake FOLDER\n");
		return 2;
	}
	log_set_level(LOG_LEVEL_DEBUG);
	if (run(argv[1], &err) < 0) {
		fprintf(stderr, "stasisd-fake: %s\n", err.text);
		return 1;
	}
	return 0;
}
