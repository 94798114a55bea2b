/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/term.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/str.h"

bool term_size(int fd, int *ret_width, int *ret_height)
{
	struct winsize ws;

	if (ioctl(fd, TIOCGWINSZ, &ws) < 0)
		return false;
	*ret_width = ws.ws_col;
	*ret_height = ws.ws_row;
	return true;
}

int term_width(int fd)
{
	int width, height;

	return term_size(fd, &width, &height) ? width : 0;
}

void term_make_raw(struct term_raw *t, int fd, enum term_mode mode)
{
	struct termios raw;

	t->fd = -1;
	if (tcgetattr(fd, &t->saved) < 0)
		return;
	raw = t->saved;
	if (mode == TERM_RAW) {
		cfmakeraw(&raw);
	} else {
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		raw.c_cc[VMIN] = 1;
		raw.c_cc[VTIME] = 0;
	}
	if (tcsetattr(fd, TCSADRAIN, &raw) == 0)
		t->fd = fd;
}

void term_restore(struct term_raw *t)
{
	if (t->fd >= 0)
		(void)tcsetattr(t->fd, TCSADRAIN, &t->saved);
	t->fd = -1;
}

const char *term_style(int fd, enum term_style style)
{
	static const char *const sequences[] = {
		[TERM_PLAIN] = "\033[0m",  [TERM_BOLD] = "\033[1m",    [TERM_RED] = "\033[31m",
		[TERM_GREEN] = "\033[32m", [TERM_YELLOW] = "\033[33m",
	};
	const char *no_color = getenv("NO_COLOR");

	if (!isatty(fd) || (no_color && *no_color) || str_eq(getenv("TERM"), "dumb"))
		return "";
	return sequences[style];
}
