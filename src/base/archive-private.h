/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * archive-private.h - calling libarchive without its opinion on characters
 *
 * libarchive translates names into the locale's character set (and in UTF-8 locales composes their accents). Calls are
 * therefore made in the "C" locale of this thread, where it fails to translate and hands over the bytes themselves.
 */
#include <locale.h>

static inline locale_t locale_enter(void)
{
	locale_t c = newlocale(LC_ALL_MASK, "C", NULL); /* glibc's own constant: nothing is allocated */

	return c ? uselocale(c) : LC_GLOBAL_LOCALE;
}

static inline void locale_leave(const locale_t *before)
{
	(void)uselocale(*before);
}

#define PLAIN_LOCALE() __attribute__((cleanup(locale_leave), unused)) const locale_t locale_before = locale_enter()
