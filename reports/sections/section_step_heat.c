/* section_step_heat.c - every module at every measured step, as a picture */
#include "analyze/one/headroom.h"
#include "reports/page/heat.h"
#include "reports/training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 56, COLUMNS = 48 };

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

ss_code ss_section_step_heat(ss_page *page, const ss_training_analysis *x, ss_err *e)
{
    const ss_trend *t = &x->t.trend;
    const ss_format *f = &x->format[0];
    const int columns = t->n_steps < COLUMNS ? t->n_steps : COLUMNS;
    const ss_trend_row *rows[ROWS];
    bool blocks;
    const int n = choose_rows(x, rows, &blocks);
    ss_heat h;
    double v[COLUMNS];
    bool over[COLUMNS];
    char name[256];
    char alt[300], caption[300];

    if (n < 2 || columns < 2)
        return SS_OK;
    ss_page_section(page, "heat", "Module by training step");
    ss_heat_begin(&h, "training step", "largest |x|");
    for (int c = 0; c < columns; c++) {
        snprintf(name, sizeof name, "%.0f", t->steps[ss_training_shown(c, columns, t->n_steps)]);
        ss_heat_column(&h, name);
    }
    for (int i = 0; i < n; i++) {
        for (int c = 0; c < columns; c++) {
            const int j = ss_training_shown(c, columns, t->n_steps);

            v[c] = rows[i]->peak.y[j];
            over[c] = rows[i]->nonfinite[j] || ss_overflows(f, v[c]);
        }
        ss_heat_row(&h, ss_trend_label(t, rows[i], name, sizeof name), v, over);
    }
    ss_heat_format(&h, f);
    ss_heat_end(&h, SS_HEAT_LOG);
    snprintf(alt, sizeof alt,
             "Heat map of the largest activation: %d modules by %d training steps; %d cells are "
             "over the limit of %s or not finite.",
             n, columns, h.n_crosses, f->name);
    snprintf(caption, sizeof caption,
             "%s, in forward order from the top, at %d of %d measured steps. Crosses mark what "
             "overflows %s (largest number %g), or is not finite.",
             blocks ? "Block outputs" : "Modules", columns, t->n_steps, f->name, f->max);
    return ss_page_figure(page, &h.plot, "heat", SS_PLOT_WIDTH, ss_heat_height(&h), alt, caption,
                          e);
}
