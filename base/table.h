/* table.h - one table, three forms: text, JSON and CSV
 *
 * A command fills a table once and prints it either way, so the forms cannot differ.
 *
 *   ss_table t;
 *   rc = ss_table_init(&t, "growth", &err);
 *   ss_table_column(&t, "module", SS_COL_MODULE, NULL);
 *   ss_table_column(&t, "absmax", SS_COL_NUMBER, "%.4g");
 *   ss_table_row(&t);
 *   ss_table_module(&t, "up_blocks.0.conv", (const char *const[]){"up_blocks.0"}, 1);
 *   ss_table_number(&t, 577.0);
 *   ss_table_print(&t, stdout, 0);         // up_blocks.0 = .conv     577
 *   json_t *j = ss_table_json(&t);         // or so
 *   rc = ss_table_csv(&t, stdout, &err);   // or so
 *   ss_table_release(&t);
 */
#ifndef SS_BASE_TABLE_H
#define SS_BASE_TABLE_H

#include "base/err.h"

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

/* MODULE: the path of a module, with the containers that repeat it (ss_table_module).
 * AXIS: a number along an axis, as sigma: 4 digits, and more where different ones would look the
 * same. */
typedef enum { SS_COL_TEXT, SS_COL_NUMBER, SS_COL_MODULE, SS_COL_AXIS } ss_col_kind;

typedef struct ss_table {
    const char *title; /* borrowed */
    json_t *columns;   /* [{name, kind, format, usual}] */
    json_t *rows;      /* [[cell, ...]]; of a module {"path": TEXT, "also": [TEXT, ...]} */
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
/* Leaves the last column out of the text and of pages where each row has this text in it, or none.
 */
void ss_table_usual(ss_table *t, const char *text);
void ss_table_row(ss_table *t);
void ss_table_text(ss_table *t, const char *text);
/* NaN prints "-" and is null in JSON; an infinity is the text "inf" or "-inf" in both; a
 * whole number is a JSON integer. */
void ss_table_number(ss_table *t, double value);
/* A module and the containers folded into it, outermost first, n_also of them. */
void ss_table_module(ss_table *t, const char *path, const char *const *also, int n_also);
/* A cell without anything: "-", and null in JSON. */
void ss_table_none(ss_table *t);

/* Keeps at most `top` rows, the first, the last and evenly between, and says so in the note: for
 * rows that are along an axis, of which no one is worth more. */
void ss_table_spread(ss_table *t, int top);

/* Removes the column of that name, in which no row says anything; none is fine. */
void ss_table_drop(ss_table *t, const char *column);

/* "up_blocks.0 = .upsamplers.0 = .conv": the containers, outermost first, and the path, each
 * without what the former has. ss_free; NULL: no memory. */
char *ss_table_chain(const char *path, const char *const *also, int n_also);

/* A cell as text; ss_free, NULL: no memory. A row that ends early has "-". */
char *ss_table_cell(const ss_table *t, size_t row, size_t column);
/* True for a column that text and pages leave out (ss_table_usual). */
bool ss_table_is_usual(const ss_table *t, size_t column);
/* The column's name and kind. */
const char *ss_table_column_name(const ss_table *t, size_t column);
/* That of the list of containers, which follows a column of modules in JSON and CSV: "also", or of
 * a column that is not called "module" "NAME also". ss_free, NULL: no memory. */
char *ss_table_also_name(const ss_table *t, size_t column);
ss_col_kind ss_table_column_kind(const ss_table *t, size_t column);

enum { SS_TABLE_WIDE = INT_MAX };

/* Prints at most `width` characters wide; SS_TABLE_WIDE: as wide as it is; 0: that too, but on a
 * terminal at most COLUMNS, where that is a number, or its width. A table that is too wide gets
 * headings of two lines, then the widest texts give way in their middle, as far as different ones
 * of a column stay different (base/shorten.h): a row may be wider, a heading is never shortened. */
void ss_table_print(const ss_table *t, FILE *f, int width);

/* {"title":..., "note":..., "rows":[{"module":"...", "absmax":1.5}, ...]}; the note is null
 * where there is none. A new reference, NULL when out of memory. */
json_t *ss_table_json(const ss_table *t);

/* Prints a heading and a line for each row, fields quoted as RFC 4180 has it, lines ending in LF;
 * numbers with all their digits, "inf", "-inf" and "nan" as pandas reads them; the containers of a
 * module joined by blanks. */
ss_code ss_table_csv(const ss_table *t, FILE *f, ss_err *e);

void ss_table_release(ss_table *t);

#endif
