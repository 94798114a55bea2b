/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/keys.h"

enum { CTRL_A = 1 };

bool keys_filter(struct keys *k, const char *typed, size_t n, struct strbuf *out)
{
	for (size_t i = 0; i < n; i++) {
		if (!k->has_prefix) {
			k->has_prefix = typed[i] == CTRL_A;
			if (!k->has_prefix)
				strbuf_addc(out, typed[i]);
			continue;
		}
		k->has_prefix = false;
		if (typed[i] == 'q' || typed[i] == 'Q')
			return true;
		strbuf_addc(out, CTRL_A); /* not ours after all: both go through, and Ctrl-A twice is one */
		if (typed[i] != CTRL_A)
			strbuf_addc(out, typed[i]);
	}
	return false;
}
