/* growth.c - see growth.h */
#include "analyze/one/growth.h"

#include "analyze/math/median.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static ss_growth_curve curve_of(const double *sigma, const double *y, int n)
{
    return (ss_growth_curve){
        .low = y[0],
        .mid = y[n / 2],
        .high = y[n - 1],
        .ratio = y[n - 1] / y[0],
        .slope = ss_log_slope(sigma, y, n),
    };
}

static void find_peak(const ss_run *r, const float *absmax, int input, ss_growth_row *row)
{
    row->peak = NAN;
    row->peak_sigma = row->peak_input = -1;
    for (int i = 0; i < r->n_inputs; i++) {
        for (int s = 0; s < r->n_sigmas && (input == SS_ALL || input == i); s++) {
            double v = ss_site_peak(r, absmax, row->site, i, s);

            if (!isnan(v) && !(v <= row->peak)) {
                row->peak = v;
                row->peak_sigma = s;
                row->peak_input = i;
            }
        }
    }
}

/* Finds the sample of the peak, and, of a text encoder, how far the token is above the others;
 * scratch: [n_samples]. */
static void find_token(const ss_run *r, const float *absmax, const uint64_t *nonfinite,
                       double *scratch, ss_growth_row *row)
{
    row->peak_sample = -1;
    row->over_median = NAN;
    if (row->peak_input < 0)
        return;
    row->peak_sample =
        ss_site_largest_sample(r, absmax, nonfinite, row->site, row->peak_input, row->peak_sigma);
    if (row->peak_sample < 0 || !ss_run_is_text(r))
        return;
    for (int n = 0; n < r->n_samples; n++)
        scratch[n] = absmax[ss_run_at(r, row->site.module, row->site.port, row->peak_input,
                                      row->peak_sigma, n)];
    row->over_median = row->peak / ss_median(scratch, r->n_samples);
}

static int larger_first(const void *a, const void *b)
{
    const ss_growth_row *x = a, *y = b;

    if (isnan(x->peak) || isnan(y->peak))
        return isnan(x->peak) - isnan(y->peak);
    if (x->peak != y->peak)
        return x->peak < y->peak ? 1 : -1;
    if (x->site.module != y->site.module)
        return x->site.module < y->site.module ? -1 : 1;
    return (x->site.port > y->site.port) - (x->site.port < y->site.port);
}

ss_code ss_growth_find(ss_run *r, const ss_sites *sites, int input, ss_growth *g, ss_err *e)
{
    const float *absmax, *rms;
    const size_t room = (size_t)r->n_sigmas;
    int *order = ss_sigma_order(r);
    double *sigma = ss_alloc(room, sizeof *sigma), *y = ss_alloc(room, sizeof *y);
    double *tokens = ss_alloc((size_t)r->n_samples, sizeof *tokens);
    const uint64_t *nonfinite = NULL;
    ss_code rc = SS_OK;

    *g = (ss_growth){.low = -1, .mid = -1, .high = -1, .input = input};
    g->title = ss_table_title("growth", input == SS_ALL ? "" : r->inputs[input]);
    g->rows = ss_calloc((size_t)sites->n, sizeof *g->rows);
    if (!order || !sigma || !y || !tokens || !g->rows || !g->title)
        rc = ss_no_memory(e, r->path);
    else if ((rc = ss_run_stat(r, "absmax", &absmax, e)) == SS_OK)
        rc = ss_run_stat(r, "rms", &rms, e);
    if (rc == SS_OK)
        rc = ss_run_nonfinite(r, &nonfinite, e);
    if (rc != SS_OK || r->n_done == 0)
        goto out;

    g->low = order[0];
    g->mid = order[r->n_done / 2];
    g->high = order[r->n_done - 1];
    for (int k = 0; k < r->n_done; k++)
        sigma[k] = r->sigmas[order[k]];
    for (int i = 0; i < sites->n; i++) {
        ss_growth_row *row = &g->rows[g->n++];

        row->site = sites->site[i];
        find_peak(r, absmax, input, row);
        find_token(r, absmax, nonfinite, tokens, row);
        for (int k = 0; k < r->n_done; k++)
            y[k] = ss_site_peak(r, absmax, row->site, input, order[k]);
        row->absmax = curve_of(sigma, y, r->n_done);
        for (int k = 0; k < r->n_done; k++)
            y[k] = rms ? ss_site_rms(r, rms, row->site, input, order[k]) : NAN;
        row->rms = curve_of(sigma, y, r->n_done);
    }
    qsort(g->rows, (size_t)g->n, sizeof *g->rows, larger_first);
out:
    ss_free(order);
    ss_free(sigma);
    ss_free(y);
    ss_free(tokens);
    if (rc != SS_OK)
        ss_growth_release(g);
    return rc;
}

void ss_growth_release(ss_growth *g)
{
    ss_free(g->rows);
    ss_free(g->title);
    *g = (ss_growth){0};
}

static void note(const ss_run *r, const ss_growth *g, int shown, ss_table *t)
{
    char rest[160] = "";

    if (g->low < 0) {
        ss_table_note(t, "no noise level is finished");
        return;
    }
    if (shown < g->n)
        snprintf(rest, sizeof rest, "; %d more, each at most %.4g", g->n - shown,
                 g->rows[shown].peak);
    ss_table_note(t,
                  "largest |x| that modules put out, over samples, at sigma %g, %g, %g, ratio of "
                  "the outer two, slope over ln sigma%s%s%s%s",
                  r->sigmas[g->low], r->sigmas[g->mid], r->sigmas[g->high],
                  isinf(r->sigmas[g->high]) ? " (of finite sigma)" : "",
                  g->input == SS_ALL ? "" : "; input ",
                  g->input == SS_ALL ? "" : r->inputs[g->input], rest);
}

/* Fills the table of a text encoder, whose values grow over tokens and not over noise levels. */
static void table_of_tokens(const ss_run *r, const ss_growth *g, int shown, ss_table *t)
{
    char name[512];

    ss_fold_columns(t);
    ss_table_column(t, "largest", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "token", SS_COL_TEXT, NULL);
    ss_table_column(t, "prompt", SS_COL_TEXT, NULL);
    ss_table_column(t, "over median", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "rms", SS_COL_NUMBER, "%.3g");
    for (int i = 0; i < shown; i++) {
        const ss_growth_row *x = &g->rows[i];
        const bool known = x->peak_input >= 0;

        ss_table_row(t);
        ss_fold_cells(t, r, x->site);
        ss_table_number(t, x->peak);
        ss_table_text(t, known ? ss_run_sample_label(r, x->peak_sigma, x->peak_input,
                                                     x->peak_sample, name, sizeof name)
                               : "-");
        ss_table_text(t, known ? r->inputs[x->peak_input] : "-");
        ss_table_number(t, x->over_median);
        ss_table_number(t, x->rms.low);
    }
    if (g->low < 0)
        ss_table_note(t, "no prompt is finished");
    else
        ss_table_note(t,
                      "largest |x| that modules put out, over prompts and tokens, how many times "
                      "that of the prompt's median token, and RMS over all; %d of %d places",
                      shown, g->n);
}

ss_code ss_growth_table(const ss_run *r, const ss_growth *g, int top, ss_table *t, ss_err *e)
{
    static const char *const columns[] = {"low",     "mid",      "high",      "ratio",    "slope",
                                          "rms low", "rms high", "rms ratio", "rms slope"};
    int shown = top < g->n ? top : g->n;
    ss_code rc = ss_table_init(t, g->title, e);

    if (rc != SS_OK)
        return rc;
    if (ss_run_is_text(r)) {
        table_of_tokens(r, g, shown, t);
        return SS_OK;
    }
    ss_fold_columns(t);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        ss_table_column(t, columns[i], SS_COL_NUMBER, "%.3g");
    for (int i = 0; i < shown; i++) {
        const ss_growth_row *x = &g->rows[i];
        const double cells[] = {x->absmax.low,   x->absmax.mid,   x->absmax.high,
                                x->absmax.ratio, x->absmax.slope, x->rms.low,
                                x->rms.high,     x->rms.ratio,    x->rms.slope};

        ss_table_row(t);
        ss_fold_cells(t, r, x->site);
        for (size_t k = 0; k < sizeof cells / sizeof *cells; k++)
            ss_table_number(t, cells[k]);
    }
    note(r, g, shown, t);
    return SS_OK;
}
