/* compare.c - see compare.h; compare_table.c prints it */
#include "analyze/several/compare.h"

#include "analyze/math/median.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One statistic of both runs. */
typedef struct {
    const float *x[2];
    const uint64_t *nonfinite[2];
    bool mean; /* RMS over samples and inputs instead of the largest */
} statistic;

/* Over samples, of one site, input (or SS_ALL) and noise level. */
static double value_at(const ss_aligned *a, const statistic *st, int run, int site, int input,
                       int sigma)
{
    if (ss_align_count(a, run, st->nonfinite[run], site, input, sigma) > 0)
        return INFINITY;
    if (!st->mean)
        return ss_align_peak(a, run, st->x[run], site, input, sigma);
    double sum = 0;
    int n = 0;

    for (int i = input == SS_ALL ? 0 : input; i < (input == SS_ALL ? a->n_inputs : input + 1);
         i++) {
        const double rms = ss_site_rms(a->runs[run], st->x[run], ss_align_site(a, site, run),
                                       ss_align_input(a, i, run), ss_align_sigma(a, sigma, run));

        sum += isnan(rms) ? 0 : rms * rms;
        n += !isnan(rms);
    }
    return n ? sqrt(sum / n) : NAN;
}

static double bits_of(double a, double b, double floor)
{
    if (a == b)
        return 0;
    return log2((b + floor) / (a + floor));
}

double ss_compare_ratio(double a, double b)
{
    return a == b ? 1 : b / a;
}

static ss_compare_cell cell_at(const ss_aligned *a, const statistic *st, double floor, int site,
                               int input, int sigma)
{
    ss_compare_cell c = {
        .a = value_at(a, st, 0, site, input, sigma),
        .b = value_at(a, st, 1, site, input, sigma),
        .sigma = sigma,
        .input = input,
    };

    c.bits = bits_of(c.a, c.b, floor);
    return c;
}

static ss_compare_stat compare_stat(const ss_aligned *a, const statistic *st, double floor,
                                    int site)
{
    const ss_compare_cell none = {NAN, NAN, NAN, SS_ALL, SS_ALL};
    ss_compare_stat s = {none, none, none};

    if (!st->x[0] || !st->x[1])
        return s;
    for (int k = 0; k < a->n_sigmas; k++) {
        for (int i = 0; i < a->n_inputs; i++) {
            const ss_compare_cell c = cell_at(a, st, floor, site, i, k);

            if (!isnan(c.bits) && !(fabs(c.bits) <= fabs(s.worst.bits)))
                s.worst = c;
            if (!isnan(c.bits) && !(c.bits <= s.rise.bits))
                s.rise = c;
        }
    }
    s.high = cell_at(a, st, floor, site, SS_ALL, a->n_sigmas - 1);
    return s;
}

/* SS_COMPARE_FLOOR times the median over sites of what either run has at most. */
static ss_code find_floor(const ss_aligned *a, const statistic *st, double *floor, ss_err *e)
{
    double *most = ss_alloc((size_t)a->n_sites, sizeof *most);

    if (!most)
        return ss_no_memory(e, "comparing");
    for (int i = 0; i < a->n_sites; i++) {
        most[i] = NAN;
        for (int run = 0; run < 2 && st->x[0] && st->x[1]; run++) {
            for (int k = 0; k < a->n_sigmas; k++) {
                const double v = value_at(a, st, run, i, SS_ALL, k);

                most[i] = isinf(v) ? most[i] : fmax(most[i], v);
            }
        }
    }
    const double median = ss_median(most, a->n_sites);

    *floor = isnan(median) ? 0 : SS_COMPARE_FLOOR * median;
    ss_free(most);
    return SS_OK;
}

/* Absent bits last. */
static double rank_of(const ss_compare_row *r)
{
    return fmax(-1, fmax(fabs(r->absmax.worst.bits), fabs(r->rms.worst.bits)));
}

static int larger_first(const void *a, const void *b)
{
    const ss_compare_row *x = a, *y = b;
    const double p = rank_of(x), q = rank_of(y);

    if (p != q)
        return p < q ? 1 : -1;
    return x->site - y->site;
}

static ss_code fill(ss_compare *c, ss_err *e)
{
    const ss_aligned *a = &c->aligned;
    statistic absmax = {0}, rms = {.mean = true};
    ss_code rc = SS_OK;

    for (int run = 0; run < 2 && rc == SS_OK; run++) {
        if ((rc = ss_run_stat(a->runs[run], "absmax", &absmax.x[run], e)) == SS_OK &&
            (rc = ss_run_stat(a->runs[run], "rms", &rms.x[run], e)) == SS_OK)
            rc = ss_run_nonfinite(a->runs[run], &absmax.nonfinite[run], e);
        rms.nonfinite[run] = absmax.nonfinite[run];
    }
    if (rc != SS_OK || (rc = find_floor(a, &absmax, &c->floor[0], e)) != SS_OK ||
        (rc = find_floor(a, &rms, &c->floor[1], e)) != SS_OK)
        return rc;
    c->has_rms = rms.x[0] && rms.x[1];
    if (!(c->rows = ss_calloc((size_t)a->n_sites, sizeof *c->rows)))
        return ss_no_memory(e, "comparing");
    for (c->n = 0; c->n < a->n_sites; c->n++) {
        ss_compare_row *row = &c->rows[c->n];

        row->site = c->n;
        row->absmax = compare_stat(a, &absmax, c->floor[0], c->n);
        row->rms = compare_stat(a, &rms, c->floor[1], c->n);
        for (int run = 0; run < 2; run++)
            row->nonfinite[run] =
                ss_align_count(a, run, absmax.nonfinite[run], c->n, SS_ALL, SS_ALL);
        c->n_nonfinite += row->nonfinite[0] != row->nonfinite[1];
    }
    qsort(c->rows, (size_t)c->n, sizeof *c->rows, larger_first);
    return SS_OK;
}

ss_code ss_compare_find(ss_run *a, ss_run *b, const char *name, const char *const *globs,
                        int n_globs, ss_compare *c, ss_err *e)
{
    static const char *const titles[] = {"statistics", "nonfinite", "only in one"};
    ss_run *const runs[] = {a, b};
    ss_code rc;

    *c = (ss_compare){0};
    for (int i = 0; i < 3; i++)
        snprintf(c->titles[i], sizeof c->titles[i], "%s %.12s", titles[i], name);
    if ((rc = ss_align(runs, 2, globs, n_globs, &c->aligned, e)) != SS_OK ||
        (rc = fill(c, e)) != SS_OK)
        ss_compare_release(c);
    return rc;
}

void ss_compare_release(ss_compare *c)
{
    ss_align_release(&c->aligned);
    ss_free(c->rows);
    *c = (ss_compare){0};
}

ss_code ss_compare_curve(const ss_compare *c, int run, int site, ss_stage stage, double *y,
                         ss_err *e)
{
    const ss_aligned *a = &c->aligned;
    const ss_run *r = a->runs[run];
    const float *absmax;
    ss_code rc = ss_run_stat(a->runs[run], "absmax", &absmax, e);

    for (int k = 0; k < a->n_sigmas && rc == SS_OK; k++) {
        y[k] = NAN;
        for (int i = 0; i < a->n_sites; i++) {
            const char *path = r->modules[ss_align_site(a, i, run).module];

            if (site == i || (site == SS_ALL && ss_stage_of(path) == stage))
                y[k] = fmax(y[k], ss_align_peak(a, run, absmax, i, SS_ALL, k));
        }
    }
    return rc;
}
