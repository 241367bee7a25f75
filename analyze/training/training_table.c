/* training_table.c - a training's own run as tables; see training.h */
#include "analyze/training/training.h"
#include "analyze/training/training_health.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void put(ss_table *t, const char *what, const char *value)
{
    ss_table_row(t);
    ss_table_text(t, what);
    ss_table_text(t, *value ? value : "-");
}

ss_code ss_training_summary_table(const ss_training *t, ss_table *table, ss_err *e)
{
    const ss_run *r = t->run;
    const int n = t->trend.n_steps;
    char text[160];
    ss_code rc = ss_table_init(table, "run", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(table, "what", SS_COL_TEXT, NULL);
    ss_table_column(table, "value", SS_COL_TEXT, NULL);
    put(table, "file", r->path);
    put(table, "model", r->model_path);
    put(table, "family", r->family);
    put(table, "prediction", r->prediction_type);
    put(table, "precision", r->precision);
    snprintf(text, sizeof text, "%d from %.0f to %.0f", n, t->trend.steps[0],
             t->trend.steps[n - 1]);
    put(table, "steps", text);
    snprintf(text, sizeof text, "below %.4g, from %.4g to %.4g, from there on", t->cut[0],
             t->cut[0], t->cut[1]);
    put(table, "bands of sigma", ss_training_has_bands(t) ? text : "");
    if (r->binned)
        snprintf(text, sizeof text, "%s, %d recorded steps",
                 r->complete ? "complete" : "still open", r->n_done);
    else
        snprintf(text, sizeof text, "%s, %d of %d measured steps finished",
                 r->complete ? "complete" : "NOT complete", r->n_done, r->n_sigmas);
    put(table, "state", text);
    snprintf(text, sizeof text, "%d modules, %d %s, %d attention layers, %lld parameters",
             r->n_real, r->n_samples,
             !r->binned         ? "samples a step"
             : r->n_samples > 1 ? "bins of noise level"
                                : "bin of all samples",
             r->n_layers, (long long)r->n_parameters);
    put(table, "size", text);
    return SS_OK;
}

static double training_value(const ss_training *t, const float *x, int step)
{
    return x ? x[t->columns[step]] : NAN;
}

/* "5 of 21 steps; ": how many a table shows. */
static const char *some_of(int shown, int n, char *out, size_t room)
{
    snprintf(out, room, "%d of %d steps; ", shown, n);
    return shown < n ? out : "";
}

static void add_step(const ss_training *t, const float *const *series, int n, int j,
                     ss_table *table)
{
    const ss_training_peak x = ss_training_largest(t, NULL, j);
    int spoiled = 0;

    ss_table_row(table);
    ss_table_number(table, t->trend.steps[j]);
    for (int k = 0; k < n; k++)
        ss_table_number(table, training_value(t, series[k], j));
    ss_table_number(table, x.value);
    ss_trend_cells(&t->trend, x.row, table);
    ss_table_number(table, x.sigma);
    for (int i = 0; i < t->trend.n; i++)
        spoiled += t->trend.rows[i].nonfinite[j];
    ss_table_number(table, spoiled);
}

ss_code ss_training_steps_table(const ss_training *t, int top, ss_table *table, ss_err *e)
{
    static const char *const names[] = {"loss", "norm", "rate", "scale"};
    enum { N = sizeof names / sizeof *names };
    const float *series[N], *skipped;
    const int n = t->trend.n_steps, shown = top < n ? top : n;
    char rest[64];
    int n_skipped = 0;
    ss_training_health health;
    char all[120];
    ss_code rc = ss_run_training(t->run, "skipped", &skipped, e);

    for (int k = 0; k < N && rc == SS_OK; k++)
        rc = ss_run_training(t->run, names[k], &series[k], e);
    if (rc != SS_OK || (rc = ss_table_init(table, "steps", e)) != SS_OK)
        return rc;
    ss_table_column(table, "step", SS_COL_NUMBER, "%.0f");
    for (int k = 0; k < N; k++)
        ss_table_column(table, names[k], SS_COL_NUMBER, "%.4g");
    ss_table_column(table, "largest", SS_COL_NUMBER, "%.4g");
    ss_fold_columns(table);
    ss_table_column(table, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(table, "not finite", SS_COL_NUMBER, "%.0f");
    for (int i = 0; i < shown; i++)
        add_step(t, series, N, ss_training_shown(i, shown, n), table);
    for (int j = 0; j < n; j++)
        n_skipped += training_value(t, skipped, j) > 0;
    if ((rc = ss_training_health_find(t, &health, e)) != SS_OK)
        return rc;
    if (!health.knows)
        snprintf(all, sizeof all, "whether steps were skipped is not known");
    else if (isnan(health.skips))
        snprintf(all, sizeof all, "%d of these %d steps were skipped", n_skipped, n);
    else
        snprintf(all, sizeof all, "%d of these %d steps were skipped, of all %.0f steps %.0f",
                 n_skipped, n, health.steps, health.skips);
    ss_table_note(table,
                  "%slargest |x| of a step and the noise level of its %s; norm: of the "
                  "gradients; not finite: places with inf or NaN; %s",
                  some_of(shown, n, rest, sizeof rest), t->run->binned ? "bin" : "sample", all);
    return SS_OK;
}

ss_code ss_training_stages_table(const ss_training *t, int top, ss_table *table, ss_err *e)
{
    const int n = t->trend.n_steps, shown = top < n ? top : n;
    char name[64], rest[64];
    ss_code rc = ss_table_init(table, "stages", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(table, "step", SS_COL_NUMBER, "%.0f");
    for (int k = 0; k < SS_N_STAGES; k++)
        ss_table_column(table, ss_stage_name((ss_stage)k), SS_COL_NUMBER, "%.4g");
    ss_table_column(table, "ratio", SS_COL_NUMBER, "%.3g");
    for (int k = 0; k < SS_N_STAGES; k++) {
        snprintf(name, sizeof name, "%s rms", ss_stage_name((ss_stage)k));
        ss_table_column(table, name, SS_COL_NUMBER, "%.4g");
    }
    ss_table_column(table, "rms ratio", SS_COL_NUMBER, "%.3g");
    for (int i = 0; i < shown; i++) {
        const int j = ss_training_shown(i, shown, n);
        const double *rms = t->stage_rms + j;

        ss_table_row(table);
        ss_table_number(table, t->trend.steps[j]);
        for (int k = 0; k < SS_N_STAGES; k++)
            ss_table_number(table, t->trend.stages[k].peak.y[j]);
        ss_table_number(table, t->trend.stages[SS_STAGE_DECODER].peak.y[j] /
                                   t->trend.stages[SS_STAGE_ENCODER].peak.y[j]);
        for (int k = 0; k < SS_N_STAGES; k++)
            ss_table_number(table, rms[k * n]);
        ss_table_number(table, rms[SS_STAGE_DECODER * n] / rms[SS_STAGE_ENCODER * n]);
    }
    ss_table_note(table, "%slargest |x| and median RMS, ratio of decoder to encoder",
                  some_of(shown, n, rest, sizeof rest));
    return SS_OK;
}

/* "; 7 more, each at most 3.2 at the last step", or "". */
static const char *left_out(const ss_training *t, int shown, char *out, size_t room)
{
    if (shown >= t->trend.n)
        return "";
    snprintf(out, room, "; %d more, each at most %.4g at the last step", t->trend.n - shown,
             t->trend.rows[shown].peak.y[t->trend.n_steps - 1]);
    return out;
}

ss_code ss_training_growth_table(const ss_training *t, int top, ss_table *table, ss_err *e)
{
    const int n = t->trend.n_steps, shown = top < t->trend.n ? top : t->trend.n;
    char rest[80];
    ss_code rc = ss_table_init(table, "growth", e);

    if (rc != SS_OK)
        return rc;
    ss_fold_columns(table);
    ss_table_column(table, "first", SS_COL_NUMBER, "%.4g");
    ss_table_column(table, "middle", SS_COL_NUMBER, "%.4g");
    ss_table_column(table, "last", SS_COL_NUMBER, "%.4g");
    ss_table_column(table, "ratio", SS_COL_NUMBER, "%.3g");
    ss_table_column(table, "largest", SS_COL_NUMBER, "%.4g");
    ss_table_column(table, "at step", SS_COL_NUMBER, "%.0f");
    ss_table_column(table, "at sigma", SS_COL_NUMBER, "%.3g");
    for (int i = 0; i < shown; i++) {
        const ss_trend_row *row = &t->trend.rows[i];
        const ss_training_peak x = ss_training_largest(t, row, SS_ALL);
        const double *y = row->peak.y;
        const double cells[] = {
            y[0],     y[n / 2],
            y[n - 1], y[n - 1] / y[0],
            x.value,  x.row ? t->trend.steps[x.step] : NAN,
            x.sigma,
        };

        ss_table_row(table);
        ss_trend_cells(&t->trend, row, table);
        for (size_t k = 0; k < sizeof cells / sizeof *cells; k++)
            ss_table_number(table, cells[k]);
    }
    ss_table_note(table,
                  "largest |x| over the samples of step %.0f, %.0f, %.0f, ratio of the outer two, "
                  "and the largest of all steps%s",
                  t->trend.steps[0], t->trend.steps[n / 2], t->trend.steps[n - 1],
                  left_out(t, shown, rest, sizeof rest));
    return SS_OK;
}

static ss_power_law law_of(const ss_training *t, const ss_trend_row *row, ss_band b,
                           double *scratch)
{
    const double *y = ss_training_band(t, row, b);

    for (int j = 0; j < t->trend.n_steps; j++)
        scratch[j] = ss_trend_counts(&t->trend, row, j) ? y[j] : NAN;
    return ss_power_law_fit(t->trend.steps, scratch, t->trend.n_steps);
}

ss_code ss_training_bands_table(const ss_training *t, int top, ss_table *table, ss_err *e)
{
    static const char *const parts[] = {"", " exp", " err"};
    const int n = t->trend.n_steps, shown = top < t->trend.n ? top : t->trend.n;
    char name[512], rest[80];
    double *scratch = ss_alloc((size_t)n, sizeof *scratch);
    ss_code rc = scratch ? ss_table_init(table, "noise levels", e) : ss_no_memory(e, t->run->path);

    if (rc != SS_OK)
        goto out;
    ss_fold_columns(table);
    for (int b = 0; b < SS_N_BANDS; b++) {
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            snprintf(name, sizeof name, "%s%s", ss_band_name((ss_band)b), parts[k]);
            ss_table_column(table, name, SS_COL_NUMBER, "%.3g");
        }
    }
    ss_table_column(table, "high/low", SS_COL_NUMBER, "%.3g");
    for (int i = 0; i < shown; i++) {
        const ss_trend_row *row = &t->trend.rows[i];
        double last[SS_N_BANDS];

        ss_table_row(table);
        ss_trend_cells(&t->trend, row, table);
        for (int b = 0; b < SS_N_BANDS; b++) {
            const ss_power_law law = law_of(t, row, (ss_band)b, scratch);

            last[b] = ss_training_band(t, row, (ss_band)b)[n - 1];
            ss_table_number(table, last[b]);
            ss_table_number(table, law.b);
            ss_table_number(table, law.error);
        }
        ss_table_number(table, last[SS_BAND_HIGH] / last[SS_BAND_LOW]);
    }
    ss_table_note(table,
                  "largest |x| at the last step, and step^exponent with its standard error, of the "
                  "samples with sigma below %.4g, from %.4g to %.4g, and above, %sa third each%s",
                  t->cut[0], t->cut[0], t->cut[1], t->run->binned ? "about " : "",
                  left_out(t, shown, rest, sizeof rest));
out:
    ss_free(scratch);
    return rc;
}

ss_code ss_training_loss_table(const ss_training *t, ss_table *table, ss_err *e)
{
    ss_training_loss *rows = ss_alloc((size_t)t->run->n_bins, sizeof *rows);
    int n;
    ss_code rc = rows ? ss_training_losses(t, rows, &n, e) : ss_no_memory(e, t->run->path);

    if (rc == SS_OK)
        rc = ss_table_init(table, "loss", e);
    if (rc != SS_OK)
        goto out;
    ss_table_column(table, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(table, "from step", SS_COL_NUMBER, "%.0f");
    ss_table_column(table, "first", SS_COL_NUMBER, "%.4g");
    ss_table_column(table, "last", SS_COL_NUMBER, "%.4g");
    ss_table_column(table, "ratio", SS_COL_NUMBER, "%.3g");
    for (int i = 0; i < n; i++) {
        ss_table_row(table);
        ss_table_number(table, t->run->bins[rows[i].bin]);
        ss_table_number(table, rows[i].first_step);
        ss_table_number(table, rows[i].first);
        ss_table_number(table, rows[i].last);
        ss_table_number(table, rows[i].last / rows[i].first);
    }
    ss_table_note(table,
                  "running mean of the loss of samples near a noise level, where it is first "
                  "known, and at step %.0f",
                  t->trend.steps[t->trend.n_steps - 1]);
out:
    ss_free(rows);
    return rc;
}
