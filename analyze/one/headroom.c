/* headroom.c - see headroom.h */
#include "analyze/one/headroom.h"

#include "base/mem.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BIAS = 127, NONFINITE = SS_N_EXPONENTS - 1 };

bool ss_overflows(const ss_format *f, double x)
{
    ss_format g = *f;

    g.saturate = false;
    return !isnan(x) && !isfinite(ss_format_round(&g, (float)x));
}

double ss_headroom_bits(const ss_format *f, double x)
{
    const double bits = log2(f->max / x);

    return bits < 0 && !ss_overflows(f, x) ? 0 : bits;
}

/* Counts the values with an exponent from lo to hi, both unbiased and included. Zero and
 * subnormal numbers have none. */
static double count_exponents(const uint64_t *counts, int lo, int hi)
{
    double sum = 0;

    for (int e = lo < 1 - BIAS ? 1 - BIAS : lo; e <= hi && e <= BIAS; e++)
        sum += (double)counts[e + BIAS];
    return sum;
}

ss_range ss_range_of(const uint64_t *counts, const ss_format *f, double absmax)
{
    const int over = ss_format_over_from(f);
    const int normal = ilogb(f->min_normal), subnormal = ilogb(f->min_subnormal);
    ss_range g = {.nonfinite = (double)counts[NONFINITE], .zero = (double)counts[0]};

    for (int i = 0; i < SS_N_EXPONENTS; i++)
        g.total += (double)counts[i];
    g.flush = count_exponents(counts, -BIAS, subnormal - 2) / g.total;
    g.denormal = count_exponents(counts, subnormal - 1, normal - 1) / g.total;
    g.over_least = count_exponents(counts, over, BIAS) / g.total;
    g.over_most = count_exponents(counts, over - 1, BIAS) / g.total;
    if (!isnan(absmax) && !ss_overflows(f, absmax))
        g.over_most = g.over_least = g.total > 0 ? 0 : NAN;
    else if (!isnan(absmax) && g.over_least == 0)
        g.over_least = 1 / g.total; /* absmax itself */
    if (g.over_most < g.over_least) /* a histogram of large values only (kernels/inner.c) */
        g.over_most = 1;
    g.zero /= g.total; /* 0/0: NaN */
    g.nonfinite /= g.total;
    return g;
}

/* Ports that a module produces, as SS_SITES_PRODUCED. */
static bool is_produced(const ss_run *r, int port)
{
    return strcmp(r->ports[port], "input") != 0 && strcmp(r->ports[port], "skip") != 0;
}

/* Counts weights only where they overflow: smaller ones say nothing about activations. */
static void find_weight(const ss_headroom *h, double weight, ss_site s, ss_headroom_row *row)
{
    for (int f = 0; f < h->n_formats; f++)
        if (ss_overflows(&h->formats[f], weight) && !(weight <= row->peak)) {
            row->peak = weight;
            row->at = s;
            row->weights = true;
            row->sigma = row->input = row->sample = -1;
        }
}

static void find_peak(const ss_run *r, const float *absmax, ss_site s, ss_headroom_row *row)
{
    for (int i = 0; i < r->n_inputs; i++) {
        for (int k = 0; k < r->n_sigmas; k++) {
            double v = ss_site_peak(r, absmax, s, i, k);

            if (!isnan(v) && !(v <= row->peak)) {
                row->peak = v;
                row->at = s;
                row->weights = false;
                row->sigma = k;
                row->input = i;
            }
        }
    }
}

/* Counts of the module's produced ports, over inputs and noise levels. */
static void sum_hist(const ss_run *r, const uint64_t *hist, uint64_t *sum)
{
    const int rows = r->n_inputs * r->n_sigmas;

    memset(sum, 0, SS_N_EXPONENTS * sizeof *sum);
    for (int p = 0; p < r->n_ports; p++) {
        for (int k = 0; k < rows && is_produced(r, p); k++) {
            const uint64_t *c = hist + ((int64_t)p * rows + k) * SS_N_EXPONENTS;

            for (int i = 0; i < SS_N_EXPONENTS; i++)
                sum[i] += c[i];
        }
    }
}

static int least_first(const void *a, const void *b)
{
    const ss_headroom_row *x = a, *y = b;

    if (isnan(x->peak) || isnan(y->peak))
        return isnan(x->peak) - isnan(y->peak);
    if (x->peak != y->peak)
        return x->peak < y->peak ? 1 : -1;
    return (x->module > y->module) - (x->module < y->module);
}

static void fill_row(ss_headroom *h, ss_headroom_row *row, const uint64_t *sum)
{
    static const uint64_t nothing[SS_N_EXPONENTS];

    for (int f = 0; f < h->n_formats; f++) {
        row->bits[f] = ss_headroom_bits(&h->formats[f], row->peak);
        row->range[f] =
            ss_range_of(h->has_hist && row->produced ? sum : nothing, &h->formats[f], NAN);
        h->n_negative[f] += row->bits[f] < 0;
    }
}

ss_code ss_headroom_find(ss_run *r, const ss_sites *sites, const ss_format *formats, int n_formats,
                         ss_headroom *h, ss_err *e)
{
    const float *absmax, *weights = NULL;
    const uint64_t *nonfinite = NULL;
    uint64_t sum[SS_N_EXPONENTS];
    uint64_t *hist = NULL;
    int *row_of = ss_alloc((size_t)r->n_modules, sizeof *row_of);
    ss_code rc = ss_run_stat(r, "absmax", &absmax, e);

    assert(n_formats <= SS_MAX_FORMATS);
    if (rc == SS_OK)
        rc = ss_run_nonfinite(r, &nonfinite, e);
    if (rc == SS_OK)
        rc = ss_run_module_weights(r, &weights, e);
    *h = (ss_headroom){.formats = formats, .n_formats = n_formats, .has_hist = ss_run_has_hist(r)};
    h->rows = ss_calloc((size_t)r->n_modules, sizeof *h->rows);
    if (h->has_hist)
        hist = ss_alloc((size_t)r->n_ports * (size_t)r->n_inputs * (size_t)r->n_sigmas,
                        SS_N_EXPONENTS * sizeof *hist);
    if (rc == SS_OK && (!row_of || !h->rows || (h->has_hist && !hist)))
        rc = ss_no_memory(e, r->path);
    if (rc != SS_OK)
        goto out;

    for (int m = 0; m < r->n_modules; m++)
        row_of[m] = -1;
    for (int i = 0; i < sites->n; i++) {
        const ss_site s = sites->site[i];

        if (!ss_site_is_stored(r, s))
            continue;
        if (row_of[s.module] < 0) {
            row_of[s.module] = h->n;
            h->rows[h->n++] = (ss_headroom_row){
                .module = s.module, .at = s, .peak = NAN, .sigma = -1, .input = -1, .sample = -1};
        }
        find_peak(r, absmax, s, &h->rows[row_of[s.module]]);
        find_weight(h, ss_site_weight(r, weights, s), s, &h->rows[row_of[s.module]]);
        h->rows[row_of[s.module]].produced |= is_produced(r, s.port);
        h->rows[row_of[s.module]].bad |= ss_site_count(r, nonfinite, s, SS_ALL, SS_ALL) > 0;
    }
    for (int i = 0; i < h->n && rc == SS_OK; i++) {
        if (h->rows[i].input >= 0)
            h->rows[i].sample = ss_site_largest_sample(r, absmax, nonfinite, h->rows[i].at,
                                                       h->rows[i].input, h->rows[i].sigma);
        if (h->has_hist && h->rows[i].produced)
            rc = ss_run_hist(r, h->rows[i].module, hist, e);
        if (rc == SS_OK && h->has_hist && h->rows[i].produced)
            sum_hist(r, hist, sum);
        if (rc == SS_OK)
            fill_row(h, &h->rows[i], sum);
        h->n_bad += h->rows[i].bad;
    }
    if (rc == SS_OK)
        qsort(h->rows, (size_t)h->n, sizeof *h->rows, least_first);
out:
    ss_free(hist);
    ss_free(row_of);
    if (rc != SS_OK)
        ss_headroom_release(h);
    return rc;
}

void ss_headroom_release(ss_headroom *h)
{
    ss_free(h->rows);
    *h = (ss_headroom){0};
}

ss_code ss_headroom_table(const ss_run *r, const ss_headroom *h, int top, ss_table *t, ss_err *e)
{
    const int shown = top < h->n ? top : h->n;
    const bool tokens = ss_run_is_text(r);
    char label[200], over[256] = "", bad[96] = "";
    ss_code rc = ss_table_init(t, "headroom", e);

    if (rc != SS_OK)
        return rc;
    ss_fold_columns(t);
    for (int f = 0; f < h->n_formats; f++)
        ss_table_column(t, h->formats[f].name, SS_COL_NUMBER, "%.1f");
    ss_table_column(t, "largest", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, tokens ? "token" : "sigma", tokens ? SS_COL_TEXT : SS_COL_AXIS, NULL);
    ss_table_column(t, "overflows", SS_COL_TEXT, NULL);
    for (int i = 0; i < shown; i++) {
        const ss_headroom_row *x = &h->rows[i];

        ss_table_row(t);
        (x->weights ? ss_fold_weights_cells : ss_fold_cells)(t, r, x->at);
        snprintf(over, sizeof over, "%s", x->bad ? "INF OR NaN" : "");
        for (int f = 0; f < h->n_formats; f++) {
            size_t n = strlen(over);

            ss_table_number(t, x->bits[f]);
            if (x->bits[f] < 0)
                snprintf(over + n, sizeof over - n, "%s%s", n ? " " : "", h->formats[f].name);
        }
        ss_table_number(t, x->peak);
        if (tokens)
            ss_table_text(t, x->input < 0 ? "-"
                                          : ss_run_sample_label(r, x->sigma, x->input, x->sample,
                                                                label, sizeof label));
        else
            ss_table_number(t, x->sigma >= 0 ? r->sigmas[x->sigma] : NAN);
        ss_table_text(t, over);
    }
    over[0] = '\0';
    for (int f = 0; f < h->n_formats; f++) {
        size_t n = strlen(over);

        snprintf(over + n, sizeof over - n, "; %d over %s (%.5g)", h->n_negative[f],
                 h->formats[f].name, h->formats[f].max);
    }
    if (h->n_bad)
        snprintf(bad, sizeof bad, "INF OR NaN in %d modules; of what is finite: ", h->n_bad);
    ss_table_note(t,
                  "%sbits left to the largest value of each format over all ports, least first; %d "
                  "of %d modules%s",
                  bad, shown, h->n, over);
    return SS_OK;
}

/* One row of the table: what a module would lose in a format. */
typedef struct {
    const ss_headroom_row *row;
    int format;
} loss;

static int more_first(const void *a, const void *b)
{
    const loss *x = a, *y = b;
    const ss_range *p = &x->row->range[x->format], *q = &y->row->range[y->format];

    if (p->flush != q->flush)
        return p->flush < q->flush ? 1 : -1;
    if (p->denormal != q->denormal)
        return p->denormal < q->denormal ? 1 : -1;
    if (x->row->module != y->row->module)
        return x->row->module < y->row->module ? -1 : 1;
    return x->format - y->format;
}

ss_code ss_underflow_table(const ss_run *r, const ss_headroom *h, int top, ss_table *t, ss_err *e)
{
    int n = 0, shown;
    loss *losses = ss_alloc((size_t)h->n * (size_t)h->n_formats, sizeof *losses);
    ss_code rc = losses ? ss_table_init(t, "underflow", e) : ss_no_memory(e, "headroom");

    if (rc != SS_OK)
        goto out;
    for (int i = 0; i < h->n; i++) {
        for (int f = 0; f < h->n_formats; f++) {
            const ss_range *g = &h->rows[i].range[f];

            if (!r->inner[h->rows[i].module] && (g->flush > 0 || g->denormal > 0))
                losses[n++] = (loss){&h->rows[i], f};
        }
    }
    qsort(losses, (size_t)n, sizeof *losses, more_first);
    shown = top < n ? top : n;

    ss_table_column(t, "module", SS_COL_MODULE, NULL);
    ss_table_column(t, "format", SS_COL_TEXT, NULL);
    ss_table_column(t, "flush %", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "denormal %", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "zero %", SS_COL_NUMBER, "%.3g");
    for (int i = 0; i < shown; i++) {
        const ss_range *g = &losses[i].row->range[losses[i].format];

        ss_table_row(t);
        ss_fold_module(t, r, losses[i].row->module);
        ss_table_text(t, h->formats[losses[i].format].name);
        ss_table_number(t, 100 * g->flush);
        ss_table_number(t, 100 * g->denormal);
        ss_table_number(t, 100 * g->zero);
    }
    if (h->has_hist)
        ss_table_note(
            t,
            "share of values that would become zero, or keep fewer digits, most first; "
            "zero already: zero %%; %d of %d pairs of module and format lose anything, %d "
            "shown",
            n, h->n * h->n_formats, shown);
    else
        ss_table_note(t, "the run has no histogram of exponents");
out:
    ss_free(losses);
    return rc;
}
