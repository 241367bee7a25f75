/* table.h - one table, two forms: text that fits a terminal, or JSON
 *
 * A command fills a table once and prints it either way, so the two cannot differ.
 *
 *   ss_table t;
 *   rc = ss_table_init(&t, "growth", &err);
 *   ss_table_column(&t, "module", SS_COL_TEXT, NULL);
 *   ss_table_column(&t, "absmax", SS_COL_NUMBER, "%.4g");
 *   ss_table_row(&t);
 *   ss_table_text(&t, "up_blocks.0");
 *   ss_table_number(&t, 577.0);
 *   ss_table_print(&t, stdout, width);
 *   json_t *j = ss_table_json(&t);         // or so
 *   ss_table_release(&t);
 */
#ifndef SS_BASE_TABLE_H
#define SS_BASE_TABLE_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

typedef enum { SS_COL_TEXT, SS_COL_NUMBER } ss_col_kind;

typedef struct ss_table {
    const char *title; /* borrowed */
    json_t *columns;   /* [{name, kind, format}] */
    json_t *rows;      /* [[cell, ...]] */
    char *note;        /* a line under the title, owned, or NULL */
    bool failed;       /* memory ran out on the way: said when the table is shown */
} ss_table;

ss_code ss_table_init(ss_table *t, const char *title, ss_err *e);
/* "WHAT NAME", or WHAT where NAME is "", as a title: whole, because JSON knows tables by it.
 * ss_free after the table; NULL: no memory. */
char *ss_table_title(const char *what, const char *name);
void ss_table_note(ss_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* format is a printf format for one double (numbers), or NULL; borrowed. */
void ss_table_column(ss_table *t, const char *name, ss_col_kind kind, const char *format);
void ss_table_row(ss_table *t);
void ss_table_text(ss_table *t, const char *text);
/* NaN prints "-" and is null in JSON; an infinity is the text "inf" or "-inf" in both; a
 * whole number is a JSON integer. */
void ss_table_number(ss_table *t, double value);

/* Keeps at most `top` rows, the first, the last and evenly between, and says so in the note: for
 * rows that are along an axis, of which no one is worth more. */
void ss_table_spread(ss_table *t, int top);

/* Removes the column of that name, in which no row says anything; none is fine. */
void ss_table_drop(ss_table *t, const char *column);

/* Prints at most `width` columns wide (0: the terminal's width, or 100): the widest text
 * columns give way, shortened in their middle with "..". */
void ss_table_print(const ss_table *t, FILE *f, int width);

/* {"title":..., "note":..., "rows":[{"module":"...", "absmax":1.5}, ...]}; the note is null
 * where there is none. A new reference, NULL when out of memory. */
json_t *ss_table_json(const ss_table *t);

void ss_table_release(ss_table *t);

#endif
