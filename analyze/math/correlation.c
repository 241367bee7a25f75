/* correlation.c - see correlation.h */
#include "analyze/math/correlation.h"

#include "analyze/math/median.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
    double value;
    int at; /* which point */
} item;

static int smaller_first(const void *a, const void *b)
{
    const item *p = a, *q = b;

    if (p->value != q->value)
        return p->value < q->value ? -1 : 1;
    return (p->at > q->at) - (p->at < q->at);
}

static double pearson(const double *x, const double *y, int n)
{
    double mx = 0, my = 0, xx = 0, xy = 0, yy = 0;

    for (int i = 0; i < n; i++) {
        mx += x[i] / n;
        my += y[i] / n;
    }
    for (int i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        xy += (x[i] - mx) * (y[i] - my);
        yy += (y[i] - my) * (y[i] - my);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx) / sqrt(yy) : NAN;
}

/* order: the points from the smallest x on; rank: of each point. */
static void rank(const double *x, int n, item *order, double *out)
{
    for (int i = 0; i < n; i++)
        order[i] = (item){x[i], i};
    qsort(order, (size_t)n, sizeof *order, smaller_first);
    for (int i = 0, end; i < n; i = end) {
        end = i + 1;
        while (end < n && order[end].value == order[i].value)
            end++;
        for (int k = i; k < end; k++)
            out[order[k].at] = (i + end - 1) / 2.0;
    }
}

/* Median y of the points first .. first + n - 1 of the order. */
static double median_of(const double *y, const item *order, int first, int n, double *scratch)
{
    for (int i = 0; i < n; i++)
        scratch[i] = y[order[first + i].at];
    return ss_median(scratch, n);
}

/* u, v: the points that count, [n]; a, b: scratch. */
static void correlate(const double *u, const double *v, int n, item *order, double *a, double *b,
                      ss_correlation *c)
{
    rank(v, n, order, b);
    rank(u, n, order, a); /* the order stays that of u */
    c->pearson = pearson(u, v, n);
    c->spearman = pearson(a, b, n);
    if (isnan(c->spearman))
        return;
    const int half = n / 2;

    c->gap = median_of(v, order, 0, half, a);
    c->gap -= median_of(v, order, n - half, half, a);
}

ss_code ss_correlate(const double *x, const double *y, int n, ss_correlation *c, ss_err *e)
{
    double *room = ss_alloc(4 * (size_t)n, sizeof *room);
    item *order = ss_alloc((size_t)n, sizeof *order);
    ss_code rc = SS_OK;

    *c = (ss_correlation){0, NAN, NAN, NAN};
    if (room && order) {
        double *u = room, *v = room + n;

        for (int i = 0; i < n; i++) {
            if (isfinite(x[i]) && isfinite(y[i])) {
                u[c->n] = x[i];
                v[c->n++] = y[i];
            }
        }
        if (c->n >= 3)
            correlate(u, v, c->n, order, room + 2 * (size_t)n, room + 3 * (size_t)n, c);
    } else {
        rc = ss_fail(e, SS_NOMEM, "correlation of %d points: out of memory", n);
    }
    ss_free(room);
    ss_free(order);
    return rc;
}

bool ss_correlated(const ss_correlation *c)
{
    return fabs(c->spearman) >= 0.5 && fabs(c->spearman) > 1.96 / sqrt(c->n - 1);
}
