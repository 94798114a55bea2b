/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * layer.h - the store of unpacked layers, STATE_DIR/layers/<diff id in hex>/
 *
 * A layer is unpacked once, whatever image brings it, into a scratch folder; verified and synced, it takes its name by
 * rename. So a layer that has its name is whole, and two imports of the same layer may race: one wins, both are right.
 *
 * Who imports holds the shared lock from before the first layer until the rows that name them are written; who removes
 * layers that no row names holds the exclusive one.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/archive.h"
#include "base/err.h"
#include "image/watch.h"

struct layer_spec {
	const char *diff_id;		     /* SHA-256 in hex of the plain tar; NULL: not known */
	const char *digest;		     /* SHA-256 in hex of the blob; NULL: not known */
	uint64_t size;			     /* of the blob; only with @digest */
	const char *what;		     /* "layer 2 of 5": for errors and the watch */
	const struct archive_limits *limits; /* NULL: the defaults */
	const struct image_watch *watch;
};

struct layer_result {
	char diff_id[DIGEST_HEX_SIZE];
	bool is_new;
	uint64_t bytes;	      /* of data in it; 0 where it was not unpacked just now */
	uint64_t plain_bytes; /* length of the plain tar */
};

/* Verifies the blob in @fd (a file, read from its beginning) and makes sure that its layer is in the store. */
int layer_import(const char *state_dir, int fd, const struct layer_spec *spec, struct layer_result *ret,
		 struct err *err);

char *layer_folder(const char *state_dir, const char *diff_id); /* a new string; need not exist */
bool layer_is_opaque(const char *folder);			/* it hides all layers below it */

/* Locks; close the descriptor to release. The exclusive one does not wait: -EBUSY while somebody imports. */
int layer_lock_shared(const char *state_dir, int *ret_fd, struct err *err);
int layer_lock_exclusive(const char *state_dir, int *ret_fd, struct err *err);

/*
 * layer_sweep() - remove layers that nobody needs
 *
 * Asks @is_needed for each layer there is (1 yes, 0 no, negative: give up). Takes the exclusive lock for the decision
 * only; what is being imported meanwhile makes it return 0 having done nothing.
 */
int layer_sweep(const char *state_dir, int (*is_needed)(void *ctx, const char *diff_id, struct err *err), void *ctx,
		struct err *err);
