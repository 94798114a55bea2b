/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * table.h - rows and columns for people, spreadsheets and programs
 *
 * Widths are counted as a terminal shows UTF-8 (wide and combining characters included) and do not depend on the
 * locale. Control characters never reach the terminal. Where the last column would leave the terminal, its text is
 * wrapped below itself.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/auto.h"
#include "base/err.h"
#include "base/str.h"

enum table_style {
	TABLE_PLAIN,   /* a line of headings, aligned columns */
	TABLE_COMPACT, /* the same without headings */
	TABLE_CSV,     /* RFC 4180 without headings */
	TABLE_JSON     /* an array of objects; headings in lower case are the members */
};

struct table_column {
	const char *head;
	bool is_right; /* numbers */
};

struct table;

/* @columns (borrowed) ends with a row whose head is NULL. */
struct table *table_new(const struct table_column *columns);
void table_free(struct table *t);
AUTO_DEFINE(struct table *, table_free)

/* Appends the next cell; the row is full when every column has one. NULL is the empty cell. */
void table_add(struct table *t, const char *text);
void table_addf(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t table_rows(const struct table *t);

/* Appends the table to @out as text. @width: columns of the terminal, 0 for as wide as it gets. */
void table_render(const struct table *t, enum table_style style, int width, struct strbuf *out);

/* Prints it on standard output, as wide as the terminal there is. */
void table_print(const struct table *t, enum table_style style);

/* "table", "compact", "csv", "json"; -EINVAL names them. */
int table_style_parse(const char *word, enum table_style *ret, struct err *err);

/* Columns that @n bytes of UTF-8 take on a terminal. */
size_t table_width(const char *s, size_t n);
