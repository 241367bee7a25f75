/* heat.h - heat maps: a row a place, a column a noise level, a step or a token
 *
 *   ss_heat h;
 *   ss_heat_begin(&h, "sigma", "largest |x|");
 *   ss_heat_column(&h, label);                 // all columns,
 *   ss_heat_row(&h, module, values, over);     // then row after row
 *   ss_heat_end(&h, SS_HEAT_LOG);
 *   rc = ss_page_figure(page, &h.plot, "heat", SS_PLOT_WIDTH, ss_heat_height(&h), alt, caption,
 *                       &err);
 *
 * The page shows the number of a cell at the pointer, and goes from it to the row of the table that
 * has the same name; so names are whole there. In the picture long ones begin with an ellipsis.
 */
#ifndef SS_REPORTS_HEAT_H
#define SS_REPORTS_HEAT_H

#include "base/format.h"
#include "reports/page/plot.h"

typedef enum { SS_HEAT_LINEAR, SS_HEAT_LOG, SS_HEAT_CHANGE } ss_heat_scale;

typedef struct {
    ss_plot plot;
    ss_str columns, rows, values; /* JSON for the page */
    ss_str x_tics, y_tics, crosses;
    char x[64], value[64];
    int n_columns, n_rows, n_crosses;
    int column_letters, row_letters; /* of the longest labels */
    double low, high, most;          /* of values above 0; the largest absolute value */
} ss_heat;

/* x names the columns, value the numbers. */
void ss_heat_begin(ss_heat *h, const char *x, const char *value);
void ss_heat_column(ss_heat *h, const char *label);
/* values [columns], NaN or infinite: none; crossed [columns] marks cells, NULL: none of them. */
void ss_heat_row(ss_heat *h, const char *name, const double *values, const bool *crossed);
/* A format whose headroom the page tells at a cell. */
void ss_heat_format(ss_heat *h, const ss_format *f);
/* Completes h->plot, which ss_plot_draw() releases. LOG: viridis over powers of ten; LINEAR: from 0
 * to 1; CHANGE: blue to red, grey is 0. */
void ss_heat_end(ss_heat *h, ss_heat_scale scale);
/* Height of the figure in CSS pixels. */
int ss_heat_height(const ss_heat *h);
void ss_heat_release(ss_heat *h); /* on the way out of an error, before ss_heat_end() */

#endif
