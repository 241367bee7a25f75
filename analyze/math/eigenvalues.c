/* eigenvalues.c - see eigenvalues.h */
#include "analyze/math/eigenvalues.h"

#include "base/mem.h"
#include "base/simd.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

enum {
    LANES = 4,
    MAX_STEPS = 60, /* QL steps for one eigenvalue; two or three are usual */
};

/* A matrix on its way to tridiagonal form. Rows and vectors are padded with zeros to `wide`. */
typedef struct {
    int n, wide;
    double *a;      /* [n][wide] */
    double *v, *q;  /* a lacks - v q^T - q v^T, which the next pass over it makes good */
    double *w, *aw; /* the next Householder vector, and a times it; all [wide] */
} reduction;

/* The Householder vector v of x [m], so that (I - beta v v^T) x = (alpha, 0, 0, ...); returns
 * beta, 0 where x is that already, up to a negligible tail. x becomes v. */
static double householder(double *x, int m, double negligible, double *alpha)
{
    double tail = 0;

    for (int i = 1; i < m; i++)
        tail += x[i] * x[i];
    *alpha = x[0];
    if (tail <= negligible * negligible)
        return 0;
    const double norm = sqrt(x[0] * x[0] + tail);

    *alpha = x[0] > 0 ? -norm : norm; /* the sign that does not cancel */
    x[0] -= *alpha;
    return 2 / (x[0] * x[0] + tail);
}

/* Brings rows i and i + 1 up to date from column `from` on, and multiplies them with w. */
SS_SIMD static void pass_rows(const reduction *r, int i, int from)
{
    const double v0 = r->v[i], q0 = r->q[i], v1 = r->v[i + 1], q1 = r->q[i + 1];
    double *row = r->a + (int64_t)i * r->wide;
    ss_double4 sum0 = {0}, sum1 = {0};

    for (int j = from; j < r->wide; j += LANES) {
        const ss_double4 v = *(const ss_double4 *)(r->v + j), q = *(const ss_double4 *)(r->q + j);
        const ss_double4 w = *(const ss_double4 *)(r->w + j);
        ss_double4 *at0 = (ss_double4 *)(row + j), *at1 = (ss_double4 *)(row + r->wide + j);

        *at0 -= v0 * q + q0 * v;
        *at1 -= v1 * q + q1 * v;
        sum0 += *at0 * w;
        sum1 += *at1 * w;
    }
    r->aw[i] = sum0[0] + sum0[1] + (sum0[2] + sum0[3]);
    r->aw[i + 1] = sum1[0] + sum1[1] + (sum1[2] + sum1[3]);
}

/* r->a to a tridiagonal matrix of the same eigenvalues: diagonal d [n], beside it e, with e[i]
 * between i and i + 1. */
static void tridiagonal(reduction *r, double negligible, double *d, double *e)
{
    const int n = r->n;

    for (int k = 0; k < n; k++) {
        double *row = r->a + (int64_t)k * r->wide, vp = 0;

        for (int j = k; j < n; j++)
            row[j] -= r->v[k] * r->q[j] + r->q[k] * r->v[j];
        d[k] = row[k];
        e[k] = 0;
        if (k + 1 == n)
            break;
        memset(r->w, 0, (size_t)(k + 1) * sizeof *r->w);
        memcpy(r->w + k + 1, row + k + 1, (size_t)(n - k - 1) * sizeof *r->w);
        const double beta = householder(r->w + k + 1, n - k - 1, negligible, &e[k]);

        for (int i = k + 1; i < n; i += 2)
            pass_rows(r, i, (k + 1) / LANES * LANES);
        for (int i = k + 1; i < n; i++)
            vp += r->w[i] * r->aw[i];
        for (int i = 0; i < n; i++) {
            r->v[i] = i > k && beta != 0 ? r->w[i] : 0;
            r->q[i] = i > k ? beta * (r->aw[i] - beta * vp / 2 * r->w[i]) : 0;
        }
    }
}

/* One implicit QL step with Wilkinson's shift on rows l .. m of the tridiagonal matrix, whose norm
 * is about 1: what vanishes when squared is nothing beside it. */
static void ql_step(double *d, double *e, int l, int m)
{
    double g = (d[l + 1] - d[l]) / (2 * e[l]), s = 1, c = 1, shift = 0;

    g = d[m] - d[l] + e[l] / (g + copysign(hypot(g, 1), g));
    for (int i = m - 1; i >= l; i--) {
        const double f = s * e[i], b = c * e[i], r = sqrt(f * f + g * g);

        if (i + 1 < m)
            e[i + 1] = r;
        if (r == 0) { /* the rotation has split the matrix */
            d[i + 1] -= shift;
            return;
        }
        s = f / r;
        c = g / r;
        const double q = d[i + 1] - shift, t = (d[i] - q) * s + 2 * c * b;

        shift = s * t;
        d[i + 1] = q + shift;
        g = c * t - b;
    }
    d[l] -= shift;
    e[l] = g;
}

/* Eigenvalues of a tridiagonal matrix of norm 1 into d; e is lost. What a step's rounding leaves
 * beside the diagonal is of the size of that norm, not of its neighbours: of a matrix of low rank,
 * most of these are numbers without a digit that is right, down to denormal ones. */
static ss_code tridiagonal_eigenvalues(double *d, double *e, int n, ss_err *err)
{
    const double negligible = DBL_EPSILON / 2;

    for (int l = 0; l < n; l++) {
        for (int step = 0;; step++) {
            int m = l;

            while (m + 1 < n && !(fabs(e[m]) <= negligible))
                m++;
            if (m == l)
                break;
            if (step == MAX_STEPS)
                return ss_fail(err, SS_FORMAT,
                               "eigenvalues of a %d x %d matrix do not converge in %d steps", n, n,
                               MAX_STEPS);
            ql_step(d, e, l, m);
        }
    }
    return SS_OK;
}

/* Divides both by the norm, which is returned. */
static double to_norm_1(double *d, double *e, int n)
{
    double norm = 0;

    for (int i = 0; i < n; i++)
        norm = fmax(norm, fabs(d[i]) + fabs(e[i]));
    for (int i = 0; i < n && norm > 0; i++) {
        d[i] /= norm;
        e[i] /= norm;
    }
    return norm;
}

ss_code ss_symmetric_eigenvalues(const double *a, int n, double *values, ss_err *e)
{
    const int rows = n + 1; /* the last one may be passed together with one of zeros */
    const int wide = (rows + LANES - 1) / LANES * LANES;
    double *scratch = ss_calloc((size_t)wide, (size_t)(rows + 5) * sizeof *scratch), largest = 0;

    if (!scratch)
        return ss_fail(e, SS_NOMEM, "eigenvalues of a %d x %d matrix: out of memory", n, n);
    double *vectors = scratch + (int64_t)rows * wide, *beside = vectors + 4 * (int64_t)wide;
    reduction r = {n,
                   wide,
                   scratch,
                   vectors,
                   vectors + wide,
                   vectors + 2 * (int64_t)wide,
                   vectors + 3 * (int64_t)wide};

    for (int i = 0; i < n; i++)
        memcpy(r.a + (int64_t)i * wide, a + (int64_t)i * n, (size_t)n * sizeof *a);
    for (int64_t i = 0; i < (int64_t)n * n; i++)
        largest = fmax(largest, fabs(a[i]));
    tridiagonal(&r, DBL_EPSILON / 16 * largest, values, beside);

    const double norm = to_norm_1(values, beside, n);
    ss_code rc = tridiagonal_eigenvalues(values, beside, n, e);
    for (int i = 0; i < n; i++)
        values[i] *= norm;
    ss_free(scratch);
    return rc;
}
