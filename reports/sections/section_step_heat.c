/* section_step_heat.c - every module at every measured step, as a picture */
#include "analyze/one/headroom.h"
#include "reports/training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 56, COLUMNS = 48, LABELS = 12 };

static bool is_block_output(const ss_training_analysis *x, const ss_trend_row *row)
{
    const ss_site s = ss_align_site(&x->t.trend.aligned, row->site, 0);

    return x->run->blocks && x->run->blocks[s.module] &&
           strcmp(x->run->ports[s.port], "output") == 0;
}

/* Block outputs, or all sites where the file does not know them; of many those that are largest at
 * the end. In forward order. */
static int choose_rows(const ss_training_analysis *x, const ss_trend_row **rows, bool *blocks)
{
    const ss_trend *t = &x->t.trend;
    int n = 0;

    *blocks = false;
    for (int i = 0; i < t->n; i++)
        *blocks = *blocks || is_block_output(x, &t->rows[i]);
    for (int i = 0; i < t->n && n < ROWS; i++) {
        int at = n;

        if (*blocks && !is_block_output(x, &t->rows[i]))
            continue;
        for (; at > 0 && rows[at - 1]->site > t->rows[i].site; at--)
            rows[at] = rows[at - 1];
        rows[at] = &t->rows[i];
        n++;
    }
    return n;
}

static void labels(ss_plot *p, const ss_trend *t, const ss_trend_row *const *rows, int n,
                   int columns)
{
    const int every = (columns + LABELS - 1) / LABELS;
    char name[256];

    ss_plot_add(p, "set xtics scale 0 (");
    for (int c = 0; c < columns; c += every)
        ss_plot_addf(p, "%s'%.0f' %d", c ? "," : "",
                     t->steps[ss_training_shown(c, columns, t->n_steps)], c);
    ss_plot_add(p, ")\nset ytics scale 0 font ',8' (");
    for (int i = 0; i < n; i++) {
        ss_plot_add(p, i ? "," : "");
        ss_plot_label(p, ss_trend_label(t, rows[i], name, sizeof name));
        ss_plot_addf(p, " %d", i);
    }
    ss_plot_add(p, ")\n");
}

ss_code ss_section_step_heat(ss_page *page, const ss_training_analysis *x, ss_err *e)
{
    const ss_trend *t = &x->t.trend;
    const ss_format *f = &x->format[0];
    const int columns = t->n_steps < COLUMNS ? t->n_steps : COLUMNS;
    const ss_trend_row *rows[ROWS];
    bool blocks;
    const int n = choose_rows(x, rows, &blocks);
    ss_plot p = {0};
    int n_over = 0;
    char alt[300], caption[300];

    if (n < 2 || columns < 2)
        return SS_OK;
    ss_page_section(page, "heat", "Module by training step");
    ss_plot_add(&p, "$d << EOD\n");
    for (int i = 0; i < n; i++) {
        for (int c = 0; c < columns; c++) {
            ss_plot_number(&p, rows[i]->peak.y[ss_training_shown(c, columns, t->n_steps)]);
            ss_plot_add(&p, " ");
        }
        ss_plot_add(&p, "\n");
    }
    ss_plot_add(&p, "EOD\n$over << EOD\n");
    for (int i = 0; i < n; i++) {
        for (int c = 0; c < columns; c++) {
            const int j = ss_training_shown(c, columns, t->n_steps);

            if (rows[i]->nonfinite[j] || ss_overflows(f, rows[i]->peak.y[j])) {
                ss_plot_addf(&p, "%d %d\n", c, i);
                n_over++;
            }
        }
    }
    ss_plot_add(&p, "EOD\nunset grid\nset border 0\nset yrange [] reverse\nunset key\n"
                    "set xlabel 'training step'\nset cblabel 'largest |x|'\nset logscale cb\n"
                    "set format cb '%g'\nset lmargin 42\n");
    labels(&p, t, rows, n, columns);
    ss_plot_add(&p, "plot $d matrix with image");
    if (n_over)
        ss_plot_add(&p, ", $over using 1:2 with points pt 2 ps 1.3 lw 1.5 lc rgb '#e0004d'");
    ss_plot_add(&p, "\n");
    snprintf(alt, sizeof alt,
             "Heat map of the largest activation: %d modules by %d training steps; %d cells are "
             "over the limit of %s or not finite.",
             n, columns, n_over, f->name);
    snprintf(caption, sizeof caption,
             "%s, in forward order from the top, at %d of %d measured steps. Crosses mark what "
             "overflows %s (largest number %g), or is not finite.",
             blocks ? "Block outputs" : "Modules", columns, t->n_steps, f->name, f->max);
    return ss_page_figure(page, &p, "heat", SS_PAGE_WIDTH, SS_HEAT_FRAME + SS_ROW_HEIGHT * n, alt,
                          caption, e);
}
