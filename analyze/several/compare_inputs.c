/* compare_inputs.c - see compare_inputs.h */
#include "analyze/several/compare_inputs.h"

#include "analyze/one/health.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double FLOOR = 1e-6; /* -60 dB below the largest: rounding, not contents */

/* Mean over samples of the power in each ring, [n_radii]. */
static void mean_power(const ss_aligned *a, int run, const float *psd, int input, int sigma,
                       double *power)
{
    const ss_run *r = a->runs[run];
    const size_t at = (size_t)ss_align_input(a, input, run) * (size_t)r->n_sigmas +
                      (size_t)ss_align_sigma(a, sigma, run);

    for (int k = 0; k < r->n_radii; k++) {
        power[k] = 0;
        for (int n = 0; n < r->n_samples; n++)
            power[k] +=
                psd[(at * (size_t)r->n_samples + (size_t)n) * (size_t)r->n_radii + (size_t)k] /
                r->n_samples;
    }
}

/* Looks for a larger difference between two spectra than the row has. */
static void compare_power(const double *a, const double *b, int n, int sigma, ss_spectrum_row *row)
{
    double most = 0;

    for (int k = 0; k < n; k++)
        most = fmax(most, fmax(a[k], b[k]));
    for (int k = 0; k < n; k++) {
        const double d =
            a[k] == b[k] ? 0 : 10 * log10((b[k] + FLOOR * most) / (a[k] + FLOOR * most));

        if (isnan(d) || fabs(d) <= fabs(row->decibel))
            continue;
        row->decibel = d;
        row->sigma = sigma;
        row->radius = k;
    }
}

static ss_code find_spectra(const ss_aligned *a, ss_compare_inputs *x, ss_err *e)
{
    const int n = a->runs[0]->n_radii;
    const float *psd[2];
    double *power = ss_alloc(2 * (size_t)n, sizeof *power);
    ss_code rc = power ? SS_OK : ss_no_memory(e, "comparing spectra");

    if (rc == SS_OK && (rc = ss_run_psd(a->runs[0], &psd[0], e)) == SS_OK)
        rc = ss_run_psd(a->runs[1], &psd[1], e);
    if (rc != SS_OK || !psd[0] || !psd[1] || n != a->runs[1]->n_radii)
        goto out;
    x->spectra = ss_calloc((size_t)a->n_inputs, sizeof *x->spectra);
    if (!x->spectra) {
        rc = ss_no_memory(e, "comparing spectra");
        goto out;
    }
    for (int i = 0; i < a->n_inputs; i++) {
        ss_spectrum_row *row = &x->spectra[x->n_spectra++];

        *row = (ss_spectrum_row){i, NAN, 0, 0};
        for (int k = 0; k < a->n_sigmas; k++) {
            mean_power(a, 0, psd[0], i, k, power);
            mean_power(a, 1, psd[1], i, k, power + n);
            compare_power(power, power + n, n, k, row);
        }
    }
out:
    ss_free(power);
    return rc;
}

/* Difference of the losses; infinite where one is inf or NaN. */
static double distance(const ss_loss_row *x)
{
    return isinf(x->loss[0]) || isinf(x->loss[1]) ? INFINITY : fabs(x->loss[1] - x->loss[0]);
}

static int larger_first(const void *a, const void *b)
{
    const ss_loss_row *x = a, *y = b;
    const double p = distance(x), q = distance(y);

    if (p != q)
        return p < q ? 1 : -1;
    return x->sigma != y->sigma ? x->sigma - y->sigma : x->input - y->input;
}

static ss_code find_losses(const ss_aligned *a, ss_compare_inputs *x, ss_err *e)
{
    double *mean[2] = {NULL, NULL};
    bool any;
    ss_code rc = SS_OK;

    x->losses = ss_calloc((size_t)a->n_inputs * (size_t)a->n_sigmas, sizeof *x->losses);
    for (int run = 0; run < 2 && rc == SS_OK; run++) {
        ss_run *r = a->runs[run];

        mean[run] = ss_alloc((size_t)r->n_inputs * (size_t)r->n_sigmas, sizeof **mean);
        rc = mean[run] && x->losses ? ss_loss_find(r, mean[run], &any, e)
                                    : ss_no_memory(e, "comparing losses");
    }
    for (int k = 0; k < a->n_sigmas && rc == SS_OK; k++) {
        for (int i = 0; i < a->n_inputs; i++) {
            ss_loss_row row = {.sigma = k, .input = i};

            for (int run = 0; run < 2; run++)
                row.loss[run] =
                    mean[run][(int64_t)ss_align_input(a, i, run) * a->runs[run]->n_sigmas +
                              ss_align_sigma(a, k, run)];
            if (!isnan(row.loss[0]) && !isnan(row.loss[1]))
                x->losses[x->n_losses++] = row;
        }
    }
    if (rc == SS_OK)
        qsort(x->losses, (size_t)x->n_losses, sizeof *x->losses, larger_first);
    ss_free(mean[0]);
    ss_free(mean[1]);
    return rc;
}

ss_code ss_compare_inputs_find(const ss_compare *c, const char *name, ss_compare_inputs *x,
                               ss_err *e)
{
    ss_code rc;

    *x = (ss_compare_inputs){0};
    snprintf(x->titles[0], sizeof x->titles[0], "inputs %.12s", name);
    snprintf(x->titles[1], sizeof x->titles[1], "loss %.12s", name);
    if ((rc = find_spectra(&c->aligned, x, e)) != SS_OK ||
        (rc = find_losses(&c->aligned, x, e)) != SS_OK)
        ss_compare_inputs_release(x);
    return rc;
}

void ss_compare_inputs_release(ss_compare_inputs *x)
{
    ss_free(x->spectra);
    ss_free(x->losses);
    *x = (ss_compare_inputs){0};
}

ss_code ss_compare_spectra_table(const ss_compare *c, const ss_compare_inputs *x, ss_table *t,
                                 ss_err *e)
{
    const ss_aligned *a = &c->aligned;
    const ss_run *r = a->runs[0];
    double most = 0;
    ss_code rc = ss_table_init(t, x->titles[0], e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "input", SS_COL_TEXT, NULL);
    ss_table_column(t, "dB", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, "cycles", SS_COL_NUMBER, "%.4g");
    for (int i = 0; i < x->n_spectra; i++) {
        const ss_spectrum_row *s = &x->spectra[i];

        ss_table_row(t);
        ss_table_text(t, r->inputs[ss_align_input(a, s->input, 0)]);
        ss_table_number(t, s->decibel);
        ss_table_number(t, r->sigmas[ss_align_sigma(a, s->sigma, 0)]);
        ss_table_number(t, r->radii[s->radius]);
        most = fmax(most, fabs(s->decibel));
    }
    if (x->n_spectra == 0)
        ss_table_note(t, "the runs have no spectra of the same rings");
    else if (most < 0.01)
        ss_table_note(t, "power spectra of what the networks saw: the same, within %.2g dB", most);
    else
        ss_table_note(t, "THE NETWORKS SAW DIFFERENT INPUTS: power spectra where B differs most "
                         "from A, in dB");
    return SS_OK;
}

ss_code ss_compare_loss_table(const ss_compare *c, const ss_compare_inputs *x, int top, ss_table *t,
                              ss_err *e)
{
    const ss_aligned *a = &c->aligned;
    const ss_run *r = a->runs[0];
    const int shown = top < x->n_losses ? top : x->n_losses;
    ss_code rc = ss_table_init(t, x->titles[1], e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "input", SS_COL_TEXT, NULL);
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, "A", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "B", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "difference", SS_COL_NUMBER, "%.3g");
    for (int i = 0; i < shown; i++) {
        const ss_loss_row *l = &x->losses[i];

        ss_table_row(t);
        ss_table_text(t, r->inputs[ss_align_input(a, l->input, 0)]);
        ss_table_number(t, r->sigmas[ss_align_sigma(a, l->sigma, 0)]);
        ss_table_number(t, l->loss[0]);
        ss_table_number(t, l->loss[1]);
        ss_table_number(t, l->loss[1] - l->loss[0]);
    }
    if (x->n_losses)
        ss_table_note(t,
                      "denoising loss, mean over samples, B - A%s; %d of %d pairs "
                      "of input and "
                      "noise level, those that differ most",
                      isinf(distance(&x->losses[0])) ? "; inf: INF OR NaN" : "", shown,
                      x->n_losses);
    else
        ss_table_note(t, "no loss is known in both runs");
    return SS_OK;
}
