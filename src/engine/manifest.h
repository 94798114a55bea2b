/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * manifest.h - stasis.json: what a saved state or a checkpoint consists of
 *
 * Names every file with its size and SHA-256, and is sealed by a SHA-256 of itself. It is written last: a folder
 * without one is rubbish.
 */
#include <stdint.h>

#include "base/err.h"

struct json;
struct operation;

#define MANIFEST_NAME "stasis.json"

/*
 * manifest_take_images() - CRIU's images into FOLDER/checkpoint/
 *
 * Copies them from @from, digesting on the way, or only digests them where they are (@from NULL). @descriptors, if not
 * NULL, replaces descriptors.json: where the container's stdio goes. Each is added to @files (a JSON array), their
 * bytes to *ret_bytes; progress and cancelling through @op.
 * @taken, if not NULL, names what is there already (follow_finish()).
 */
int manifest_take_images(const char *folder, const char *from, const char *descriptors, const struct json *taken,
			 struct json *files, struct operation *op, uint64_t *ret_bytes, struct err *err);

/* Writes FOLDER/NAME and adds it. manifest_take_file() adds one that is there. */
int manifest_take_text(const char *folder, const char *name, const char *text, struct json *files, struct err *err);
int manifest_take_file(const char *folder, const char *name, struct json *files, struct err *err);

/* Completes @m with format and @files (taken over), seals it and writes it to the folder. */
int manifest_write(const char *folder, struct json *m, struct json *files, struct err *err);

/* Seals @m again after a change of what is not a file, and replaces the manifest as one step. */
int manifest_rewrite(const char *folder, struct json *m, struct err *err);

/* Reads and judges: format, seal, names. The document is the caller's. -EUCLEAN says what is wrong. */
int manifest_read(const char *folder, struct json **ret, struct err *err);

/* Names and sizes of all files and that none was added; the digests of the memory pages, or of all others. -EUCLEAN
 * names the first that is wrong. */
enum manifest_part { MANIFEST_ALL_BUT_PAGES, MANIFEST_PAGES };
int manifest_verify(const char *folder, const struct json *m, enum manifest_part part, struct err *err);

/* "versions" of a manifest: ours, CRIU's, crun's, the kernel's. */
struct json *manifest_versions(const char *criu, const char *crun);

/* Removes the folder, its manifest first: what is left if we die in between is rubbish by its looks. Missing is fine.
 */
int manifest_remove_folder(const char *folder, struct err *err);
