/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/klog.h"

#include <string.h>

#include "base/mem.h"

enum { LINE_MAX_BYTES = 1 << 20 }; /* conmon cuts at 8 KiB; what is longer is no log of conmon's */

void klog_init(struct klog *k, int (*emit)(void *arg, const struct klog_piece *piece), void *arg)
{
	*k = (struct klog){ .line = STRBUF_INIT, .emit = emit, .arg = arg };
}

void klog_done(struct klog *k)
{
	strbuf_done(&k->line);
}

/* Cuts the word at *p off and moves *p behind the blank; NULL when there is none. */
static char *cut_word(char **p)
{
	char *word = *p, *blank = strchr(word, ' ');

	if (!blank || blank == word)
		return NULL;
	*blank = '\0';
	*p = blank + 1;
	return word;
}

/* Takes the head of a line apart. False when it is not in the format; then nothing is changed. */
static bool read_head(struct strbuf *line, struct klog_piece *piece)
{
	autofree char *head = xstrndup(line->s, line->len < 80 ? line->len : 80);
	char *p = head, *time = cut_word(&p), *stream = time ? cut_word(&p) : NULL;
	size_t used;

	if (!stream || (!str_eq(stream, "stdout") && !str_eq(stream, "stderr")))
		return false;
	if ((p[0] != 'F' && p[0] != 'P') || (p[1] != ' ' && p[1] != '\0'))
		return false;
	used = (size_t)(p - head) + (p[1] == ' ' ? 2 : 1);
	line->s[strlen(time)] = '\0';
	piece->time = line->s;
	piece->stream = str_eq(stream, "stdout") ? 1 : 2;
	piece->is_end = p[0] == 'F';
	piece->text = line->s + used;
	piece->len = line->len - used;
	return true;
}

static int give_line(struct klog *k)
{
	struct klog_piece piece = { .stream = 1, .time = "", .text = k->line.s, .len = k->line.len, .is_end = true };
	int r;

	(void)read_head(&k->line, &piece);
	piece.is_begin = !k->is_open[piece.stream];
	k->is_open[piece.stream] = !piece.is_end;
	r = k->emit(k->arg, &piece);
	strbuf_reset(&k->line);
	return r;
}

int klog_feed(struct klog *k, const char *data, size_t n)
{
	while (n > 0) {
		const char *newline = memchr(data, '\n', n);
		size_t len = newline ? (size_t)(newline - data) : n;
		int r = 0;

		strbuf_add(&k->line, data, len);
		if (newline || k->line.len > LINE_MAX_BYTES)
			r = give_line(k);
		if (r < 0)
			return r;
		len += newline ? 1 : 0;
		data += len;
		n -= len;
	}
	return 0;
}

int klog_finish(struct klog *k)
{
	return k->line.len > 0 ? give_line(k) : 0;
}

/* One line of a program, joined from its pieces. */
struct tail_line {
	char *time;
	struct strbuf text;
	int stream;
	bool is_end;
};

struct klog_tail {
	struct tail_line *ring;
	size_t n, first, used;
};

struct klog_tail *klog_tail_new(size_t n)
{
	struct klog_tail *t = xcalloc(1, sizeof(*t));

	t->n = n;
	t->ring = xcalloc(n + 1, sizeof(*t->ring));
	return t;
}

static void drop_first(struct klog_tail *t)
{
	struct tail_line *line = &t->ring[t->first];

	free(line->time);
	strbuf_done(&line->text);
	t->first = (t->first + 1) % t->n;
	t->used--;
}

void klog_tail_free(struct klog_tail *t)
{
	if (!t)
		return;
	while (t->used > 0)
		drop_first(t);
	free(t->ring);
	free(t);
}

int klog_tail_take(struct klog_tail *t, const struct klog_piece *piece)
{
	struct tail_line *line = NULL;

	if (t->n == 0)
		return 0;

	/* A piece goes on where its stream's last line was left open; the other stream may have come in between. */
	for (size_t i = t->used; i > 0 && !line && !piece->is_begin; i--) {
		struct tail_line *candidate = &t->ring[(t->first + i - 1) % t->n];

		if (candidate->stream == piece->stream && !candidate->is_end)
			line = candidate;
	}
	if (!line) {
		if (t->used == t->n)
			drop_first(t);
		line = &t->ring[(t->first + t->used++) % t->n];
		*line = (struct tail_line){ .time = xstrdup(piece->time),
					    .text = STRBUF_INIT,
					    .stream = piece->stream };
	}
	strbuf_add(&line->text, piece->text, piece->len);
	line->is_end = piece->is_end;
	return 0;
}

int klog_tail_flush(struct klog_tail *t, int (*emit)(void *arg, const struct klog_piece *piece), void *arg)
{
	while (t->used > 0) {
		const struct tail_line *line = &t->ring[t->first];
		struct klog_piece piece = {
			line->stream, line->time, line->text.s, line->text.len, true, line->is_end
		};
		int r = emit(arg, &piece);

		if (r < 0)
			return r;
		drop_first(t);
	}
	return 0;
}
