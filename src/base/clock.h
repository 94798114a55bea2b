/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clock.h - time for machines (monotonic microseconds) and for people (RFC 3339, UTC) */
#include <stddef.h>
#include <stdint.h>

#define US_PER_S	   1000000ULL
#define US_PER_MS	   1000ULL
#define CLOCK_RFC3339_SIZE 40

uint64_t clock_mono_us(void);
uint64_t clock_real_us(void);
void clock_sleep_us(uint64_t us);

/* "2026-11-20T22:37:24.123456Z" into @buf of CLOCK_RFC3339_SIZE; 0 gives "0001-01-01T00:00:00Z" (LXD's "never"). */
const char *clock_rfc3339(uint64_t real_us, char *buf);
int clock_parse_rfc3339(const char *s, uint64_t *ret_real_us);
