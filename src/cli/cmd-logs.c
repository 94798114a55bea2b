/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/klog.h"

static const struct option_row options[] = {
	{ "follow", 'f', NULL, "go on with what comes, until it stops" },
	{ "tail", 'n', "LINES", "only the last so many lines" },
	{ "timestamps", 't', NULL, "begin each line with its time" },
	{ NULL },
};

struct show {
	struct klog klog;
	struct klog_tail *tail; /* while only the last lines are wanted */
	bool has_times;
	uint64_t seen, skip; /* bytes of the log; the first @skip have been shown already */
};

/* Each line goes to where the program wrote it. */
static int show_piece(void *arg, const struct klog_piece *piece)
{
	const struct show *show = arg;
	FILE *out = piece->stream == 2 ? stderr : stdout;

	if (show->has_times && piece->is_begin && piece->time[0])
		(void)fprintf(out, "%s ", piece->time);
	(void)fwrite(piece->text, 1, piece->len, out);
	if (piece->is_end)
		(void)fputc('\n', out);
	return ferror(out) ? -EPIPE : 0;
}

static int take_piece(void *arg, const struct klog_piece *piece)
{
	struct show *show = arg;

	return show->tail ? klog_tail_take(show->tail, piece) : show_piece(show, piece);
}

static int take_bytes(void *arg, const char *data, size_t n)
{
	struct show *show = arg;
	size_t skipped = show->skip > show->seen ? show->skip - show->seen : 0;
	int r;

	show->seen += n;
	if (skipped >= n)
		return 0;
	r = klog_feed(&show->klog, data + skipped, n - skipped);

	/* Following means seeing it now; the order of both streams is kept as far as there are two. */
	if (fflush(stdout) != 0 || fflush(stderr) != 0)
		return -EPIPE;
	return r;
}

/* What is there so far; with a tail only its end is shown. */
static int show_past(struct client *c, const char *path, struct show *show, size_t n_lines, struct err *err)
{
	AUTO(klog_tail_free) struct klog_tail *tail = klog_tail_new(n_lines);
	int r;

	show->tail = tail;
	r = client_read(c, path, take_bytes, show, err);
	show->tail = NULL;
	if (r < 0)
		return r;
	return klog_tail_flush(tail, show_piece, show);
}

static int run_show(struct client *c, const struct args *args, struct show *show, struct err *err)
{
	autofree char *path = client_path("instances", args->operands[0], "logs", "output.log", NULL);
	autofree char *follow = xasprintf("%s?follow=true", path);
	int64_t n_lines = -1;
	int r;

	r = args_get_int(args, "tail", 0, 1000000, &n_lines, err);
	if (r < 0)
		return r;
	if (n_lines >= 0) {
		r = show_past(c, path, show, (size_t)n_lines, err);
		if (r < 0 || !args_has(args, "follow"))
			return r;
		show->skip = show->seen - show->klog.line.len; /* a line that was cut is read again as a whole */
		strbuf_reset(&show->klog.line);
		show->seen = 0;
	}
	return client_read(c, args_has(args, "follow") ? follow : path, take_bytes, show, err);
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	struct show show = { .has_times = args_has(args, "timestamps") };
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r < 0)
		return r;
	klog_init(&show.klog, take_piece, &show);
	r = run_show(client, args, &show, err);
	if (r == 0)
		r = klog_finish(&show.klog);
	klog_done(&show.klog);
	return r == -EPIPE ? CLI_OK : r; /* a reader that has seen enough (head) is no failure */
}

const struct command cmd_logs = {
	.name = "logs",
	.operands = "NAME",
	.summary = "show what an instance has printed",
	.help = "What the program wrote to standard error goes to standard error here. The log goes on over restarts\n"
		"and saved states. What stasis itself did is shown by 'stasis info --show-log NAME'.",
	.group = GROUP_INSIDE,
	.options = options,
	.min = 1,
	.max = 1,
	.complete = COMPLETE_INSTANCE,
	.run = run,
};
