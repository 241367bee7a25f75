/* isa_rows.c - operations on rows, a row being the channels of one position */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_math.h"

ss_code ISA(geglu)(ss_device *d, const ss_tensor *x, ss_tensor *y, ss_err *e)
{
    const int64_t n = ss_shape_numel(y->shape); /* y [rows][K], x [rows][2K] */
    const int64_t K = y->shape.dim[y->shape.rank - 1], rows = K ? n / K : 0;
    const float *from = x->data;
    float *to = y->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *value = from + 2 * r * K, *gate = value + K;
        float *yr = to + r * K;

#pragma omp simd
        for (int64_t k = 0; k < K; k++)
            yr[k] = value[k] * gelu_f32(gate[k]);
    }
    return SS_OK;
}

ss_code ISA(scale_samples)(ss_device *d, const ss_tensor *x, const float *k, ss_tensor *y,
                           ss_err *e)
{
    enum { BLOCK = 4096 };
    const int64_t n = ss_shape_numel(x->shape), N = x->shape.dim[0], len = N ? n / N : 0;
    const int64_t blocks = (len + BLOCK - 1) / BLOCK;
    const float *from = x->data;
    float *to = y->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t b = 0; b < N * blocks; b++) {
        const int64_t s = b / blocks, i0 = b % blocks * BLOCK, i1 = min_i64(i0 + BLOCK, len);
        const float *xs = from + s * len;
        const float ks = k[s];
        float *ys = to + s * len;

#pragma omp simd
        for (int64_t i = i0; i < i1; i++)
            ys[i] = xs[i] * ks;
    }
    return SS_OK;
}

ss_code ISA(add_channels)(ss_device *d, const ss_tensor *x, const ss_tensor *v, ss_tensor *y,
                          ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape), N = x->shape.dim[0];
    const int64_t C = x->shape.dim[x->shape.rank - 1];
    const int64_t rows = C ? n / C : 0, rows_per_sample = N ? rows / N : 0;
    const float *from = x->data, *add = v->data;
    float *to = y->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *xr = from + r * C, *vr = add + r / rows_per_sample * C;
        float *yr = to + r * C;

#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            yr[c] = xr[c] + vr[c];
    }
    return SS_OK;
}

ss_code ISA(modulate)(ss_device *d, const ss_tensor *x, const ss_tensor *mod, ss_tensor *y,
                      ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape), N = x->shape.dim[0];
    const int64_t C = x->shape.dim[x->shape.rank - 1];
    const int64_t rows = C ? n / C : 0, rows_per_sample = N ? rows / N : 0;
    const int64_t width = mod->shape.dim[mod->shape.rank - 1]; /* 2 C, or C without shift */
    const float *from = x->data, *m = mod->data;
    float *to = y->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *xr = from + r * C, *scale = m + r / rows_per_sample * width;
        const float *shift = scale + C;
        float *yr = to + r * C;

        if (width == C) {
#pragma omp simd
            for (int64_t c = 0; c < C; c++)
                yr[c] = xr[c] * (1 + scale[c]);
            continue;
        }
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            yr[c] = xr[c] * (1 + scale[c]) + shift[c];
    }
    return SS_OK;
}

ss_code ISA(copy_rows)(ss_device *d, const ss_tensor *x, int64_t x_offset, int64_t x_stride,
                       ss_tensor *y, int64_t y_offset, int64_t y_stride, int64_t rows, int64_t len,
                       ss_err *e)
{
    const float *from = (const float *)x->data + x_offset;
    float *to = (float *)y->data + y_offset;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, rows *len)) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        memcpy(to + r * y_stride, from + r * x_stride, (size_t)len * sizeof(float));
    return SS_OK;
}

/* Threads share the channels, so that each sum runs over the tokens in order. */
ss_code ISA(mean_tokens)(ss_device *d, const ss_tensor *x, ss_tensor *y, ss_err *e)
{
    enum { BLOCK = 64 };
    const int64_t N = x->shape.dim[0], T = x->shape.dim[1], C = x->shape.dim[2];
    const int64_t blocks = (C + BLOCK - 1) / BLOCK;
    const float *from = x->data; /* [N][T][C] */
    float *to = y->data;         /* [N][C] */

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, N *T *C)) schedule(static)
    for (int64_t b = 0; b < N * blocks; b++) {
        const int64_t s = b / blocks, c0 = b % blocks * BLOCK, len = min_i64(BLOCK, C - c0);
        double sum[BLOCK] = {0};

        for (int64_t t = 0; t < T; t++) {
            const float *xt = from + (s * T + t) * C + c0;

#pragma omp simd
            for (int64_t c = 0; c < len; c++)
                sum[c] += xt[c];
        }
        for (int64_t c = 0; c < len; c++)
            to[s * C + c0 + c] = (float)(sum[c] / (double)T);
    }
    return SS_OK;
}

ss_code ISA(embedding)(ss_device *d, const ss_tensor *table, const int64_t *ids, ss_tensor *y,
                       ss_err *e)
{
    const int64_t n = y->shape.dim[0], C = y->shape.dim[1];
    const char *rows = table->data; /* [K][C] of any type */
    float *to = y->data;            /* [n][C] */

    (void)d, (void)e;
    for (int64_t i = 0; i < n; i++)
        ISA(to_f32)
    (rows + ids[i] * C * (int64_t)ss_dtype_size(table->dtype), table->dtype, to + i * C, C);
    return SS_OK;
}

/* ---- gradients ---- */

ss_code ISA(back_geglu)(ss_device *d, const ss_tensor *x, const ss_tensor *dy, ss_tensor *dx,
                        ss_err *e)
{
    const int64_t n = ss_shape_numel(dy->shape); /* dy [rows][K], x and dx [rows][2K] */
    const int64_t K = dy->shape.dim[dy->shape.rank - 1], rows = K ? n / K : 0;
    const float *from = x->data, *back = dy->data;
    float *to = dx->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *value = from + 2 * r * K, *gate = value + K, *dyr = back + r * K;
        float *dvalue = to + 2 * r * K, *dgate = dvalue + K;

#pragma omp simd
        for (int64_t k = 0; k < K; k++) {
            dvalue[k] = dyr[k] * gelu_f32(gate[k]);
            dgate[k] = dyr[k] * value[k] * gelu_slope(gate[k]);
        }
    }
    return SS_OK;
}

/* Rows go in blocks of some 64 Ki values to the threads; the blocks' sums, in double, are added
 * in order. */
ss_code ISA(back_sum_rows)(ss_device *d, const ss_tensor *x, int64_t groups, ss_tensor *y,
                           ss_err *e)
{
    const int64_t C = x->shape.dim[x->shape.rank - 1], n = ss_shape_numel(x->shape);
    const int64_t rows = C && groups ? n / C / groups : 0;
    const int64_t step = C < 65536 ? 65536 / (C ? C : 1) : 1, blocks = (rows + step - 1) / step;
    const float *from = x->data;
    float *to = y->data;
    const size_t bytes = (size_t)(groups * blocks * C) * sizeof(double);
    double *sums = ss_pool_alloc(&d->pool, bytes); /* [groups][blocks][C] */

    if (!sums)
        return ss_fail(e, SS_NOMEM, "sums of rows: %zu bytes of work space", bytes);
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t b = 0; b < groups * blocks; b++) {
        const int64_t r0 = b % blocks * step, r1 = min_i64(r0 + step, rows);
        const float *xb = from + b / blocks * rows * C;
        double *sum = sums + b * C;

        memset(sum, 0, (size_t)C * sizeof *sum);
        for (int64_t r = r0; r < r1; r++) {
#pragma omp simd
            for (int64_t c = 0; c < C; c++)
                sum[c] += xb[r * C + c];
        }
    }
    for (int64_t g = 0; g < groups; g++) {
        double *total = sums + g * blocks * C;

        for (int64_t b = 1; b < blocks; b++)
            for (int64_t c = 0; c < C; c++)
                total[c] += total[b * C + c];
        for (int64_t c = 0; c < C; c++)
            to[g * C + c] = blocks ? (float)total[c] : 0;
    }
    ss_pool_free(&d->pool, sums);
    return SS_OK;
}

/* Threads share samples and channels, so that each sum runs over the positions in order. */
ss_code ISA(back_modulate)(ss_device *d, const ss_tensor *x, const ss_tensor *mod,
                           const ss_tensor *dy, ss_tensor *dx, ss_tensor *dmod, ss_err *e)
{
    enum { BLOCK = 64 };
    const int64_t n = ss_shape_numel(x->shape), N = x->shape.dim[0];
    const int64_t C = x->shape.dim[x->shape.rank - 1], P = N && C ? n / N / C : 0;
    const int64_t blocks = (C + BLOCK - 1) / BLOCK;
    const int64_t width = mod->shape.dim[mod->shape.rank - 1]; /* as in the forward */
    const float *from = x->data, *m = mod->data, *back = dy->data;
    float *to = dx ? dx->data : NULL, *to_mod = dmod ? dmod->data : NULL;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t b = 0; b < N * blocks; b++) {
        const int64_t s = b / blocks, c0 = b % blocks * BLOCK, len = min_i64(BLOCK, C - c0);
        const float *scale = m + s * width + c0;
        double dscale[BLOCK] = {0}, dshift[BLOCK] = {0};

        for (int64_t p = 0; p < P; p++) {
            const int64_t at = (s * P + p) * C + c0;

            for (int64_t c = 0; c < len; c++) {
                dscale[c] += (double)back[at + c] * from[at + c];
                dshift[c] += back[at + c];
                if (to)
                    to[at + c] = back[at + c] * (1 + scale[c]);
            }
        }
        for (int64_t c = 0; to_mod && c < len; c++) {
            to_mod[s * width + c0 + c] = (float)dscale[c];
            if (width > C)
                to_mod[s * width + C + c0 + c] = (float)dshift[c];
        }
    }
    return SS_OK;
}

ss_code ISA(back_mean_tokens)(ss_device *d, const ss_tensor *dy, ss_tensor *dx, ss_err *e)
{
    const int64_t N = dx->shape.dim[0], T = dx->shape.dim[1], C = dx->shape.dim[2];
    const float *back = dy->data; /* [N][1][C] */
    float *to = dx->data;         /* [N][T][C] */

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, N *T *C)) schedule(static)
    for (int64_t r = 0; r < N * T; r++)
        for (int64_t c = 0; c < C; c++)
            to[r * C + c] = back[r / T * C + c] / (float)T;
    return SS_OK;
}

/* One thread: rows may repeat, and are added in their order. */
ss_code ISA(back_embedding)(ss_device *d, const int64_t *ids, const ss_tensor *dy,
                            ss_tensor *dtable, ss_err *e)
{
    const int64_t n = dy->shape.dim[0], C = dy->shape.dim[1];
    const float *back = dy->data; /* [n][C] */
    float *to = dtable->data;     /* [K][C] */

    (void)d, (void)e;
    memset(to, 0, dtable->buf->bytes);
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < C; c++)
            to[ids[i] * C + c] += back[i * C + c];
    return SS_OK;
}
