/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * operation.h - long jobs: a thread, progress, cancel, wait
 *
 * A finished operation stays readable for 5 s. Reference counted: the registry, the running thread and everybody who
 * looks at one hold a reference.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "base/uuid.h"
#include "engine/engine.h"

struct operation;
struct json;

enum operation_status {
	OPERATION_RUNNING,
	OPERATION_CANCELLING,
	OPERATION_SUCCESS,
	OPERATION_FAILURE,
	OPERATION_CANCELLED
};
enum operation_class { OPERATION_TASK, OPERATION_WEBSOCKET };

struct operation_spec {
	const char *description; /* "Stopping instance" */
	enum operation_class kind;
	char *const *instances; /* names it works on; copied */
	const char *snapshot;	/* of the only instance: what it makes or works on; copied, may be NULL */
	bool may_cancel;
	int (*run)(struct operation *op, void *arg, struct err *err);
	void (*free_arg)(void *arg); /* called once, when run has ended or was never started; may be NULL */
	void *arg;
};

/* Starts it in a thread of its own; *ret is a reference for the caller. -EBUSY when too many run (limit 1000). On
 * failure @arg is freed too. */
int operation_start(struct engine *e, const struct operation_spec *spec, struct operation **ret, struct err *err);
void operation_unref(struct operation *op);
AUTO_DEFINE(struct operation *, operation_unref)

int operation_find(struct engine *e, const char *uuid, struct operation **ret, struct err *err); /* a reference */
/* All of them; a NULL-terminated heap vector of references. */
struct operation **operation_list(struct engine *e);
void operation_list_free(struct operation **list);
AUTO_DEFINE(struct operation **, operation_list_free)

const char *operation_uuid(const struct operation *op);

/* 1 finished, 0 deadline passed. UINT64_MAX waits for ever. */
int operation_wait(struct operation *op, uint64_t timeout_us);

/* -EPERM if it cannot be cancelled (any more). */
int operation_cancel(struct operation *op, struct err *err);

/* For the job itself; all accept @op NULL. Progress appears as metadata: key "checkpoint_progress", text "Writing
 * memory: 61%". */
void operation_progress(struct operation *op, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void operation_set(struct operation *op, const char *key, struct json *value); /* takes over @value */
bool operation_is_cancelled(const struct operation *op);
/* The point of no return: cancelling is refused from here on. -ECANCELED if somebody was quicker. */
int operation_commit(struct operation *op, struct err *err);

/* A copy of what it is now. */
struct operation_info {
	char uuid[UUID_SIZE];
	enum operation_class kind;
	enum operation_status status;
	const char *description;
	uint64_t created_us, updated_us;
	bool may_cancel;
	char **instances;
	char *snapshot;	       /* or NULL */
	struct json *metadata; /* an object, or NULL */
	char error[480];       /* "" unless it failed */
	int error_code;	       /* negative errno */
};
void operation_get(struct operation *op, struct operation_info *ret);
void operation_info_done(struct operation_info *info);
AUTO_DEFINE_IN(struct operation_info, operation_info_done)
