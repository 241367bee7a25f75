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
    const float *from = x->data, *m = mod->data;
    float *to = y->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *xr = from + r * C, *scale = m + r / rows_per_sample * 2 * C;
        const float *shift = scale + C;
        float *yr = to + r * C;

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
