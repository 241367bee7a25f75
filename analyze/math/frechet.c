/* frechet.c - see frechet.h */
#include "analyze/math/frechet.h"

#include "analyze/math/eigenvalues.h"
#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

static ss_code out_of_memory(int n, ss_err *e)
{
    return ss_fail(e, SS_NOMEM, "covariance of %d features: out of memory", n);
}

void ss_gaussian_release(ss_gaussian *g)
{
    ss_free(g->mean);
    ss_free(g->covariance);
    *g = (ss_gaussian){0};
}

/* Adds w d d^T to the upper triangle of s [n][n]. */
static void add_outer(double *s, const double *d, int n, double w)
{
    for (int i = 0; i < n; i++) {
        const double wd = w * d[i];
        double *row = s + (int64_t)i * n;

        for (int j = i; j < n; j++)
            row[j] += wd * d[j];
    }
}

static ss_code check_finite(const float *x, int64_t rows, int n, ss_err *e)
{
    for (int64_t i = 0; i < rows * n; i++) {
        if (!isfinite(x[i]))
            return ss_fail(e, SS_FORMAT, "feature %lld of row %lld is not finite",
                           (long long)(i % n), (long long)(i / n));
    }
    return SS_OK;
}

ss_code ss_gaussian_of(const float *x, int64_t rows, int n, const double *weight, ss_gaussian *g,
                       ss_err *e)
{
    double squares = 0;

    if (rows < 1 || n < 1)
        return ss_fail(e, SS_USAGE, "a covariance of %lld rows of %d features", (long long)rows, n);
    ss_code rc = check_finite(x, rows, n, e);
    if (rc != SS_OK)
        return rc;
    *g = (ss_gaussian){n, ss_calloc((size_t)n, sizeof(double)),
                       ss_calloc((size_t)n, (size_t)n * sizeof(double))};
    double *d = ss_alloc((size_t)n, sizeof *d);
    if (!g->mean || !g->covariance || !d) {
        ss_gaussian_release(g);
        ss_free(d);
        return out_of_memory(n, e);
    }
    for (int64_t r = 0; r < rows; r++) {
        const double w = weight ? weight[r] : 1 / (double)rows;

        squares += w * w;
        for (int j = 0; j < n; j++)
            g->mean[j] += w * x[r * n + j];
    }
    const double unbias = rows > 1 && squares < 1 ? 1 / (1 - squares) : 0;
    for (int64_t r = 0; r < rows; r++) {
        for (int j = 0; j < n; j++)
            d[j] = x[r * n + j] - g->mean[j];
        add_outer(g->covariance, d, n, unbias * (weight ? weight[r] : 1 / (double)rows));
    }
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < i; j++)
            g->covariance[(int64_t)i * n + j] = g->covariance[(int64_t)j * n + i];
    }
    ss_free(d);
    return SS_OK;
}

/* One step of the factorisation: column k of f [n][n] from pivot p of what is left of s. */
static void eliminate(double *s, double *f, int n, int k, int p)
{
    const double root = sqrt(s[(int64_t)p * n + p]);

    for (int i = 0; i < n; i++)
        f[(int64_t)i * n + k] = s[(int64_t)i * n + p] / root;
    for (int i = 0; i < n; i++) {
        const double fi = f[(int64_t)i * n + k];

        for (int j = 0; j < n; j++)
            s[(int64_t)i * n + j] -= fi * f[(int64_t)j * n + k];
    }
    for (int i = 0; i < n; i++) /* what rounding left of it */
        s[(int64_t)i * n + p] = s[(int64_t)p * n + i] = 0;
}

/* The symmetric s [n][n], which is lost, as f f^T, f [n][n] with only its first *rank columns in
 * use: the largest pivot first, until none is left that rounding could not have made. */
static ss_code factorise(double *s, int n, double *f, int *rank, ss_err *e)
{
    double largest = 0;

    for (int i = 0; i < n; i++)
        largest = fmax(largest, s[(int64_t)i * n + i]);
    const double rounding = n * DBL_EPSILON * largest;

    for (*rank = 0; *rank < n; ++*rank) {
        int p = 0;

        for (int i = 1; i < n; i++) {
            if (s[(int64_t)i * n + i] > s[(int64_t)p * n + p])
                p = i;
        }
        if (!(s[(int64_t)p * n + p] > rounding))
            break;
        eliminate(s, f, n, *rank, p);
    }
    for (int i = 0; i < n; i++) {
        const double left = s[(int64_t)i * n + i];

        if (!(left >= -1e-6 * largest))
            return ss_fail(e, SS_FORMAT,
                           "not a covariance: feature %d has %g left where variances are up to %g",
                           i, left, largest);
    }
    return SS_OK;
}

/* m [ra + rb][ra + rb] = [0, A^T B; B^T A, 0] */
static void pair(const double *a, int ra, const double *b, int rb, int n, double *m)
{
    const int64_t side = ra + rb;

    for (int i = 0; i < ra; i++) {
        for (int j = 0; j < rb; j++) {
            double sum = 0;

            for (int k = 0; k < n; k++)
                sum += a[(int64_t)k * n + i] * b[(int64_t)k * n + j];
            m[i * side + ra + j] = m[(ra + j) * side + i] = sum;
        }
    }
}

/* tr (A A^T B B^T)^(1/2) */
static ss_code trace_of_root(const double *a, int ra, const double *b, int rb, int n, double *trace,
                             ss_err *e)
{
    const int side = ra + rb;
    double *m, *values;
    ss_code rc;

    *trace = 0;
    if (ra == 0 || rb == 0)
        return SS_OK;
    m = ss_calloc((size_t)side, (size_t)side * sizeof *m);
    values = ss_alloc((size_t)side, sizeof *values);
    rc = m && values ? SS_OK : out_of_memory(n, e);
    if (rc == SS_OK) {
        pair(a, ra, b, rb, n, m);
        rc = ss_symmetric_eigenvalues(m, side, values, e);
    }
    for (int i = 0; i < side && rc == SS_OK; i++)
        *trace += fmax(values[i], 0);
    ss_free(m);
    ss_free(values);
    return rc;
}

static ss_code check(const ss_gaussian *g, ss_err *e)
{
    for (int i = 0; i < g->n; i++) {
        if (!isfinite(g->mean[i]))
            return ss_fail(e, SS_FORMAT, "the mean of feature %d is not finite", i);
        for (int j = 0; j < g->n; j++) {
            if (!isfinite(g->covariance[(int64_t)i * g->n + j]))
                return ss_fail(e, SS_FORMAT, "the covariance of features %d and %d is not finite",
                               i, j);
        }
    }
    return SS_OK;
}

ss_code ss_frechet_distance(const ss_gaussian *a, const ss_gaussian *b, double *distance, ss_err *e)
{
    const int n = a->n;
    const size_t square = (size_t)n * (size_t)n;
    double means = 0, traces = 0, root = 0, *scratch;
    int ra, rb;
    ss_code rc;

    if (b->n != n)
        return ss_fail(e, SS_SHAPE, "a distance between %d and %d features", n, b->n);
    if ((rc = check(a, e)) != SS_OK || (rc = check(b, e)) != SS_OK)
        return rc;
    if (!(scratch = ss_calloc(square, 3 * sizeof *scratch)))
        return out_of_memory(n, e);
    double *fa = scratch + square, *fb = fa + square;

    for (int i = 0; i < n; i++) {
        const double d = a->mean[i] - b->mean[i];

        means += d * d;
        traces += a->covariance[(int64_t)i * n + i] + b->covariance[(int64_t)i * n + i];
    }
    memcpy(scratch, a->covariance, square * sizeof *scratch);
    rc = factorise(scratch, n, fa, &ra, e);
    if (rc == SS_OK) {
        memcpy(scratch, b->covariance, square * sizeof *scratch);
        rc = factorise(scratch, n, fb, &rb, e);
    }
    if (rc == SS_OK)
        rc = trace_of_root(fa, ra, fb, rb, n, &root, e);
    ss_free(scratch);
    *distance = fmax(means + traces - 2 * root, 0);
    return rc;
}
