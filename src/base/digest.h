/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* digest.h - SHA-256 (GnuTLS, which uses the processor's SHA instructions) */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

#define DIGEST_HEX_SIZE 65 /* 64 lower-case hex digits and NUL */

struct digest; /* a running computation */
struct digest *digest_new(void);
void digest_free(struct digest *d);
AUTO_DEFINE(struct digest *, digest_free)
void digest_add(struct digest *d, const void *p, size_t n);
void digest_hex(struct digest *d, char out[DIGEST_HEX_SIZE]); /* ends the computation */

void digest_of(const void *p, size_t n, char out[DIGEST_HEX_SIZE]);
int digest_of_fd(int fd, char out[DIGEST_HEX_SIZE], uint64_t *ret_size,
		 struct err *err); /* from the start, with pread */

/* Copies all of @from (a file, from its start) into the empty file @to and computes the digest of what was read, in one
 * pass. Zero pages of 4 KiB are
 * left as holes. @watch (may be NULL) is told every 8 MiB how many bytes are done and may cancel. */
struct digest_watch {
	bool (*tell)(uint64_t done, void *ctx); /* false: -ECANCELED */
	void *ctx;
};
int digest_copy(int from, int to, const struct digest_watch *watch, char out[DIGEST_HEX_SIZE], uint64_t *ret_size,
		struct err *err);

int digest_is_hex(const char *s); /* 1 if @s is 64 lower-case hex digits, else 0 */

/* SHA-1, for the handshake of RFC 6455 and nothing else. */
void digest_sha1(const void *p, size_t n, unsigned char out[20]);
