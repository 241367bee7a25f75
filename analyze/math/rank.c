/* rank.c - see rank.h
 *
 * The squared singular values of x are the eigenvalues of x^T x and of x x^T, whichever is
 * smaller. Squaring loses singular values below 1e-8 of the largest, which have no energy.
 */
#include "analyze/math/rank.h"

#include "analyze/math/eigenvalues.h"
#include "base/mem.h"
#include "base/simd.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { ROWS = 4, COLUMNS = 8, SLAB = 64 }; /* of a tile of the Gram matrix; rows of A at a time */

/* g += A^T A of rows [r0 .. r1) of a [k][wide]: entries [i .. i + ROWS) x [j .. j + COLUMNS). */
SS_SIMD static void gram_tile(const double *a, int wide, int r0, int r1, int i, int j, double *g)
{
    ss_double4 sum[ROWS][2];

    for (int p = 0; p < ROWS; p++)
        for (int q = 0; q < 2; q++)
            sum[p][q] = *(const ss_double4 *)(g + (int64_t)(i + p) * wide + j + 4 * q);
    for (int r = r0; r < r1; r++) {
        const double *row = a + (int64_t)r * wide;
        const ss_double4 left = *(const ss_double4 *)(row + j);
        const ss_double4 right = *(const ss_double4 *)(row + j + 4);

#pragma GCC unroll 4
        for (int p = 0; p < ROWS; p++) {
            sum[p][0] += row[i + p] * left;
            sum[p][1] += row[i + p] * right;
        }
    }
    for (int p = 0; p < ROWS; p++)
        for (int q = 0; q < 2; q++)
            *(ss_double4 *)(g + (int64_t)(i + p) * wide + j + 4 * q) = sum[p][q];
}

/* g [n][n] = A^T A of a [k][wide], zeros from column n on; room: [wide][wide]. */
static void gram(const double *a, int k, int n, int wide, double *room, double *g)
{
    memset(room, 0, (size_t)wide * (size_t)wide * sizeof *room);
    for (int r = 0; r < k; r += SLAB)
        for (int i = 0; i < wide; i += ROWS)
            for (int j = i / COLUMNS * COLUMNS; j < wide; j += COLUMNS)
                gram_tile(a, wide, r, r + SLAB < k ? r + SLAB : k, i, j, room);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            g[(int64_t)i * n + j] = room[j < i ? (int64_t)j * wide + i : (int64_t)i * wide + j];
}

/* a [k][wide], n the smaller side, = x or its transpose, padded with zeros. False when there is no
 * energy or a value that is not finite. Squares of squares of f32 neither overflow nor vanish in
 * f64. */
static bool load(const float *x, int rows, int columns, int wide, double *a)
{
    const int64_t row_step = columns <= rows ? wide : 1, column_step = columns <= rows ? 1 : wide;
    bool energy = false;

    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c++) {
            const float v = x[(int64_t)r * columns + c];

            if (!isfinite(v))
                return false;
            energy |= v != 0;
            a[r * row_step + c * column_step] = v;
        }
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
    const int wide = (n + COLUMNS - 1) / COLUMNS * COLUMNS;
    double *a, *room, *g, *values;
    ss_code rc = SS_OK;

    *rank = NAN;
    if (n < 1 || n > SS_RANK_MAX_SIDE)
        return SS_OK;
    a = ss_calloc((size_t)k, (size_t)wide * sizeof *a);
    room = ss_alloc((size_t)wide, (size_t)wide * sizeof *room);
    g = ss_alloc((size_t)n, (size_t)n * sizeof *g);
    values = ss_alloc((size_t)n, sizeof *values);
    if (!a || !room || !g || !values) {
        rc = ss_fail(e, SS_NOMEM, "rank of a %d x %d matrix: out of memory", rows, columns);
    } else if (load(x, rows, columns, wide, a)) {
        gram(a, k, n, wide, room, g);
        rc = ss_symmetric_eigenvalues(g, n, values, e);
        if (rc == SS_OK)
            *rank = entropy_rank(values, n);
    }
    ss_free(a);
    ss_free(room);
    ss_free(g);
    ss_free(values);
    return rc;
}
