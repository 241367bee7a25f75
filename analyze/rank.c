/* rank.c - see rank.h
 *
 * The squared singular values of x are the eigenvalues of x^T x and of x x^T, whichever is
 * smaller. Squaring loses singular values below 1e-8 of the largest, which have no energy.
 */
#include "analyze/rank.h"

#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    TILE = 32,      /* of the Gram matrix: stays in the first-level cache */
    PARALLEL = 128, /* smaller sides are not worth a team of threads */
    MAX_STEPS = 60, /* QL steps for one eigenvalue; two or three are usual */
};

/* One tile of G = A^T A: entries [i0 .. i1) x [j0 .. j1), a [k][n]. */
static void gram_tile(const double *a, int k, int n, int i0, int j0, double *g)
{
    const int i1 = i0 + TILE < n ? i0 + TILE : n, j1 = j0 + TILE < n ? j0 + TILE : n;
    double sum[TILE][TILE] = {{0}};

    for (int r = 0; r < k; r++) {
        const double *row = a + (int64_t)r * n;

        for (int i = i0; i < i1; i++) {
            const double f = row[i];

            for (int j = j0; j < j1; j++)
                sum[i - i0][j - j0] += f * row[j];
        }
    }
    for (int i = i0; i < i1; i++) {
        for (int j = j0; j < j1; j++)
            g[(int64_t)i * n + j] = g[(int64_t)j * n + i] = sum[i - i0][j - j0];
    }
}

/* g [n][n] = A^T A of a [k][n]. */
static void gram(const double *a, int k, int n, double *g)
{
    const int tiles = (n + TILE - 1) / TILE;

#pragma omp parallel for schedule(dynamic) if (n > PARALLEL)
    for (int t = 0; t < tiles * tiles; t++) {
        if (t % tiles <= t / tiles)
            gram_tile(a, k, n, t / tiles * TILE, t % tiles * TILE, g);
    }
}

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

/* a [n][n] to a tridiagonal matrix of the same eigenvalues: diagonal d [n], beside it e, with
 * e[i] between i and i + 1. v, p: [n] of scratch. */
static void tridiagonal(double *a, int n, double negligible, double *d, double *e, double *v,
                        double *p)
{
    for (int k = 0; k < n; k++) {
        const int m = n - k - 1; /* what is left */
        double *const rest = a + (int64_t)(k + 1) * n + k + 1;
        double vp = 0;

        d[k] = a[(int64_t)k * n + k];
        e[k] = 0;
        if (!m)
            break;
        memcpy(v, a + (int64_t)k * n + k + 1, (size_t)m * sizeof *v);
        const double beta = householder(v, m, negligible, &e[k]);

        if (beta == 0)
            continue;
#pragma omp parallel for if (m > PARALLEL)
        for (int i = 0; i < m; i++) {
            const double *row = rest + (int64_t)i * n;
            double sum = 0;

            for (int j = 0; j < m; j++)
                sum += row[j] * v[j];
            p[i] = beta * sum;
        }
        for (int i = 0; i < m; i++)
            vp += v[i] * p[i];
        for (int i = 0; i < m; i++)
            p[i] -= beta * vp / 2 * v[i];
#pragma omp parallel for if (m > PARALLEL)
        for (int i = 0; i < m; i++) {
            double *row = rest + (int64_t)i * n;

            for (int j = 0; j < m; j++)
                row[j] -= v[i] * p[j] + p[i] * v[j];
        }
    }
}

/* One implicit QL step with Wilkinson's shift on rows l .. m of the tridiagonal matrix. */
static void ql_step(double *d, double *e, int l, int m)
{
    double g = (d[l + 1] - d[l]) / (2 * e[l]), s = 1, c = 1, shift = 0;

    g = d[m] - d[l] + e[l] / (g + copysign(hypot(g, 1), g));
    for (int i = m - 1; i >= l; i--) {
        const double f = s * e[i], b = c * e[i], r = hypot(f, g);

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

/* Eigenvalues of a tridiagonal matrix into d; e is lost. */
static ss_code tridiagonal_eigenvalues(double *d, double *e, int n, double negligible, ss_err *err)
{
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

ss_code ss_symmetric_eigenvalues(double *a, int n, double *values, ss_err *e)
{
    double *scratch = ss_alloc(3 * (size_t)n, sizeof *scratch), largest = 0;

    if (!scratch)
        return ss_fail(e, SS_NOMEM, "eigenvalues of a %d x %d matrix: out of memory", n, n);
    for (int64_t i = 0; i < (int64_t)n * n; i++)
        largest = fmax(largest, fabs(a[i]));
    /* Of a matrix of low rank, the rest is made of numbers without a digit that is right, down
     * to denormal ones: measured by themselves they would not converge. */
    const double negligible = DBL_EPSILON / 16 * largest;

    tridiagonal(a, n, negligible, values, scratch, scratch + n, scratch + 2 * (size_t)n);
    ss_code rc = tridiagonal_eigenvalues(values, scratch, n, negligible, e);
    ss_free(scratch);
    return rc;
}

/* a [k][n], n the smaller side, = x or its transpose. False when there is no energy or a value
 * that is not finite. Squares of squares of f32 neither overflow nor vanish in f64. */
static bool load(const float *x, int rows, int columns, double *a)
{
    const int64_t count = (int64_t)rows * columns;
    bool energy = false;

    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(x[i]))
            return false;
        energy |= x[i] != 0;
        a[columns <= rows ? i : i % columns * rows + i / columns] = x[i];
    }
    return energy;
}

static double entropy_rank(const double *values, int n)
{
    double sum = 0, entropy = 0;

    for (int i = 0; i < n; i++)
        sum += fmax(values[i], 0); /* rounding may leave a zero below zero */
    for (int i = 0; i < n; i++) {
        const double p = fmax(values[i], 0) / sum;

        entropy -= p > 0 ? p * log(p) : 0;
    }
    return exp(entropy);
}

ss_code ss_effective_rank(const float *x, int rows, int columns, double *rank, ss_err *e)
{
    const int n = rows < columns ? rows : columns, k = rows < columns ? columns : rows;
    double *a, *g, *values;
    ss_code rc = SS_OK;

    *rank = NAN;
    if (n < 1 || n > SS_RANK_MAX_SIDE)
        return SS_OK;
    a = ss_alloc((size_t)k, (size_t)n * sizeof *a);
    g = ss_alloc((size_t)n, (size_t)n * sizeof *g);
    values = ss_alloc((size_t)n, sizeof *values);
    if (!a || !g || !values) {
        rc = ss_fail(e, SS_NOMEM, "rank of a %d x %d matrix: out of memory", rows, columns);
    } else if (load(x, rows, columns, a)) {
        gram(a, k, n, g);
        rc = ss_symmetric_eigenvalues(g, n, values, e);
        if (rc == SS_OK)
            *rank = entropy_rank(values, n);
    }
    ss_free(a);
    ss_free(g);
    ss_free(values);
    return rc;
}
