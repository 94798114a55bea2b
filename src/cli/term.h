/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* term.h - the terminal: size, raw mode with a way back, the little colour there is */
#include <stdbool.h>
#include <termios.h>

#include "base/auto.h"

int term_width(int fd); /* columns, or 0 when it is no terminal */
bool term_size(int fd, int *ret_width, int *ret_height);

struct term_raw {
	struct termios saved;
	int fd; /* -1: nothing to put back */
};
#define TERM_RAW_NONE                                                                                                  \
	{                                                                                                              \
		.fd = -1                                                                                               \
	}

enum term_mode {
	TERM_RAW,  /* every key goes to the other side, its terminal does the rest */
	TERM_KEYS, /* keys at once and without echo, but line ends and Ctrl-C as usual: nothing does that over there */
};

/* Puts the terminal at @fd in the mode; what is no terminal is left alone. term_restore() puts it back. */
void term_make_raw(struct term_raw *t, int fd, enum term_mode mode);
void term_restore(struct term_raw *t);
AUTO_DEFINE_IN(struct term_raw, term_restore)

/* The escape sequence for a colour on @fd, or "" where there is no terminal or NO_COLOR is set. */
enum term_style { TERM_PLAIN, TERM_BOLD, TERM_RED, TERM_GREEN, TERM_YELLOW };
const char *term_style(int fd, enum term_style style);
