/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - stasisd: settings, engine, API, signals */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "engine/engine.h"
#include "engine/operation.h"

#define EXIT_USAGE 2

static int boot(struct operation *op, void *arg, struct err *err)
{
	return engine_boot(arg, op, err);
}

/* The host's boot is an operation like any other: the API answers meanwhile. */
static int start_booting(struct engine *e, struct err *err)
{
	const struct operation_spec spec = { .description = "Starting instances with the host", .run = boot, .arg = e };
	AUTO(operation_unref) struct operation *op = NULL;

	return operation_start(e, &spec, &op, err);
}

static void wait_for_end(const sigset_t *signals)
{
	int signal = 0;

	(void)sigwait(signals, &signal);
	log_info("ending on %s; containers run on", strsignal(signal));
}

static int serve(const struct options *o, const sigset_t *signals, struct err *err)
{
	AUTO(engine_close) struct engine *e = NULL;
	AUTO(api_stop) struct api *api = NULL;
	int r;

	r = engine_open(&o->settings, &e, err);
	if (r == 0)
		r = api_start(e, &api, err);
	if (r == 0 && o->must_boot)
		r = start_booting(e, err);
	if (r < 0)
		return r;
	log_info("stasisd %s is ready at %s", STASIS_VERSION, engine_settings(e)->socket);
	notify("READY=1");
	wait_for_end(signals);
	notify("STOPPING=1");
	return 0;
}

/* Blocked before there are threads: all inherit it, and only wait_for_end() takes them. */
static void block_signals(sigset_t *signals)
{
	(void)sigemptyset(signals);
	(void)sigaddset(signals, SIGINT);
	(void)sigaddset(signals, SIGTERM);
	(void)sigaddset(signals, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

/* A thousand connections and a hundred consoles need more than the usual 1024. */
static void raise_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* Threads come and go with requests: two arenas and small stacks keep what they leave behind small. */
static void stay_small(void)
{
	(void)mallopt(M_ARENA_MAX, 2);
	(void)mallopt(M_TRIM_THRESHOLD, 256 << 10);
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct err err = ERR_INIT;
	sigset_t signals;
	int level, r;

	r = options_parse(argc, argv, &o, &err);
	if (r < 0)
		(void)fprintf(stderr, "stasisd: %s\n", err.text);
	if (r != 0) {
		settings_done(&o.settings);
		return r < 0 ? EXIT_USAGE : EXIT_SUCCESS;
	}
	level = log_level_parse(o.settings.log_level);
	log_set_level(level < 0 ? LOG_LEVEL_INFO : (enum log_level)level);
	if (geteuid() != 0) {
		log_error("stasisd must run as root: it mounts, makes namespaces and dumps processes");
		return EXIT_FAILURE;
	}
	(void)umask(0022);
	raise_limits();
	stay_small();
	block_signals(&signals);
	r = o.must_reset ? engine_reset(&o.settings, &err) : serve(&o, &signals, &err);
	if (r < 0)
		log_error("%s", err.text);
	settings_done(&o.settings);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
