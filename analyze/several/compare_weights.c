/* compare_weights.c - see compare_weights.h */
#include "analyze/several/compare_weights.h"

#include "analyze/math/median.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name;
    int64_t at;
} named;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

/* [n_parameters] in the order of the names; ss_free. */
static named *sort_parameters(const ss_run *r)
{
    named *s = ss_alloc((size_t)r->n_parameters, sizeof *s);

    for (int64_t i = 0; s && i < r->n_parameters; i++)
        s[i] = (named){r->parameters[i], i};
    if (s)
        qsort(s, (size_t)r->n_parameters, sizeof *s, by_name);
    return s;
}

static int larger_first(const void *a, const void *b)
{
    const ss_compare_weight *x = a, *y = b;
    const double p = fmax(-1, fabs(x->bits)), q = fmax(-1, fabs(y->bits)); /* NaN last */
    const bool bad = x->nonfinite[0] || x->nonfinite[1];

    if (bad != (y->nonfinite[0] || y->nonfinite[1]))
        return bad ? -1 : 1;
    if (p != q)
        return p < q ? 1 : -1;
    return (x->parameter > y->parameter) - (x->parameter < y->parameter);
}

static ss_code set_bits(ss_compare_weights *x, ss_err *e)
{
    double *most = ss_alloc((size_t)x->n, sizeof *most);

    if (!most)
        return ss_no_memory(e, "comparing weights");
    for (int64_t i = 0; i < x->n; i++)
        most[i] = isinf(x->rows[i].absmax[0]) || isinf(x->rows[i].absmax[1])
                      ? NAN
                      : fmax(x->rows[i].absmax[0], x->rows[i].absmax[1]);
    const double median = ss_median(most, (int)x->n);
    const double floor = isnan(median) ? 0 : SS_COMPARE_FLOOR * median;

    for (int64_t i = 0; i < x->n; i++) {
        const double a = x->rows[i].absmax[0], b = x->rows[i].absmax[1];
        x->rows[i].bits = a == b ? 0 : log2((b + floor) / (a + floor));
    }
    ss_free(most);
    return SS_OK;
}

/* Reads both runs' statistics of weights. */
typedef struct {
    const float *absmax, *rms;
    const uint64_t *nonfinite;
} sizes;

/* Fills in one run's side of a row. */
static void set_side(const sizes *s, int64_t at, int run, ss_compare_weight *w)
{
    w->absmax[run] = s->absmax[at];
    w->rms[run] = s->rms ? s->rms[at] : NAN;
    if (s->nonfinite)
        w->nonfinite[run] = s->nonfinite[at];
    else if (!isfinite(s->absmax[at]))
        w->nonfinite[run] = UINT64_MAX;
    if (w->nonfinite[run])
        w->absmax[run] = w->rms[run] = INFINITY;
}

ss_code ss_compare_weights_find(const ss_compare *c, const char *name, ss_compare_weights *x,
                                ss_err *e)
{
    ss_run *const *runs = c->aligned.runs;
    sizes s[2] = {0};
    named *names = NULL;
    ss_code rc = SS_OK;

    *x = (ss_compare_weights){0};
    snprintf(x->title, sizeof x->title, "weights %.12s", name);
    for (int run = 0; run < 2 && rc == SS_OK; run++) {
        if ((rc = ss_run_weights(runs[run], "absmax", &s[run].absmax, e)) == SS_OK &&
            (rc = ss_run_weights(runs[run], "rms", &s[run].rms, e)) == SS_OK)
            rc = ss_run_weights_nonfinite(runs[run], &s[run].nonfinite, e);
    }
    if (rc != SS_OK || !s[0].absmax || !s[1].absmax)
        return rc;
    names = sort_parameters(runs[1]);
    x->rows = ss_calloc((size_t)runs[0]->n_parameters, sizeof *x->rows);
    if (!names || !x->rows)
        rc = ss_no_memory(e, "comparing weights");
    for (int64_t i = 0; i < runs[0]->n_parameters && rc == SS_OK; i++) {
        const named key = {runs[0]->parameters[i], 0};
        const named *hit =
            bsearch(&key, names, (size_t)runs[1]->n_parameters, sizeof *names, by_name);

        if (!hit)
            continue;

        ss_compare_weight *w = &x->rows[x->n++];

        *w = (ss_compare_weight){.parameter = i};
        set_side(&s[0], i, 0, w);
        set_side(&s[1], hit->at, 1, w);
        for (int run = 0; run < 2; run++)
            x->n_bad[run] += w->nonfinite[run] > 0;
    }
    for (int run = 0; run < 2; run++)
        x->lone[run] = runs[run]->n_parameters - x->n;
    if (rc == SS_OK && (rc = set_bits(x, e)) == SS_OK)
        qsort(x->rows, (size_t)x->n, sizeof *x->rows, larger_first);
    ss_free(names);
    if (rc != SS_OK)
        ss_compare_weights_release(x);
    return rc;
}

void ss_compare_weights_release(ss_compare_weights *x)
{
    ss_free(x->rows);
    *x = (ss_compare_weights){0};
}

static void put_count(ss_table *t, uint64_t n)
{
    char text[32];

    snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    ss_table_text(t, n == UINT64_MAX ? "all" : n ? text : "");
}

ss_code ss_compare_weights_table(const ss_compare *c, const ss_compare_weights *x, int top,
                                 ss_table *t, ss_err *e)
{
    static const char *const columns[] = {"A", "B", "ratio", "rms A", "rms B", "rms ratio"};
    const int64_t shown = top < x->n ? top : x->n;
    char bad[96] = "";
    ss_code rc = ss_table_init(t, x->title, e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "parameter", SS_COL_TEXT, NULL);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        ss_table_column(t, columns[i], SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "inf or NaN A", SS_COL_TEXT, NULL);
    ss_table_column(t, "inf or NaN B", SS_COL_TEXT, NULL);
    for (int64_t i = 0; i < shown; i++) {
        const ss_compare_weight *w = &x->rows[i];
        const double cells[] = {
            w->absmax[0], w->absmax[1], ss_compare_ratio(w->absmax[0], w->absmax[1]),
            w->rms[0],    w->rms[1],    ss_compare_ratio(w->rms[0], w->rms[1])};

        ss_table_row(t);
        ss_table_text(t, c->aligned.runs[0]->parameters[w->parameter]);
        for (size_t k = 0; k < sizeof cells / sizeof *cells; k++)
            ss_table_number(t, cells[k]);
        for (int run = 0; run < 2; run++)
            put_count(t, w->nonfinite[run]);
    }
    if (x->n_bad[0] || x->n_bad[1])
        snprintf(bad, sizeof bad, "INF OR NaN in %lld parameters of A, %lld of B; ",
                 (long long)x->n_bad[0], (long long)x->n_bad[1]);
    if (x->n)
        ss_table_note(t,
                      "%slargest |w| and RMS, ratio B/A; %lld of %lld parameters, those that "
                      "differ most; %lld are in A only, %lld in B only",
                      bad, (long long)shown, (long long)x->n, (long long)x->lone[0],
                      (long long)x->lone[1]);
    else
        ss_table_note(t, "no parameter is in both runs");
    return SS_OK;
}
