/* matrix.h - a sheet of pictures whose rows and columns have names
 *
 *   ss_matrix m = {.name = "inputs", .alt = "...", .caption = "...", .corner = "input, sigma"};
 *   ss_matrix_label(&m.rows, "%s", input);       // once per row
 *   ss_matrix_label(&m.columns, "%.3g", sigma);  // once per column
 *   rc = ss_page_matrix(page, &tiles, &m, &err);
 *
 * Each row is a picture of its own, NAME-1.png and so on, with its name beside it, or above it
 * where the page is narrow; names of columns stay above their pictures at every width.
 */
#ifndef SS_REPORTS_MATRIX_H
#define SS_REPORTS_MATRIX_H

#include "base/str.h"
#include "reports/page/page.h"
#include "reports/page/tiles.h"

typedef struct {
    const char *name, *alt, *caption;
    const char *corner; /* what rows and columns are: "input, sigma" */
    ss_str rows, columns;
    /* Meaning of colours, in a line below: the ramp's ends, and what is not on it. */
    const char *low, *high; /* NULL: no ramp */
    bool viridis;           /* or from black to white */
    const char *marked;     /* what a red frame says, or NULL */
} ss_matrix;

/* Adds a name of a row or column. */
void ss_matrix_label(ss_str *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The names of columns above pictures that stand side by side. */
void ss_matrix_columns(ss_page *p, const ss_str *columns);

/* Writes the pictures and the figure; releases the sheet and the names, also on failure. */
ss_code ss_page_matrix(ss_page *p, ss_tiles *t, ss_matrix *m, ss_err *e);

#endif
