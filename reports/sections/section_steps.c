/* section_steps.c - the largest |x| against the training step: by stage, and by noise level */
#include "base/str.h"
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

/* Adds ", decoder 12.3" to a text; nothing without a value. */
static void add_value(ss_str *s, const char *name, double v)
{
    if (!isnan(v))
        ss_str_addf(s, "%s %s %.3g", s->s[s->len - 1] == ':' ? "" : ",", name, v);
}

/* Says what the panels show. A logarithmic axis has no place for step 0. */
static void add_caption(ss_str *s, const ss_training *t, bool bands)
{
    ss_str_add(s,
               "The largest |x| that any module of a stage produces, over the samples of a step");
    if (bands)
        ss_str_add(
            s, "; and of all modules, over the third of all samples with the lowest, the middle "
               "and the highest noise levels");
    ss_str_add(s, ".");
    if (t->trend.steps[0] <= 0)
        ss_str_addf(s, " Step %.0f, for which the axis has no place, is in the tables.",
                    t->trend.steps[0]);
}

static const char *const band_names[] = {"low noise", "middle noise", "high noise"};

static ss_code figure(ss_page *page, const ss_training_analysis *x, ss_err *e)
{
    const ss_training *t = &x->t;
    const int last = t->trend.n_steps - 1, n_panels = ss_training_has_bands(t) ? 2 : 1;
    const ss_trend_row *stage = t->trend.stages;
    ss_plot p = {0};
    ss_str alt = {0}, caption = {0};
    ss_code rc;
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
    ss_str_addf(
        &alt,
        "Largest activation of encoder, middle and decoder%s, against the training step. At "
        "step %.0f:",
        n_panels > 1 ? ", and of samples at low, middle and high noise" : "", t->trend.steps[last]);
    for (int k = 0; k < SS_N_STAGES; k++)
        add_value(&alt, ss_stage_name((ss_stage)k), stage[k].peak.y[last]);
    for (int b = 0; b < SS_N_BANDS && n_panels > 1; b++)
        add_value(&alt, band_names[b], band_peak(t, (ss_band)b, last));
    ss_str_add(&alt, ".");
    add_caption(&caption, t, n_panels > 1);
    rc = alt.failed || caption.failed
             ? ss_no_memory(e, "a figure")
             : ss_page_figure(page, &p, "growth", SS_PANEL_WIDTH, 320, alt.s, caption.s, e);
    ss_str_release(&alt);
    ss_str_release(&caption);
    return rc;
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
    if (rc == SS_OK && ss_training_has_bands(&x->t) &&
        (rc = ss_training_bands_table(&x->t, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && (rc = ss_training_stages_table(&x->t, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}
