/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * state.h - inside of `struct engine` and `struct instance`; for files of src/engine/ only
 *
 * Who has claimed an instance may read all of it and changes it through the instance_set_* functions, which take the
 * engine's mutex for the moment; everybody else reads copies (instance_info()).
 */
#include <pthread.h>

#include "base/list.h"
#include "base/sync.h"
#include "engine/engine.h"
#include "engine/image.h"
#include "engine/instance.h"
#include "runtime/cgroup.h"
#include "runtime/tools.h"
#include "store/db.h"
#include "store/instances.h"

struct operations; /* operation.c */
struct watcher;	   /* watch.c */
struct host;	   /* host.c: what was probed */

struct engine {
	struct settings settings;
	struct db *db;
	struct tools tools;
	int lock_fd, run_lock_fd; /* flock on the state and the run folder */
	struct mutex mutex;	  /* guards the list and every struct instance; never held over I/O */
	struct list instances;	  /* struct instance.link, in no order */
	struct operations *operations;
	struct watcher *watcher;
	struct host *host;
};

struct instance {
	struct list link;
	struct engine *engine;
	struct instance_row row;
	struct devices devices; /* what the table of attachments says */
	char *image_description, *architecture;
	enum instance_status status;
	const char *doing; /* who holds the claim; NULL: free */
	pid_t init;	   /* 0: not running */
	int conmon_fd;	   /* pidfd of conmon, -1: not running */
	bool has_ended;	   /* conmon has gone and nobody has cleaned up yet */
	bool has_exit_code;
	int exit_code;
	uint64_t started_us;  /* real time */
	uint64_t prove_at_us; /* monotonic; 0: nothing to prove */
	struct saved_state_info state, previous;
	char *last_error;
	bool is_deleted;  /* freed by the release of its claim */
	struct cgroup cg; /* borrows parent and uuid */
};

/* operation.c */
struct operations *operations_new(void);
void operations_free(struct operations *all); /* waits until all have ended */

/* instance.c */
struct instance *instance_new(struct engine *e,
			      struct instance_row *row); /* takes the row over; claimed by nobody, not in the list */
void instance_free(struct instance *in);
void instance_add(struct instance *in);
void instance_set_status(struct instance *in, enum instance_status status);
void instance_set_running(struct instance *in, pid_t init, int conmon_fd); /* takes over the pidfd, starts watching */
void instance_set_stopped(struct instance *in);
void instance_set_error(struct instance *in, const struct err *error); /* NULL: the last operation went well */
void instance_set_states(struct instance *in, const struct saved_state_info *state,
			 const struct saved_state_info *previous); /* NULL: unchanged */
int instance_set_power(struct instance *in, bool is_on,
		       struct err *err);	/* volatile.last_state.power, for the host's next boot */
bool instance_is_up(const struct instance *in); /* running or frozen */
/* Claims whatever is free and fulfils @is_wanted; a NULL-terminated heap vector. */
struct instance **instance_claim_all(struct engine *e, bool (*is_wanted)(const struct instance *in), const char *doing);

/* Folders and files of one instance; heap strings. */
char *instance_path(const struct instance *in, const char *name);	 /* STATE_DIR/instances/UUID/NAME */
char *instance_bundle_path(const struct instance *in, const char *name); /* RUN_DIR/c/UUID/NAME; "" for the folder */
char *instance_log_path(const struct instance *in, const char *name);	 /* LOG_DIR/UUID/NAME */
char *instance_netns_path(const struct instance *in);			 /* RUN_DIR/netns/UUID */
char *instance_memory_path(const struct instance *in); /* RUN_DIR/mem/UUID: on the memory file system */

/* A line with the time into its stasis.log; failures are ignored (a full log disk must not stop anything). */
void instance_note(const struct instance *in, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
