/* channels.c - see channels.h */
#include "analyze/channels.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The statistics of one module. */
typedef struct {
    const ss_run *r;
    int64_t channels;
    float *absmax, *rms; /* [port][input][sigma][channel] */
    double *scratch;     /* [channel] */
} stats;

static const float *cell(const stats *s, const float *x, ss_site site, int input, int sigma)
{
    const int64_t row = ((int64_t)site.port * s->r->n_inputs + input) * s->r->n_sigmas + sigma;

    return x + row * s->channels;
}

static double median_of(const stats *s, const float *x)
{
    for (int64_t c = 0; c < s->channels; c++)
        s->scratch[c] = isfinite(x[c]) ? x[c] : NAN;
    return ss_median(s->scratch, (int)s->channels);
}

/* x / median where that is above 0, else NaN. */
static double ratio(double x, double median)
{
    return median > 0 ? x / median : NAN;
}

static bool reaches(double x)
{
    return x >= SS_OUTLIER;
}

/* Notes one noise level and input in the rows of a site, [channel]; counts holds how often
 * each channel was an outlier. True when the site has statistics there. */
static bool add_cell(const stats *s, ss_site site, int input, int sigma, ss_channel_row *rows,
                     int *counts)
{
    const float *absmax = cell(s, s->absmax, site, input, sigma);
    const float *rms = cell(s, s->rms, site, input, sigma);
    const double usual_absmax = median_of(s, absmax), usual_rms = median_of(s, rms);

    if (isnan(usual_absmax) && isnan(usual_rms))
        return false;
    for (int64_t c = 0; c < s->channels; c++) {
        ss_channel_row *row = &rows[c];
        const double a = ratio(absmax[c], usual_absmax), b = ratio(rms[c], usual_rms);

        if (!(fmax(a, b) <= fmax(row->absmax_ratio, row->rms_ratio))) {
            row->sigma = sigma;
            row->input = input;
        }
        row->absmax_ratio = fmax(row->absmax_ratio, a);
        row->rms_ratio = fmax(row->rms_ratio, b);
        row->absmax = fmax(row->absmax, absmax[c]);
        counts[c] += reaches(a) || reaches(b);
    }
    return true;
}

/* Appends the outliers of one site. rows and counts: room for each channel. */
static ss_code add_site(const stats *s, ss_site site, ss_channel_row *rows, int *counts,
                        ss_channels *k, size_t *cap, ss_err *e)
{
    const size_t before = k->n;
    int n_cells = 0;

    for (int64_t c = 0; c < s->channels; c++) {
        rows[c] = (ss_channel_row){site, c, NAN, NAN, 0, 0, NAN, 0};
        counts[c] = 0;
    }
    for (int i = 0; i < s->r->n_inputs; i++) {
        for (int g = 0; g < s->r->n_sigmas; g++)
            n_cells += s->r->done[g] && add_cell(s, site, i, g, rows, counts);
    }
    if (!n_cells)
        return SS_OK;
    k->n_sites++;
    for (int64_t c = 0; c < s->channels; c++) {
        k->n_channels += !isnan(rows[c].absmax);
        if (!counts[c])
            continue;
        ss_channel_row *grown = ss_grow(k->rows, cap, k->n + 1, sizeof *grown);
        if (!grown)
            return ss_fail(e, SS_NOMEM, "%s: out of memory", s->r->path);
        k->rows = grown;
        rows[c].share = (double)counts[c] / n_cells;
        k->rows[k->n++] = rows[c];
    }
    k->n_sites_with += k->n > before;
    return SS_OK;
}

/* The produced ports of one module. */
static ss_code add_module(ss_run *r, int module, const ss_sites *sites, ss_channels *k, size_t *cap,
                          ss_err *e)
{
    stats s = {.r = r};
    ss_code rc = SS_OK;

    if (!ss_run_has_channels(r, module, &s.channels) || s.channels < SS_OUTLIER_MIN)
        return SS_OK;
    const size_t n = (size_t)s.channels;
    const size_t all = n * (size_t)r->n_ports * (size_t)r->n_inputs * (size_t)r->n_sigmas;
    ss_channel_row *rows = ss_alloc(n, sizeof *rows);
    int *counts = ss_alloc(n, sizeof *counts);

    s.absmax = ss_alloc(all, sizeof *s.absmax);
    s.rms = ss_alloc(all, sizeof *s.rms);
    s.scratch = ss_alloc(n, sizeof *s.scratch);
    if (!rows || !counts || !s.absmax || !s.rms || !s.scratch)
        rc = ss_fail(e, SS_NOMEM, "%s: channels of %s: out of memory", r->path, r->modules[module]);
    if (rc == SS_OK)
        rc = ss_run_channel_stats(r, module, "absmax", s.absmax, e);
    if (rc == SS_OK)
        rc = ss_run_channel_stats(r, module, "rms", s.rms, e);
    for (int i = 0; i < sites->n && rc == SS_OK; i++) {
        if (sites->site[i].module == module)
            rc = add_site(&s, sites->site[i], rows, counts, k, cap, e);
    }
    ss_free(rows);
    ss_free(counts);
    ss_free(s.absmax);
    ss_free(s.rms);
    ss_free(s.scratch);
    return rc;
}

static int larger_first(const void *a, const void *b)
{
    const ss_channel_row *x = a, *y = b;

    if (x->absmax != y->absmax)
        return x->absmax < y->absmax ? 1 : -1;
    if (x->site.module != y->site.module)
        return x->site.module < y->site.module ? -1 : 1;
    if (x->site.port != y->site.port)
        return x->site.port < y->site.port ? -1 : 1;
    return (x->channel > y->channel) - (x->channel < y->channel);
}

ss_code ss_channels_find(ss_run *r, const ss_sites *sites, ss_channels *k, ss_err *e)
{
    size_t cap = 0;
    ss_code rc = SS_OK;

    *k = (ss_channels){0};
    for (int m = 0; m < r->n_modules && rc == SS_OK; m++)
        rc = add_module(r, m, sites, k, &cap, e);
    if (rc != SS_OK)
        ss_channels_release(k);
    else if (k->n)
        qsort(k->rows, k->n, sizeof *k->rows, larger_first);
    return rc;
}

void ss_channels_release(ss_channels *k)
{
    ss_free(k->rows);
    *k = (ss_channels){0};
}

ss_code ss_channels_table(const ss_run *r, const ss_channels *k, int top, ss_table *t, ss_err *e)
{
    char name[512];
    size_t always = 0;
    ss_code rc = ss_table_init(t, "outlier channels", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "module", SS_COL_TEXT, NULL);
    ss_table_column(t, "channel", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "rms ratio", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "absmax ratio", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "sigma", SS_COL_NUMBER, "%g");
    ss_table_column(t, "input", SS_COL_TEXT, NULL);
    ss_table_column(t, "largest", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "share", SS_COL_NUMBER, "%.2f");
    for (size_t i = 0; i < k->n; i++) {
        const ss_channel_row *row = &k->rows[i];

        always += row->share == 1;
        if (i >= (size_t)top)
            continue;
        ss_table_row(t);
        ss_table_text(t, ss_site_name(r, row->site, name, sizeof name));
        ss_table_number(t, (double)row->channel);
        ss_table_number(t, row->rms_ratio);
        ss_table_number(t, row->absmax_ratio);
        ss_table_number(t, r->sigmas[row->sigma]);
        ss_table_text(t, r->inputs[row->input]);
        ss_table_number(t, row->absmax);
        ss_table_number(t, row->share);
    }
    ss_table_note(t,
                  "%zu of %lld channels, in %d of %d places, reach %d times their place's median; "
                  "share of noise levels and inputs; %zu always do",
                  k->n, (long long)k->n_channels, k->n_sites_with, k->n_sites, SS_OUTLIER, always);
    return SS_OK;
}
