/* training.c - see training.h; training_table.c makes its tables */
#include "analyze/training/training.h"

#include "analyze/math/median.h"
#include "analyze/training/thirds.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

const char *ss_band_name(ss_band b)
{
#define X(name, text) text,
    static const char *const names[] = {SS_BANDS(X) "none"};
#undef X

    return names[b];
}

static ss_code list_columns(ss_training *t, ss_err *e)
{
    const ss_run *r = t->run;
    int n = 0;

    if (!(t->columns = ss_alloc((size_t)r->n_sigmas, sizeof *t->columns)))
        return ss_no_memory(e, r->path);
    for (int k = 0; k < r->n_sigmas; k++) {
        if (r->done[k])
            t->columns[n++] = k;
    }
    return SS_OK;
}

bool ss_training_has_bands(const ss_training *t)
{
    return !isnan(t->cut[0]);
}

ss_band ss_training_band_of(const ss_training *t, double sigma)
{
    if (isnan(sigma) || !ss_training_has_bands(t))
        return SS_N_BANDS;
    return sigma < t->cut[0] ? SS_BAND_LOW : sigma < t->cut[1] ? SS_BAND_MID : SS_BAND_HIGH;
}

static ss_code fill_bands(ss_training *t, const ss_sites *sites, const float *absmax, ss_err *e)
{
    const ss_run *r = t->run;
    const size_t width = (size_t)t->trend.n_steps, n = (size_t)sites->n * SS_N_BANDS * width;

    if (!(t->bands = ss_alloc(n, sizeof *t->bands)))
        return ss_no_memory(e, r->path);
    for (size_t i = 0; i < n; i++)
        t->bands[i] = NAN;
    for (int i = 0; i < sites->n && ss_training_has_bands(t); i++) {
        const ss_site s = sites->site[i];

        for (size_t at = 0; at < width * (size_t)(r->n_inputs * r->n_samples); at++) {
            const int j = (int)(at % width), k = (int)(at / width);
            const int input = k / r->n_samples, sample = k % r->n_samples;
            const ss_band b = ss_training_band_of(t, ss_run_level(r, t->columns[j], sample));
            const double v = absmax[ss_run_at(r, s.module, s.port, input, t->columns[j], sample)];

            if (b < SS_N_BANDS) {
                double *y = t->bands + ((size_t)i * SS_N_BANDS + b) * width + j;
                *y = fmax(*y, v);
            }
        }
    }
    return SS_OK;
}

static ss_code fill_stage_rms(ss_training *t, const ss_sites *sites, ss_err *e)
{
    const size_t width = (size_t)t->trend.n_steps;
    const float *rms;
    double *scratch = ss_alloc((size_t)sites->n, sizeof *scratch);
    ss_code rc = ss_run_stat(t->run, "rms", &rms, e);

    t->stage_rms = ss_alloc(SS_N_STAGES * width, sizeof *t->stage_rms);
    if (rc == SS_OK && (!scratch || !t->stage_rms))
        rc = ss_no_memory(e, t->run->path);
    for (size_t at = 0; at < SS_N_STAGES * width && rc == SS_OK; at++) {
        int n = 0;

        for (int i = 0; i < sites->n && rms; i++) {
            const ss_site s = sites->site[i];

            if (ss_stage_of(t->run->modules[s.module]) == (ss_stage)(at / width))
                scratch[n++] = ss_site_rms(t->run, rms, s, SS_ALL, t->columns[at % width]);
        }
        t->stage_rms[at] = ss_median(scratch, n);
    }
    ss_free(scratch);
    return rc;
}

ss_code ss_training_find(ss_run *r, const ss_sites *sites, ss_training *t, ss_err *e)
{
    const float *absmax;
    ss_code rc;

    *t = (ss_training){.run = r};
    rc = list_columns(t, e);
    if (rc == SS_OK)
        rc = ss_thirds_find(r, t->cut, e);
    if (rc == SS_OK)
        rc = ss_trend_of_training(r, sites, t->cut[SS_BAND_HIGH - 1], &t->trend, e);
    if (rc == SS_OK)
        rc = ss_run_stat(r, "absmax", &absmax, e);
    if (rc == SS_OK)
        rc = fill_bands(t, sites, absmax, e);
    if (rc == SS_OK)
        rc = fill_stage_rms(t, sites, e);
    if (rc != SS_OK)
        ss_training_release(t);
    return rc;
}

void ss_training_release(ss_training *t)
{
    ss_trend_release(&t->trend);
    ss_free(t->columns);
    ss_free(t->bands);
    ss_free(t->stage_rms);
    *t = (ss_training){0};
}

const double *ss_training_band(const ss_training *t, const ss_trend_row *row, ss_band b)
{
    if (row->site < 0)
        return NULL;
    return t->bands + ((size_t)row->site * SS_N_BANDS + b) * (size_t)t->trend.n_steps;
}

/* The noise level of the sample, or bin, that has the value. */
static double sigma_of_peak(const ss_training *t, const ss_training_peak *x)
{
    const ss_run *r = t->run;
    const ss_site s = ss_align_site(&t->trend.aligned, x->row->site, 0);
    const float *absmax;

    if (ss_run_stat(t->run, "absmax", &absmax, NULL) != SS_OK)
        return NAN;
    for (int i = 0; i < r->n_inputs * r->n_samples; i++) {
        const int input = i / r->n_samples, sample = i % r->n_samples;

        if (absmax[ss_run_at(r, s.module, s.port, input, t->columns[x->step], sample)] == x->value)
            return ss_run_level(r, t->columns[x->step], sample);
    }
    return NAN;
}

ss_training_peak ss_training_largest(const ss_training *t, const ss_trend_row *only, int step)
{
    ss_training_peak x = {.step = step == SS_ALL ? 0 : step, .value = NAN, .sigma = NAN};
    const int from = x.step, to = step == SS_ALL ? t->trend.n_steps : step + 1;

    for (int i = 0; i < (only ? 1 : t->trend.n); i++) {
        const ss_trend_row *row = only ? only : &t->trend.rows[i];

        for (int j = from; j < to; j++) {
            if (!isnan(row->peak.y[j]) && !(row->peak.y[j] <= x.value)) {
                x.row = row;
                x.step = j;
                x.value = row->peak.y[j];
            }
        }
    }
    if (x.row && x.row->site >= 0)
        x.sigma = sigma_of_peak(t, &x);
    return x;
}

ss_code ss_training_losses(const ss_training *t, ss_training_loss *rows, int *n, ss_err *e)
{
    const ss_run *r = t->run;
    const float *x;
    ss_code rc = SS_OK;

    *n = 0;
    if (!r->n_bins || (rc = ss_run_training(t->run, "loss_by_sigma", &x, e)) != SS_OK || !x)
        return rc;
    for (int b = 0; b < r->n_bins; b++) {
        ss_training_loss row = {b, NAN, NAN, NAN};

        if (isnan(r->bins[b])) /* the one bin of a recorder that is not told noise levels */
            continue;
        int at = (*n)++;

        for (int j = 0; j < t->trend.n_steps; j++) {
            const double v = x[(size_t)b * (size_t)r->n_sigmas + (size_t)t->columns[j]];

            if (isnan(v))
                continue;
            if (isnan(row.first)) {
                row.first = v;
                row.first_step = t->trend.steps[j];
            }
            row.last = v;
        }
        for (; at > 0 && r->bins[rows[at - 1].bin] > r->bins[b]; at--)
            rows[at] = rows[at - 1];
        rows[at] = row;
    }
    return SS_OK;
}

int ss_training_shown(int i, int shown, int n)
{
    return shown > 1 ? (int)((int64_t)i * (n - 1) / (shown - 1)) : n - 1;
}
