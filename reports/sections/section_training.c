/* section_training.c - the training itself: loss, gradient norm, loss scale, rate; the loss by
 * noise level */
#include "reports/training.h"

#include <math.h>

enum { TABLE_ROWS = 3000, SHOWN_STEPS = 6 };

static const struct {
    const char *name, *title;
} series[] = {
    {"loss", "loss"},
    {"norm", "norm of the gradients"},
    {"scale", "scale of the loss"},
    {"rate", "learning rate"},
};
enum { N_SERIES = sizeof series / sizeof *series };

static bool any_positive(const ss_training *t, const float *x)
{
    for (int j = 0; j < t->trend.n_steps && x; j++) {
        const double v = x[t->columns[j]];

        if (v > 0 && isfinite(v))
            return true;
    }
    return false;
}

static ss_code overview(ss_page *page, const ss_training_analysis *x, ss_err *e)
{
    const ss_training *t = &x->t;
    const float *values[N_SERIES];
    bool shown[N_SERIES];
    int n = 0;
    ss_plot p = {0};
    ss_code rc = SS_OK;

    for (int k = 0; k < N_SERIES && rc == SS_OK; k++) {
        rc = ss_run_training(x->run, series[k].name, &values[k], e);
        shown[k] = rc == SS_OK && any_positive(t, values[k]);
        n += shown[k];
    }
    if (rc != SS_OK || n == 0)
        return rc;
    ss_plot_add(&p, "$t << EOD\n");
    for (int j = 0; j < t->trend.n_steps; j++) {
        ss_plot_number(&p, t->trend.steps[j]);
        for (int k = 0; k < N_SERIES; k++) {
            ss_plot_add(&p, " ");
            ss_plot_number(&p, values[k] ? values[k][t->columns[j]] : NAN);
        }
        ss_plot_add(&p, "\n");
    }
    ss_plot_add(&p, "EOD\n");
    ss_plot_settings(&p);
    ss_plot_add(&p, "set logscale y\nset format y '%g'\nset xlabel 'training step'\n");
    for (int k = 0; k < N_SERIES; k++) {
        if (!shown[k])
            continue;
        ss_plot_panel(&p, series[k].title, "training step", series[k].title);
        ss_plot_series(&p, k + 1, SS_PLOT_BOTH, series[k].title, "$t", 1, 2 + k);
        ss_plot_items_end(&p);
    }
    return ss_page_figure(
        page, &p, "training", SS_PANEL_WIDTH, SS_PANEL_HEIGHT,
        "Loss, norm of the gradients, scale of the loss and learning rate "
        "against the training step.",
        x->run->binned ? "Of the recorded steps."
                       : "Of the measured steps; log.jsonl beside the run file has every step.",
        e);
}

/* Bins in the order of x->losses: rising noise level. */
static ss_code by_level(ss_page *page, const ss_training_analysis *x, ss_err *e)
{
    const ss_training *t = &x->t;
    const int n = t->trend.n_steps, shown = n < SHOWN_STEPS ? n : SHOWN_STEPS;
    const float *loss;
    char data[32], step[32];
    int drawn = 0;
    ss_plot p = {0};
    ss_code rc = ss_run_training(x->run, "loss_by_sigma", &loss, e);

    if (rc != SS_OK || !loss || x->n_losses < 2)
        return rc;
    ss_plot_add(&p, "$loss << EOD\n");
    for (int i = 0; i < shown; i++) {
        const int column = t->columns[ss_training_shown(i, shown, n)];

        for (int b = 0; b < x->n_losses; b++) {
            const int bin = x->losses[b].bin;

            ss_plot_number(&p, x->run->bins[bin]);
            ss_plot_add(&p, " ");
            ss_plot_number(&p, loss[(size_t)bin * (size_t)x->run->n_sigmas + (size_t)column]);
            ss_plot_add(&p, "\n");
        }
        ss_plot_add(&p, "\n\n");
    }
    ss_plot_add(&p, "EOD\n");
    ss_plot_settings(&p);
    ss_plot_panel(&p, "", "sigma", "loss, running mean");
    ss_plot_add(&p, "set logscale xy\nset format xy '%g'\nset xlabel 'sigma'\n"
                    "set ylabel 'loss, running mean'\n");
    for (int i = 0; i < shown; i++) {
        const int j = ss_training_shown(i, shown, n);
        bool any = false;

        for (int b = 0; b < x->n_losses; b++)
            any = any || loss[(size_t)b * (size_t)x->run->n_sigmas + (size_t)t->columns[j]] > 0;
        if (!any)
            continue;
        snprintf(data, sizeof data, "$loss index %d", i);
        snprintf(step, sizeof step, "step %.0f", t->trend.steps[j]);
        ss_plot_series(&p, i + 1, SS_PLOT_BOTH, step, data, 1, 2);
        drawn++;
    }
    ss_plot_items_end(&p);
    if (drawn)
        rc = ss_page_figure(page, &p, "loss-sigma", SS_PLOT_WIDTH, 340,
                            "Running mean of the loss against the noise level, at some of the "
                            "measured steps.",
                            "Running mean of the loss of the samples near each noise level. Where "
                            "a step has no point, no sample had been there yet.",
                            e);
    ss_plot_release(&p);
    return rc;
}

ss_code ss_section_training(ss_page *page, const ss_training_analysis *x, ss_err *e)
{
    ss_table t;
    ss_code rc = SS_OK;

    ss_page_section(page, "training", "The training: loss, gradients, scale");
    if (x->t.trend.n_steps > 1)
        rc = overview(page, x, e);
    if (rc == SS_OK)
        rc = by_level(page, x, e);
    if (rc == SS_OK && x->n_losses && (rc = ss_training_loss_table(&x->t, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && (rc = ss_training_steps_table(&x->t, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}
