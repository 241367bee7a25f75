/* isa_permute.c - axes in another order
 *
 * Axes that stay neighbours are one. Where the last axis of y is also x's last, rows are copied;
 * else planes of y's last axis and x's last are transposed, tile by tile, so that reads and writes
 * both use whole cache lines.
 */
#include "kernels/cpu/isa.h"
#include "kernels/merge_axes.h"

enum { TILE = 16 };

/* Where the i-th combination of steps along the axes begins. */
static void offsets(const ss_axis *a, int n, int64_t i, int64_t *x, int64_t *y)
{
    for (int k = n - 1; k >= 0; k--) {
        *x += i % a[k].n * a[k].x;
        *y += i % a[k].n * a[k].y;
        i /= a[k].n;
    }
}

static void copy_rows(const float *x, float *y, const ss_axis *a, int n, int64_t rows, int team)
{
    const size_t bytes = (size_t)a[n - 1].n * sizeof *x;

#pragma omp parallel for num_threads(team) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        int64_t from = 0, to = 0;

        offsets(a, n - 1, r, &from, &to);
        memcpy(y + to, x + from, bytes);
    }
}

/* Planes of `down`, which is x's last axis, and `across`, which is y's. */
static void transpose(const float *x, float *y, ss_axis down, ss_axis across)
{
    for (int64_t j = 0; j < down.n; j += TILE) {
        const int64_t end_j = min_i64(j + TILE, down.n);

        for (int64_t i = 0; i < across.n; i += TILE) {
            const int64_t end_i = min_i64(i + TILE, across.n);

            for (int64_t v = j; v < end_j; v++)
                for (int64_t u = i; u < end_i; u++)
                    y[v * down.y + u] = x[v + u * across.x];
        }
    }
}

ss_code ISA(permute)(ss_device *d, const ss_tensor *x, const int *axes, ss_tensor *y, ss_err *e)
{
    const int64_t values = ss_shape_numel(x->shape);
    const int team = ss_cpu_team(d, values);
    ss_axis a[SS_MAX_RANK + 1];
    int n = ss_merge_axes(x, axes, a), last = 0;

    (void)e;
    if (!values)
        return SS_OK;
    if (!n)
        a[n++] = (ss_axis){1, 1, 1};
    if (a[n - 1].x == 1) {
        copy_rows(x->data, y->data, a, n, values / a[n - 1].n, team);
        return SS_OK;
    }
    while (a[last].x != 1)
        last++;
    const ss_axis across = a[n - 1], whole = a[last];
    const int64_t strips = (whole.n + TILE - 1) / TILE;

    /* a task: one strip of x's last axis, at one step of the others */
    a[last] = (ss_axis){strips, TILE, TILE * whole.y};
#pragma omp parallel for num_threads(team) schedule(static)
    for (int64_t i = 0; i < values / across.n / whole.n * strips; i++) {
        int64_t from = 0, to = 0;

        offsets(a, n - 1, i, &from, &to);
        const int64_t first = to / whole.y % whole.n;
        const ss_axis down = {min_i64(TILE, whole.n - first), 1, whole.y};

        transpose((const float *)x->data + from, (float *)y->data + to, down, across);
    }
    return SS_OK;
}
