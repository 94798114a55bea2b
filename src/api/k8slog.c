/* SPDX-License-Identifier: Apache-2.0 */
/* k8slog.c - a state machine over bytes: head of a line, its text, or a line that is none of ours */
#include "api/k8slog.h"

#include <string.h>

/* "TIME stdout F": are the last two words what they should be? */
static int is_head(const char *head, size_t len)
{
	static const char *const tails[] = { " stdout F", " stdout P", " stderr F", " stderr P" };

	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		size_t n = strlen(tails[i]);

		if (len > n && memcmp(head + len - n, tails[i], n) == 0)
			return 1;
	}
	return 0;
}

static void give_up_head(struct k8slog *k, struct strbuf *out)
{
	strbuf_add(out, k->head, k->head_len);
	k->head_len = 0;
	k->state = K8SLOG_RAW;
}

static void begin_line(struct k8slog *k)
{
	k->state = K8SLOG_HEAD;
	k->head_len = 0;
	k->n_blanks = 0;
}

static void on_head(struct k8slog *k, char c, struct strbuf *out)
{
	if (c == ' ' && k->n_blanks == 2 && is_head(k->head, k->head_len)) {
		k->is_partial = k->head[k->head_len - 1] == 'P';
		k->state = K8SLOG_TEXT;
		return;
	}
	k->head[k->head_len++] = c;
	k->n_blanks += c == ' ';
	if (c != '\n' && k->n_blanks <= 2 && k->head_len < sizeof(k->head))
		return;
	give_up_head(k, out);
	if (c == '\n')
		begin_line(k);
}

void k8slog_feed(struct k8slog *k, const char *data, size_t len, struct strbuf *out)
{
	const char *end = data + len;

	while (data < end) {
		const char *eol;
		size_t n;

		if (k->state == K8SLOG_HEAD) {
			on_head(k, *data++, out);
			continue;
		}
		eol = memchr(data, '\n', (size_t)(end - data));
		n = (size_t)((eol ? eol : end) - data);
		strbuf_add(out, data, n);
		data += n;
		if (!eol)
			continue;
		if (k->state == K8SLOG_RAW || !k->is_partial)
			strbuf_addc(out, '\n');
		begin_line(k);
		data++;
	}
}

void k8slog_end(struct k8slog *k, struct strbuf *out)
{
	if (k->state == K8SLOG_HEAD)
		give_up_head(k, out);
	begin_line(k);
}
