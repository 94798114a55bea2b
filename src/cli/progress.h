/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* progress.h - one line on the terminal that says what an operation does right now */
#include <stdbool.h>

struct json;

struct progress {
	bool is_shown;
};

/* Shows "web: Writing memory: 61%" from an operation as the API gives it; on standard error. */
void progress_show(struct progress *p, const char *label, const struct json *operation);

/* The same for what is no operation: a bar where @text ends in a percentage, else the seconds, where there are any. */
void progress_line(struct progress *p, const char *label, const char *text, unsigned long long seconds);

/* Takes the line away, before anything else is printed. */
void progress_clear(struct progress *p);

/* The text of the member of @metadata that ends in "_progress", or NULL. */
const char *progress_text(const struct json *metadata);

/* "Writing memory: 61%" is 61; -1 when the text ends in no percentage. */
int progress_percent(const char *text);
