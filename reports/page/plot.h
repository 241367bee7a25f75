/* plot.h - figures drawn by gnuplot, over a pipe and without a shell
 *
 *   ss_plot p = {0};
 *   ss_plot_add(&p, "$d << E\n");
 *   for (int i = 0; i < n; i++)
 *       ss_plot_addf(&p, "%g %g\n", sigma[i], absmax[i]);
 *   ss_plot_add(&p, "E\nset logscale xy\nplot $d with lines lt 1 title ");
 *   ss_plot_label(&p, module);
 *   rc = ss_plot_draw(&p, folder, "growth", 860, 420, &err);  // growth.png, growth-dark.png
 *
 * The script is drawn twice, on light and on dark ground. Colours come from the theme: line
 * types 1 to 8 are the categories (Okabe & Ito 2008), 9 is muted, 10 the limits of formats; the
 * palette is viridis. Text is never interpreted (noenhanced), and labels are quoted so
 * that none of a run file can end the string or reach a shell.
 */
#ifndef SS_REPORTS_PLOT_H
#define SS_REPORTS_PLOT_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

enum { SS_PLOT_MUTED = 9, SS_PLOT_LIMIT = 10 };

typedef struct {
    ss_str script;
    int n_items; /* of the command that ss_plot_item() writes */
} ss_plot;

void ss_plot_add(ss_plot *p, const char *text);
void ss_plot_addf(ss_plot *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A label as a quoted string; control characters, quotes and backquotes are replaced. */
void ss_plot_label(ss_plot *p, const char *text);
/* A number as gnuplot reads it: "NaN" where it is none or infinite. */
void ss_plot_number(ss_plot *p, double v);

/* The items of one "plot" command, where some may have nothing to draw: gnuplot gives up where all
 * have nothing. Callers leave out such items, and this then draws an empty panel that says so. Both
 * axes have a range: x of the caller's, y of any kind. */
void ss_plot_item(ss_plot *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ss_plot_items_end(ss_plot *p);

/* True when any of the values can be drawn, on a logarithmic axis if log. */
bool ss_plot_any(const double *v, int n, bool log);

/* Draws FOLDER/NAME.png and FOLDER/NAME-dark.png, width x height in CSS pixels at twice their
 * density, and releases the script, also on failure. SS_UNSUPPORTED when there is no gnuplot;
 * SS_IO when it fails, with its complaint; no picture is left then. */
ss_code ss_plot_draw(ss_plot *p, const char *folder, const char *name, int width, int height,
                     ss_err *e);

/* The program to run: "gnuplot", or another that a test sets. */
void ss_plot_program(const char *program);

/* "gnuplot 5.4 patchlevel 4", "" where there is none. Returns out. */
char *ss_plot_version(char *out, size_t n);

#endif
