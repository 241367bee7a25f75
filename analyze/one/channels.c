/* channels.c - see channels.h */
#include "analyze/one/channels.h"

#include "analyze/math/median.h"
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
    ss_channel_row *rows;
    int *counts;   /* [channel] noise levels and inputs at which it is an outlier */
    bool *is_dead; /* [channel] it was dead at all of them so far */
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

/* Notes one noise level and input in the rows of a site. True when it has statistics there. */
static bool add_cell(const stats *s, ss_site site, int input, int sigma)
{
    const float *absmax = cell(s, s->absmax, site, input, sigma);
    const float *rms = cell(s, s->rms, site, input, sigma);
    const double usual_absmax = median_of(s, absmax), usual_rms = median_of(s, rms);

    if (isnan(usual_absmax) && isnan(usual_rms))
        return false;
    for (int64_t c = 0; c < s->channels; c++) {
        ss_channel_row *row = &s->rows[c];
        const double a = ratio(absmax[c], usual_absmax), b = ratio(rms[c], usual_rms);

        if (!(fmax(a, b) <= fmax(row->absmax_ratio, row->rms_ratio))) {
            row->sigma = sigma;
            row->input = input;
        }
        row->absmax_ratio = fmax(row->absmax_ratio, a);
        row->rms_ratio = fmax(row->rms_ratio, b);
        row->absmax = fmax(row->absmax, absmax[c]);
        s->counts[c] += reaches(a) || reaches(b);
        s->is_dead[c] &= rms[c] <= SS_DEAD * usual_rms; /* false of NaN */
    }
    return true;
}

/* Room for one more row in each of the lists. */
typedef struct {
    size_t rows, dead;
} capacity;

static ss_code add_outlier(const stats *s, const ss_channel_row *row, ss_channels *k, size_t *cap,
                           ss_err *e)
{
    ss_channel_row *grown = ss_grow(k->rows, cap, k->n + 1, sizeof *grown);

    if (!grown)
        return ss_no_memory(e, s->r->path);
    k->rows = grown;
    k->rows[k->n++] = *row;
    return SS_OK;
}

/* Appends the dead channels of one site, if it has any. n_channels: that it has at all. */
static ss_code add_dead(const stats *s, ss_site site, int64_t n_channels, ss_channels *k,
                        size_t *cap, ss_err *e)
{
    ss_dead_row row = {.site = site, .n_channels = n_channels};
    size_t at = 0;

    for (int64_t c = 0; c < s->channels; c++) {
        if (!s->is_dead[c])
            continue;
        if (at + 24 < sizeof row.list)
            at += (size_t)snprintf(row.list + at, sizeof row.list - at, "%s%lld", row.n ? ", " : "",
                                   (long long)c);
        else if (at + 5 < sizeof row.list)
            at += (size_t)snprintf(row.list + at, sizeof row.list - at, ", ...") + sizeof row.list;
        row.n++;
    }
    if (!row.n)
        return SS_OK;
    ss_dead_row *grown = ss_grow(k->dead, cap, k->n_dead_sites + 1, sizeof *grown);
    if (!grown)
        return ss_no_memory(e, s->r->path);
    k->dead = grown;
    k->dead[k->n_dead_sites++] = row;
    k->n_dead += row.n;
    return SS_OK;
}

/* Appends what stands out at one site. */
static ss_code add_site(const stats *s, ss_site site, ss_channels *k, capacity *cap, ss_err *e)
{
    const size_t before = k->n;
    int64_t n_channels = 0;
    int n_cells = 0;
    ss_code rc = SS_OK;

    for (int64_t c = 0; c < s->channels; c++) {
        s->rows[c] = (ss_channel_row){site, c, NAN, NAN, 0, 0, NAN, 0};
        s->counts[c] = 0;
        s->is_dead[c] = true;
    }
    for (int i = 0; i < s->r->n_inputs; i++) {
        for (int g = 0; g < s->r->n_sigmas; g++)
            n_cells += s->r->done[g] && add_cell(s, site, i, g);
    }
    if (!n_cells)
        return SS_OK;
    k->n_sites++;
    for (int64_t c = 0; c < s->channels && rc == SS_OK; c++) {
        n_channels += !isnan(s->rows[c].absmax);
        if (!s->counts[c])
            continue;
        s->rows[c].share = (double)s->counts[c] / n_cells;
        rc = add_outlier(s, &s->rows[c], k, &cap->rows, e);
    }
    k->n_channels += n_channels;
    k->n_sites_with += k->n > before;
    return rc == SS_OK ? add_dead(s, site, n_channels, k, &cap->dead, e) : rc;
}

/* The module under whose name the file has the channels of a site: its own, or a container that is
 * folded into it; -1: none. */
static int holder_of(ss_run *r, ss_site s)
{
    int64_t channels;

    while (s.module >= 0 && !ss_run_has_channels(r, s.module, &channels))
        s.module = ss_fold_around(r, s);
    return s.module;
}

/* The produced ports of one module. */
static ss_code add_module(ss_run *r, int module, const ss_sites *sites, ss_channels *k,
                          capacity *cap, ss_err *e)
{
    stats s = {.r = r};
    ss_code rc = SS_OK;

    if (!ss_run_has_channels(r, module, &s.channels) || s.channels < SS_OUTLIER_MIN)
        return SS_OK;
    const size_t n = (size_t)s.channels;
    const size_t all = n * (size_t)r->n_ports * (size_t)r->n_inputs * (size_t)r->n_sigmas;

    s.rows = ss_alloc(n, sizeof *s.rows);
    s.counts = ss_alloc(n, sizeof *s.counts);
    s.is_dead = ss_alloc(n, sizeof *s.is_dead);
    s.absmax = ss_alloc(all, sizeof *s.absmax);
    s.rms = ss_alloc(all, sizeof *s.rms);
    s.scratch = ss_alloc(n, sizeof *s.scratch);
    if (!s.rows || !s.counts || !s.is_dead || !s.absmax || !s.rms || !s.scratch)
        rc = ss_fail(e, SS_NOMEM, "%s: channels of %s: out of memory", r->path, r->modules[module]);
    if (rc == SS_OK)
        rc = ss_run_channel_stats(r, module, "absmax", s.absmax, e);
    if (rc == SS_OK)
        rc = ss_run_channel_stats(r, module, "rms", s.rms, e);
    for (int i = 0; i < sites->n && rc == SS_OK; i++) {
        if (holder_of(r, sites->site[i]) == module)
            rc = add_site(&s, sites->site[i], k, cap, e);
    }
    ss_free(s.rows);
    ss_free(s.counts);
    ss_free(s.is_dead);
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

static int deadest_first(const void *a, const void *b)
{
    const ss_dead_row *x = a, *y = b;
    const double p = (double)x->n / (double)x->n_channels;
    const double q = (double)y->n / (double)y->n_channels;

    if (p != q)
        return p < q ? 1 : -1;
    if (x->site.module != y->site.module)
        return x->site.module < y->site.module ? -1 : 1;
    return (x->site.port > y->site.port) - (x->site.port < y->site.port);
}

ss_code ss_channels_find(ss_run *r, const ss_sites *sites, ss_channels *k, ss_err *e)
{
    capacity cap = {0};
    ss_code rc = SS_OK;

    *k = (ss_channels){0};
    for (int m = 0; m < r->n_modules && rc == SS_OK; m++)
        rc = add_module(r, m, sites, k, &cap, e);
    if (rc != SS_OK)
        ss_channels_release(k);
    if (k->n)
        qsort(k->rows, k->n, sizeof *k->rows, larger_first);
    if (k->n_dead_sites)
        qsort(k->dead, k->n_dead_sites, sizeof *k->dead, deadest_first);
    return rc;
}

void ss_channels_release(ss_channels *k)
{
    ss_free(k->rows);
    ss_free(k->dead);
    *k = (ss_channels){0};
}

ss_code ss_channels_table(const ss_run *r, const ss_channels *k, int top, ss_table *t, ss_err *e)
{
    size_t always = 0;
    ss_code rc = ss_table_init(t, "outlier channels", e);

    if (rc != SS_OK)
        return rc;
    ss_fold_columns(t);
    ss_table_column(t, "channel", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "rms ratio", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "absmax ratio", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, "input", SS_COL_TEXT, NULL);
    ss_table_column(t, "largest", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "share", SS_COL_NUMBER, "%.2f");
    for (size_t i = 0; i < k->n; i++) {
        const ss_channel_row *row = &k->rows[i];

        always += row->share == 1;
        if (i >= (size_t)top)
            continue;
        ss_table_row(t);
        ss_fold_cells(t, r, row->site);
        ss_table_number(t, (double)row->channel);
        ss_table_number(t, row->rms_ratio);
        ss_table_number(t, row->absmax_ratio);
        ss_table_number(t, r->sigmas[row->sigma]);
        ss_table_text(t, r->inputs[row->input]);
        ss_table_number(t, row->absmax);
        ss_table_number(t, row->share);
    }
    if (ss_run_is_text(r))
        ss_table_drop(t, "sigma");
    ss_table_note(t,
                  "%zu of %lld channels, in %d of %d places, reach %d times their place's median; "
                  "share of noise levels and inputs; %zu always do",
                  k->n, (long long)k->n_channels, k->n_sites_with, k->n_sites, SS_OUTLIER, always);
    return SS_OK;
}

ss_code ss_dead_table(const ss_run *r, const ss_channels *k, int top, ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, "dead channels", e);

    if (rc != SS_OK)
        return rc;
    ss_fold_columns(t);
    ss_table_column(t, "dead", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "of", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "channels", SS_COL_TEXT, NULL);
    for (size_t i = 0; i < k->n_dead_sites && i < (size_t)top; i++) {
        const ss_dead_row *row = &k->dead[i];

        ss_table_row(t);
        ss_fold_cells(t, r, row->site);
        ss_table_number(t, (double)row->n);
        ss_table_number(t, (double)row->n_channels);
        ss_table_text(t, row->list);
    }
    ss_table_note(t,
                  "%lld of %lld channels, in %zu of %d places, have an RMS of 0, or of at most %g "
                  "times their place's median, at all noise levels and inputs",
                  (long long)k->n_dead, (long long)k->n_channels, k->n_dead_sites, k->n_sites,
                  SS_DEAD);
    return SS_OK;
}
