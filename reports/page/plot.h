/* plot.h - figures drawn by gnuplot, over a pipe and without a shell
 *
 *   ss_plot p = {0};
 *   ss_plot_add(&p, "$d << EOD\n");                      // data first,
 *   for (int i = 0; i < n; i++)
 *       ss_plot_addf(&p, "%g %g\n", sigma[i], absmax[i]);
 *   ss_plot_add(&p, "EOD\n");
 *   ss_plot_settings(&p);                                 // then what holds for all panels,
 *   ss_plot_add(&p, "set logscale xy\n");
 *   ss_plot_panel(&p, "encoder", "sigma", "largest |x|"); // then a panel after the other
 *   ss_plot_series(&p, 1, SS_PLOT_BOTH, module, "$d", 1, 2);
 *   ss_plot_items_end(&p);
 *   rc = ss_plot_draw(&p, folder, "growth", 440, 300, alt, &markup, &err);
 *
 * A figure is drawn twice: each panel as an SVG that stands in the page, side by side where there
 * is room and below each other where there is not, with the legend as a list of buttons below them;
 * and all together with a key as a light PNG in the folder, for papers.
 *
 * Line types 1 to 8 are the categories (Okabe & Ito 2008), each with a mark and a pattern of its
 * own, so that grey prints and colour-blind readers tell them apart; 9 is muted, 10 the limits of
 * formats; the palette is viridis. Text is never interpreted (noenhanced), and labels are quoted so
 * that none of a run file can end the string or reach a shell.
 */
#ifndef SS_REPORTS_PLOT_H
#define SS_REPORTS_PLOT_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

enum { SS_PLOT_MUTED = 9, SS_PLOT_LIMIT = 10, SS_PLOT_PANELS = 32, SS_PLOT_LETTERS = 31 };

typedef enum {
    SS_PLOT_LINES,
    SS_PLOT_POINTS,
    SS_PLOT_BOTH,
    SS_PLOT_STEPS,
    SS_PLOT_BAND
} ss_plot_style;

typedef struct {
    char *title; /* owned */
    int type;
    ss_plot_style style;
} ss_plot_line;

typedef struct {
    size_t at;         /* in the script */
    char x[64], y[64]; /* names of the axes */
    double inf;        /* the x at which sigma = inf is drawn; NaN: nowhere */
} ss_plot_panel_info;

typedef struct {
    ss_str script; /* data, settings, and the panels */
    ss_str items;  /* of the command that ss_plot_items_end() writes */
    ss_str marks;  /* labels that go before it */
    ss_str rows;   /* names of the rows of a figure of bars, a line each */
    ss_str hover;  /* JSON of a heat map's cells, for the page */
    int n_items, n_limits, n_rows;
    double limit[8]; /* those drawn in this panel */
    size_t settings_at;
    ss_plot_panel_info panel[SS_PLOT_PANELS];
    int n_panels;
    ss_plot_line *line; /* the legend */
    size_t line_cap;
    int n_lines;
} ss_plot;

void ss_plot_add(ss_plot *p, const char *text);
void ss_plot_addf(ss_plot *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A label as a quoted string; control characters, quotes, backquotes and what is not UTF-8 are
 * replaced. */
void ss_plot_label(ss_plot *p, const char *text);
/* Appends a name as such a string. A long one loses what the module repeats (" = .conv"), then ends
 * of its words ("dow.2.att.0.tra.0.attn1"), so that names stay distinct; where neither helps its
 * beginning, for an ellipsis. Returns its letters, at most `most`. */
int ss_plot_short(ss_str *s, const char *name, int most);
/* A number as gnuplot reads it: "NaN" where it is none, infinite, or 1e200 and
 * more, which no axis reaches. */
void ss_plot_number(ss_plot *p, double v);

/* The data end here: what follows is said again for every panel. */
void ss_plot_settings(ss_plot *p);
/* Begins a panel, with a title above it ("": none); x and y name its numbers to a reader who points
 * at one. At most SS_PLOT_PANELS. */
void ss_plot_panel(ss_plot *p, const char *title, const char *x, const char *y);

/* The items of one "plot" command, where some may have nothing to draw: gnuplot gives up where all
 * have nothing. Callers leave out such items, and this then draws an empty panel that says so. Both
 * axes have a range: x of the caller's, y of any kind. */
void ss_plot_item(ss_plot *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line of the legend, with its numbers at hand: columns x and y of a data block ("$d", or
 * "$d index 3"). Lines of the same title and type in several panels are one to the legend. */
void ss_plot_series(ss_plot *p, int type, ss_plot_style style, const char *title, const char *data,
                    int x, int y);
/* A band between columns low and high. */
void ss_plot_band(ss_plot *p, int type, const char *title, const char *data, int x, int low,
                  int high);
/* Names the next row, y = 0, 1, ..., of a figure whose y axis counts rows. */
void ss_plot_row(ss_plot *p, const char *name);
/* A level line at y, with its name at its end, inside the panel. Each has a pattern of its own. */
void ss_plot_limit(ss_plot *p, const char *name, double y);
void ss_plot_items_end(ss_plot *p);

/* True when any of the values can be drawn, on a logarithmic axis if log: of 1e-200 to 1e200. */
bool ss_plot_any(const double *v, int n, bool log);

/* Draws the figure, each panel width x height CSS pixels, and releases p, also on failure.
 * FOLDER/NAME.png gets all panels at twice that density; *markup, unless NULL, what the page shows
 * in its place. SS_UNSUPPORTED when there is no gnuplot; SS_IO when it fails, with its complaint,
 * which is for a log and not for readers of the page; no picture is left then. */
ss_code ss_plot_draw(ss_plot *p, const char *folder, const char *name, int width, int height,
                     const char *alt, ss_str *markup, ss_err *e);
void ss_plot_release(ss_plot *p); /* leaves {0} */

/* The pattern of a line type, as gnuplot and SVG write it, "" for none; and its mark, as gnuplot
 * counts from 1. */
const char *ss_plot_dashes(int type);
int ss_plot_mark(int type);

/* The program to run: "gnuplot", or another that a test sets. */
void ss_plot_program(const char *program);

/* "gnuplot 5.4 patchlevel 4", "" where there is none. Returns out. */
char *ss_plot_version(char *out, size_t n);

#endif
