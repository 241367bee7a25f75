/* isa_resample.c - pictures [N][H][W][C] made larger and smaller */
#include "kernels/cpu/isa.h"

ss_code ISA(upsample_nearest)(ss_device *d, const ss_tensor *x, ss_tensor *y, ss_err *e)
{
    const int64_t *from = x->shape.dim, *to = y->shape.dim;
    const int64_t N = to[0], H = from[1], W = from[2], C = from[3], h = to[1], w = to[2];
    const float *xd = x->data;
    float *yd = y->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, N *h *w *C)) schedule(static)
    for (int64_t r = 0; r < N * h; r++) {
        const float *row = xd + (r / h * H + r % h * H / h) * W * C;

        for (int64_t j = 0; j < w; j++)
            memcpy(yd + (r * w + j) * C, row + j * W / w * C, (size_t)C * sizeof(float));
    }
    return SS_OK;
}

ss_code ISA(avg_pool2)(ss_device *d, const ss_tensor *x, ss_tensor *y, ss_err *e)
{
    const int64_t *from = x->shape.dim, *to = y->shape.dim;
    const int64_t N = to[0], H = from[1], W = from[2], C = from[3], h = to[1], w = to[2];
    const float *xd = x->data;
    float *yd = y->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, N *H *W *C)) schedule(static)
    for (int64_t r = 0; r < N * h; r++) {
        const float *top = xd + (r / h * H + r % h * 2) * W * C, *bottom = top + W * C;

        for (int64_t j = 0; j < w; j++) {
            const float *t = top + 2 * j * C, *b = bottom + 2 * j * C;
            float *yj = yd + (r * w + j) * C;

#pragma omp simd
            for (int64_t c = 0; c < C; c++)
                yj[c] = (t[c] + t[c + C] + b[c] + b[c + C]) * 0.25f;
        }
    }
    return SS_OK;
}

/* One axis of the zero-inserted, padded picture: output o sees, through flipped tap t, its
 * position o*down + t - pad0, which holds source value `position / up` or an inserted zero.
 * Writes the sources that exist and their weights; returns how many. */
static int sources(const ss_fir_args *a, int64_t o, int64_t size, int64_t *index, float *weight)
{
    int n = 0;

    for (int t = 0; t < a->taps; t++) {
        const int64_t p = o * a->down + t - a->pad0;

        if (p < 0 || p % a->up != 0 || p / a->up >= size)
            continue;
        index[n] = p / a->up;
        weight[n++] = a->kernel[a->taps - 1 - t];
    }
    return n;
}

/* y[c] = sum over the sources of weight times x, channel by channel */
static void fir_pixel(const float *const *x, const float *weight, int n, float *y, int64_t C)
{
    enum { BLOCK = 64 };

    for (int64_t c0 = 0; c0 < C; c0 += BLOCK) {
        const int64_t len = min_i64(BLOCK, C - c0);
        float sum[BLOCK] = {0};

        for (int k = 0; k < n; k++) {
            const float *xk = x[k] + c0;
            const float w = weight[k];

#pragma omp simd
            for (int64_t c = 0; c < len; c++)
                sum[c] = MADD(w, xk[c], sum[c]);
        }
        memcpy(y + c0, sum, (size_t)len * sizeof(float));
    }
}

ss_code ISA(fir_resample)(ss_device *d, const ss_fir_args *a, ss_err *e)
{
    enum { MAX_TAPS = 8 };
    const int64_t *from = a->x->shape.dim, *to = a->y->shape.dim;
    const int64_t N = to[0], H = from[1], W = from[2], C = from[3], h = to[1], w = to[2];
    const float *xd = a->x->data;
    float *yd = a->y->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, N *h *w *C)) schedule(static)
    for (int64_t r = 0; r < N * h; r++) {
        int64_t rows[MAX_TAPS], columns[MAX_TAPS];
        float row_weight[MAX_TAPS], column_weight[MAX_TAPS];
        const int n_rows = sources(a, r % h, H, rows, row_weight);

        for (int64_t j = 0; j < w; j++) {
            const float *x[MAX_TAPS * MAX_TAPS];
            float weight[MAX_TAPS * MAX_TAPS];
            const int n_columns = sources(a, j, W, columns, column_weight);
            int n = 0;

            for (int i = 0; i < n_rows; i++) {
                for (int k = 0; k < n_columns; k++) {
                    x[n] = xd + ((r / h * H + rows[i]) * W + columns[k]) * C;
                    weight[n++] = row_weight[i] * column_weight[k];
                }
            }
            fir_pixel(x, weight, n, yd + (r * w + j) * C, C);
        }
    }
    return SS_OK;
}

/* ---- gradients ---- */

static void add_to(const float *x, float *y, int64_t C)
{
#pragma omp simd
    for (int64_t c = 0; c < C; c++)
        y[c] += x[c];
}

/* The first of the n outputs that took source i of `size`, or a later one: the least o with
 * floor(o size / n) >= i. */
static int64_t first_taker(int64_t i, int64_t size, int64_t n)
{
    return (i * n + size - 1) / size;
}

ss_code ISA(back_upsample_nearest)(ss_device *d, const ss_tensor *dy, ss_tensor *dx, ss_err *e)
{
    const int64_t *from = dx->shape.dim, *to = dy->shape.dim;
    const int64_t N = to[0], H = from[1], W = from[2], C = from[3], h = to[1], w = to[2];
    const float *back = dy->data;
    float *xd = dx->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, N *h *w *C)) schedule(static)
    for (int64_t r = 0; r < N * H; r++) {
        const int64_t y0 = first_taker(r % H, H, h), y1 = first_taker(r % H + 1, H, h);
        float *row = xd + r * W * C;

        memset(row, 0, (size_t)(W * C) * sizeof *row);
        for (int64_t y = y0; y < y1; y++)
            for (int64_t x = 0; x < w; x++)
                add_to(back + ((r / H * h + y) * w + x) * C, row + x * W / w * C, C);
    }
    return SS_OK;
}

ss_code ISA(back_avg_pool2)(ss_device *d, const ss_tensor *dy, ss_tensor *dx, ss_err *e)
{
    const int64_t *from = dx->shape.dim, *to = dy->shape.dim;
    const int64_t N = to[0], H = from[1], W = from[2], C = from[3], h = to[1], w = to[2];
    const float *back = dy->data;
    float *xd = dx->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, N *H *W *C)) schedule(static)
    for (int64_t r = 0; r < N * H; r++) {
        const int64_t y = r % H / 2;
        float *row = xd + r * W * C;

        memset(row, 0, (size_t)(W * C) * sizeof *row);
        for (int64_t x = 0; y < h && x < 2 * w; x++) {
            const float *dyx = back + ((r / H * h + y) * w + x / 2) * C;

#pragma omp simd
            for (int64_t c = 0; c < C; c++)
                row[x * C + c] = dyx[c] * 0.25f;
        }
    }
    return SS_OK;
}

/* The outputs that saw source i: o down + t - pad0 = i up, through flipped tap t. */
static int takers(const ss_fir_args *a, int64_t i, int64_t outputs, int64_t *index, float *weight)
{
    int n = 0;

    for (int t = 0; t < a->taps; t++) {
        const int64_t p = i * a->up + a->pad0 - t;

        if (p < 0 || p % a->down != 0 || p / a->down >= outputs)
            continue;
        index[n] = p / a->down;
        weight[n++] = a->kernel[a->taps - 1 - t];
    }
    return n;
}

ss_code ISA(back_fir_resample)(ss_device *d, const ss_fir_args *a, ss_err *e)
{
    enum { MAX_TAPS = 8 };
    const int64_t *from = a->y->shape.dim, *to = a->x->shape.dim; /* dx, dy */
    const int64_t N = to[0], H = from[1], W = from[2], C = from[3], h = to[1], w = to[2];
    const float *back = a->x->data;
    float *xd = a->y->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, N *h *w *C)) schedule(static)
    for (int64_t r = 0; r < N * H; r++) {
        int64_t rows[MAX_TAPS], columns[MAX_TAPS];
        float row_weight[MAX_TAPS], column_weight[MAX_TAPS];
        const int n_rows = takers(a, r % H, h, rows, row_weight);

        for (int64_t j = 0; j < W; j++) {
            const float *dy[MAX_TAPS * MAX_TAPS];
            float weight[MAX_TAPS * MAX_TAPS];
            const int n_columns = takers(a, j, w, columns, column_weight);
            int n = 0;

            for (int i = 0; i < n_rows; i++) {
                for (int k = 0; k < n_columns; k++) {
                    dy[n] = back + ((r / H * h + rows[i]) * w + columns[k]) * C;
                    weight[n++] = row_weight[i] * column_weight[k];
                }
            }
            fir_pixel(dy, weight, n, xd + (r * W + j) * C, C);
        }
    }
    return SS_OK;
}
