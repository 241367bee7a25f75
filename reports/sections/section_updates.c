/* section_updates.c - the staleness of the parameters that have most of it */
#include "reports/training.h"

#include <math.h>

enum { COLOURED = 7, TABLE_ROWS = 3000 };

static ss_code figure(ss_page *page, const ss_training_analysis *x, ss_err *e)
{
    const ss_training *t = &x->t;
    const ss_updates *u = &x->updates;
    const float *staleness;
    char alt[400];
    int n = 0;
    ss_plot p = {0};
    ss_code rc = ss_run_updates(x->run, "staleness", &staleness, e);

    while (n < u->n && n < COLOURED && !isnan(u->rows[n].staleness))
        n++;
    if (rc != SS_OK || n == 0 || t->trend.n_steps < 2)
        return rc;
    ss_plot_add(&p, "$u << EOD\n");
    for (int j = 0; j < t->trend.n_steps; j++) {
        ss_plot_number(&p, t->trend.steps[j]);
        for (int i = 0; i < n; i++) {
            const size_t row = (size_t)u->rows[i].parameter * (size_t)x->run->n_sigmas;

            ss_plot_add(&p, " ");
            ss_plot_number(&p, staleness[row + (size_t)t->columns[j]]);
        }
        ss_plot_add(&p, "\n");
    }
    ss_plot_add(&p, "EOD\n");
    ss_plot_settings(&p);
    ss_plot_panel(&p, "", "training step", "RMS(g / sqrt(v))");
    ss_plot_add(&p, "set xlabel 'training step'\nset ylabel 'RMS(g / sqrt(v))'\nset yrange [0:]\n");
    ss_plot_limit(&p, "lags behind", SS_STALE);
    for (int i = 0; i < n; i++)
        ss_plot_series(&p, i + 1, SS_PLOT_BOTH, x->run->parameters[u->rows[i].parameter], "$u", 1,
                       2 + i);
    ss_plot_items_end(&p);
    snprintf(alt, sizeof alt,
             "Staleness of the %d parameters that have most, against the training step; the "
             "largest is %.200s with %.3g at step %.0f.",
             n, x->run->parameters[u->rows[0].parameter], u->rows[0].staleness,
             t->trend.steps[u->rows[0].staleness_step]);
    return ss_page_figure(page, &p, "staleness", SS_PLOT_WIDTH, 340, alt,
                          "Staleness is RMS(g / sqrt(v)) of Adam's second moment v: about 1 while "
                          "v fits the gradients g, above where they have grown faster than v "
                          "follows; spikes of the loss come a few steps later (Wortsman et al. "
                          "2023).",
                          e);
}

ss_code ss_section_updates(ss_page *page, const ss_training_analysis *x, ss_err *e)
{
    ss_table t;
    ss_code rc;

    if (x->updates.n == 0)
        return SS_OK;
    ss_page_section(page, "updates", "Updates of the parameters");
    rc = figure(page, x, e);
    if (rc == SS_OK && x->updates.n_stale &&
        (rc = ss_stale_table(&x->t, &x->updates, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && (rc = ss_updates_table(&x->t, &x->updates, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}
