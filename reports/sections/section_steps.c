/* section_steps.c - the largest |x| against the training step: by stage, and by noise level */
#include "reports/page/curves.h"
#include "reports/training.h"

#include <math.h>
#include <stdio.h>

enum { TABLE_ROWS = 3000, NEAR = 10 };

/* The largest of all sites in a band at a step. */
static double band_peak(const ss_training *t, ss_band b, int j)
{
    double peak = NAN;

    for (int i = 0; i < t->trend.n; i++)
        peak = fmax(peak, ss_training_band(t, &t->trend.rows[i], b)[j]);
    return peak;
}

/* A line a step: the step, the stages, the bands. Returns the largest value. */
static double add_data(ss_plot *p, const ss_training *t)
{
    double top = 0;

    ss_plot_add(p, "$steps << EOD\n");
    for (int j = 0; j < t->trend.n_steps; j++) {
        ss_plot_number(p, t->trend.steps[j]);
        for (int k = 0; k < SS_N_STAGES + SS_N_BANDS; k++) {
            const double v = k < SS_N_STAGES ? t->trend.stages[k].peak.y[j]
                                             : band_peak(t, (ss_band)(k - SS_N_STAGES), j);

            ss_plot_add(p, " ");
            ss_plot_number(p, v);
            top = fmax(top, v);
        }
        ss_plot_add(p, "\n");
    }
    ss_plot_add(p, "EOD\n");
    return top;
}

/* Limits within reach, each followed by ", ". */
static void limits(ss_plot *p, const ss_training_analysis *x, double top)
{
    for (int f = 0; f < x->n_formats; f++) {
        if (x->format[f].max < top * NEAR)
            ss_curves_limit(p, &x->format[f]);
    }
}

static void stages_panel(ss_plot *p)
{
    for (int s = 0; s < SS_N_STAGES; s++)
        ss_plot_series(p, s + 1, SS_PLOT_BOTH, ss_stage_name((ss_stage)s), "$steps", 1, 2 + s);
}

static void bands_panel(ss_plot *p, const ss_training *t)
{
    char names[SS_N_BANDS][48];

    snprintf(names[SS_BAND_LOW], sizeof names[0], "sigma below %.3g", t->cut[0]);
    snprintf(names[SS_BAND_MID], sizeof names[0], "sigma %.3g to %.3g", t->cut[0], t->cut[1]);
    snprintf(names[SS_BAND_HIGH], sizeof names[0], "sigma from %.3g", t->cut[1]);
    for (int b = 0; b < SS_N_BANDS; b++)
        ss_plot_series(p, 4 + b, SS_PLOT_BOTH, names[b], "$steps", 1, 2 + SS_N_STAGES + b);
}

static ss_code figure(ss_page *page, const ss_training_analysis *x, ss_err *e)
{
    const ss_training *t = &x->t;
    const int last = t->trend.n_steps - 1, n_panels = t->sigma ? 2 : 1;
    const ss_trend_row *stage = t->trend.stages;
    ss_plot p = {0};
    char alt[400];
    const double top = add_data(&p, t);

    if (!(top > 0)) {
        ss_plot_release(&p);
        return SS_OK;
    }
    ss_plot_settings(&p);
    for (int what = 0; what < n_panels; what++) {
        ss_plot_panel(&p, what ? "largest |x| by noise level sigma" : "largest |x| in the stage",
                      "training step", "largest |x|");
        ss_plot_add(&p, "set logscale xy\nset format xy '%g'\nset xlabel 'training step'\n");
        limits(&p, x, top);
        if (what)
            bands_panel(&p, t);
        else
            stages_panel(&p);
        ss_plot_items_end(&p);
    }
    snprintf(alt, sizeof alt,
             "Largest activation of encoder, middle and decoder, and of samples at low, middle and "
             "high noise, against the training step. At step %.0f: encoder %.3g, middle %.3g, "
             "decoder %.3g; low %.3g, middle %.3g, high %.3g.",
             t->trend.steps[last], stage[SS_STAGE_ENCODER].peak.y[last],
             stage[SS_STAGE_MIDDLE].peak.y[last], stage[SS_STAGE_DECODER].peak.y[last],
             band_peak(t, SS_BAND_LOW, last), band_peak(t, SS_BAND_MID, last),
             band_peak(t, SS_BAND_HIGH, last));
    return ss_page_figure(page, &p, "growth", SS_PANEL_WIDTH, 320, alt,
                          "The largest |x| that any module of a stage produces, over the samples "
                          "of a step; and of all modules, over the third of all samples with the "
                          "lowest, the middle and the highest noise levels.",
                          e);
}

ss_code ss_section_steps(ss_page *page, const ss_training_analysis *x, ss_err *e)
{
    ss_table t;
    ss_code rc = SS_OK;

    ss_page_section(page, "growth", "Activation growth over training");
    if (x->t.trend.n_steps > 1)
        rc = figure(page, x, e);
    if (rc == SS_OK && x->overflow.n &&
        (rc = ss_training_overflow_table(&x->t, &x->overflow, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && (rc = ss_training_growth_table(&x->t, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && x->t.sigma &&
        (rc = ss_training_bands_table(&x->t, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && (rc = ss_training_stages_table(&x->t, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}
