/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * instance.h - instances: look-up, claim, what is known about one
 *
 * An instance is changed only by who has claimed it. A claim is not a mutex: it lasts as long as the operation and a
 * second claimer is told at once who holds it (-EBUSY).
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/err.h"
#include "base/uuid.h"
#include "engine/devices.h"
#include "engine/engine.h"

struct instance;
struct operation;

enum instance_status {
	INSTANCE_STOPPED,
	INSTANCE_STARTING,
	INSTANCE_RUNNING,
	INSTANCE_FROZEN,
	INSTANCE_STOPPING,
	INSTANCE_ERROR
};
const char *instance_status_name(enum instance_status s); /* "Stopped", "Running", … as LXD spells them */

/* -ENOENT "no instance 'x'"; -EBUSY "'x' is busy: stopping with state". @doing is a static string. */
int instance_claim(struct engine *e, const char *name, const char *doing, struct instance **ret, struct err *err);
void instance_release(struct instance *in);
AUTO_DEFINE(struct instance *, instance_release)
const char *instance_name(const struct instance *in);

/* A copy of what is known, free of locks. */
struct saved_state_info {
	bool exists;
	char uuid[UUID_SIZE];
	uint64_t created_us; /* real time */
	uint64_t bytes;	     /* of the memory images */
	uint64_t frozen_us;  /* freeze to kill */
	uint64_t dump_us, copy_us, sync_us;
	int64_t processes;
};
struct instance_info {
	char uuid[UUID_SIZE];
	char *name, *description;
	char *image; /* fingerprint */
	char *image_description, *architecture;
	enum instance_status status;
	bool is_ephemeral;
	bool is_busy;
	uint64_t created_us, last_used_us; /* real time; 0: never */
	char **config;			   /* "key=value", sorted; volatile.* among them */
	struct devices devices;		   /* attached volumes */
	pid_t pid;			   /* of the container's init, 0 if not running */
	bool has_exit_code;
	int exit_code;			  /* of the last run */
	uint64_t started_us;		  /* real time, 0 if not running */
	uint64_t memory_bytes;		  /* resident, only with @live */
	int64_t processes;		  /* only with @live, else -1 */
	uint64_t cpu_ns;		  /* only with @live */
	uint64_t disk_bytes;		  /* its own layer, only with @live */
	struct saved_state_info state;	  /* the saved state, if there is one */
	struct saved_state_info previous; /* used, and not yet proven to be obsolete */
	char *last_error;		  /* of the last operation that failed, or NULL */
};
/* @live: also ask the kernel for memory, processes and disk (slower). */
int instance_info(struct engine *e, const char *name, bool live, struct instance_info **ret, struct err *err);
void instance_info_free(struct instance_info *info);
AUTO_DEFINE(struct instance_info *, instance_info_free)
/* All of them sorted by name; a NULL-terminated vector. */
int instance_list(struct engine *e, bool live, struct instance_info ***ret, struct err *err);
void instance_list_free(struct instance_info **list);
AUTO_DEFINE(struct instance_info **, instance_list_free)

/* Names: a host name label, RFC 1123: [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?, not only digits; capitals are allowed.
 * -EINVAL says the rule. */
int instance_check_name(const char *name, struct err *err);

struct instance_create {
	const char *name;  /* NULL or "": one is made up ("calm-otter") */
	const char *image; /* fingerprint, unique prefix, alias, or "busybox" for the built-in one; NULL: built-in */
	const char *description;
	char *const *config;	       /* "key=value"; checked against the table of config.h */
	char *const *command;	       /* NULL: what the image says */
	const struct devices *devices; /* volumes to attach (volume_set_devices()); NULL: none */
	bool is_ephemeral;
};
/* Creates it stopped; on success *ret is claimed. A failure leaves nothing. */
int instance_create(struct engine *e, const struct instance_create *rq, struct operation *op, struct instance **ret,
		    struct err *err);

int instance_rename(struct instance *in, const char *new_name, struct err *err);
/* Replaces description and all config that is not volatile. @config may be NULL for "leave". All checked before any is
 * set. */
int instance_update(struct instance *in, char *const *config, const char *description, bool is_ephemeral,
		    struct err *err);

/* A file of its log folder, opened for reading: output.log (conmon's k8s-file), stasis.log (the engine's own history
 * with CRIU's explanation), checkpoint_dump_<time>.log, checkpoint_restore_<time>.log. */
int instance_log_open(struct engine *e, const char *name, const char *file, int *ret_fd, struct err *err);
int instance_log_list(struct engine *e, const char *name, char ***ret, struct err *err);
