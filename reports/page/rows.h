/* rows.h - tables of a page: no table is wider than the page, none scrolls inside of it
 *
 * Where a table's columns do not fit beside one another, each row becomes a small block: the first
 * column and the two that decide stay in one line, under their headings, and the others follow
 * below with their names. Which tables that takes at which width is estimated here from the texts,
 * because a style sheet cannot know it: class "fits" always fits a phone, "middle" fits paper,
 * "wide" fits a desk, and "huge" fits nowhere.
 */
#ifndef SS_REPORTS_ROWS_H
#define SS_REPORTS_ROWS_H

#include "base/table.h"

#include <stdbool.h>
#include <stdio.h>

enum { SS_ROWS_LABELS = 64 }; /* columns whose names can stand in rows that became blocks */

typedef struct {
    const char *name; /* borrowed */
    int width;        /* characters that need to be in one line, of its heading and its cells */
    bool number;      /* right-aligned */
    bool top;         /* stays in the first line of a row */
} html_column;

/* Characters of the longest part of a text that has to be in one line: texts break at spaces and
 * after dots, slashes, colons and commas. */
int html_unbroken(const char *text);

/* Writes the text, escaped, with the places at which it may break. */
void html_breaking(FILE *f, const char *text);

/* The table's start up to its body, and its end. kind: "data" or "heat"; note NULL: none. page.js
 * sorts and filters it, and folds what follows the first twelve rows. */
void html_table_begin(FILE *f, const char *kind, const html_column *columns, int n,
                      const char *note);
void html_table_end(FILE *f);

/* A number as a cell: its text by the printf format, the value to sort by; NaN: a dash. */
void html_number(FILE *f, double v, const char *format, bool top);

/* The table with its note. Columns that say nothing in any row are named below it instead. links
 * [rows], or NULL: where the text of the first column leads. A table without rows is its note.
 * Falls back to a sentence where memory runs out. */
void html_table(FILE *f, const ss_table *t, const char *const *links);

#endif
