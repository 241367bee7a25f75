/* isa_elementwise.c - operations that treat each value by itself */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_math.h"

/* Values a thread takes at a time: x and y together fit the first-level cache. */
enum { BLOCK = 2048 };

static void activate_block(const float *x, float *y, int64_t n, ss_act act)
{
#define BODY(f) _Pragma("omp simd") for (int64_t i = 0; i < n; i++) y[i] = f(x[i])
    SWITCH_ACT(act)
#undef BODY
}

ss_code ISA(activate)(ss_device *d, const ss_tensor *x, ss_act act, ss_tensor *y, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);
    const float *from = x->data;
    float *to = y->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK)
        activate_block(from + i0, to + i0, min_i64(BLOCK, n - i0), act);
    return SS_OK;
}

/* Two roundings, as in PyTorch. */
static void affine_block(const float *x, float *y, int64_t n, float mul, float add)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * mul + add;
}

ss_code ISA(affine)(ss_device *d, const ss_tensor *x, float mul, float add, ss_tensor *y, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);
    const float *from = x->data;
    float *to = y->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK)
        affine_block(from + i0, to + i0, min_i64(BLOCK, n - i0), mul, add);
    return SS_OK;
}

static void clamp_block(const float *x, float *y, int64_t n, float lo, float hi)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float v = x[i] < lo ? lo : x[i]; /* a NaN compares false, and stays */

        y[i] = v > hi ? hi : v;
    }
}

ss_code ISA(clamp)(ss_device *d, const ss_tensor *x, float lo, float hi, ss_tensor *y, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);
    const float *from = x->data;
    float *to = y->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK)
        clamp_block(from + i0, to + i0, min_i64(BLOCK, n - i0), lo, hi);
    return SS_OK;
}

ss_code ISA(round)(ss_device *d, const ss_tensor *x, const ss_format *f, ss_tensor *y, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);
    const float *from = x->data;
    float *to = y->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK)
        ISA(round_values)(f, from + i0, to + i0, min_i64(BLOCK, n - i0));
    return SS_OK;
}

ss_code ISA(gain)(ss_device *d, const ss_tensor *x, const ss_tensor *g, ss_tensor *y, ss_err *e)
{
    const float *k = ss_cpu_param(d, g, NULL, e);

    return k ? ISA(affine)(d, x, *k, 0, y, e) : SS_NOMEM;
}

static void add_block(const float *a, const float *b, float *y, int64_t n, float scale)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = (a[i] + b[i]) * scale;
}

ss_code ISA(add)(ss_device *d, const ss_tensor *a, const ss_tensor *b, float scale, ss_tensor *y,
                 ss_err *e)
{
    const int64_t n = ss_shape_numel(a->shape);
    const float *left = a->data, *right = b->data;
    float *to = y->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK)
        add_block(left + i0, right + i0, to + i0, min_i64(BLOCK, n - i0), scale);
    return SS_OK;
}

static void multiply_block(const float *a, const float *b, float *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = a[i] * b[i];
}

ss_code ISA(multiply)(ss_device *d, const ss_tensor *a, const ss_tensor *b, ss_tensor *y, ss_err *e)
{
    const int64_t n = ss_shape_numel(a->shape);
    const float *left = a->data, *right = b->data;
    float *to = y->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK)
        multiply_block(left + i0, right + i0, to + i0, min_i64(BLOCK, n - i0));
    return SS_OK;
}

ss_code ISA(fill)(ss_device *d, ss_tensor *y, float value, ss_err *e)
{
    const int64_t n = ss_shape_numel(y->shape);
    float *to = y->data;

    (void)e;
#pragma omp parallel for simd num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t i = 0; i < n; i++)
        to[i] = value;
    return SS_OK;
}

/* ---- gradients ---- */

static void slope_block(const float *x, const float *dy, float *dx, int64_t n, ss_act act)
{
#define BODY(f) _Pragma("omp simd") for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * f(x[i])
    SWITCH_SLOPE(act)
#undef BODY
}

ss_code ISA(back_activate)(ss_device *d, const ss_tensor *x, ss_act act, const ss_tensor *dy,
                           ss_tensor *dx, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);
    const float *from = x->data, *back = dy->data;
    float *to = dx->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK)
        slope_block(from + i0, back + i0, to + i0, min_i64(BLOCK, n - i0), act);
    return SS_OK;
}

ss_code ISA(back_clamp)(ss_device *d, const ss_tensor *x, float lo, float hi, const ss_tensor *dy,
                        ss_tensor *dx, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);
    const float *from = x->data, *back = dy->data;
    float *to = dx->data;

    (void)e;
#pragma omp parallel for simd num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t i = 0; i < n; i++)
        to[i] = from[i] < lo || from[i] > hi ? 0 : back[i]; /* to a NaN, which stayed, all */
    return SS_OK;
}

static double dot_block(const float *a, const float *b, int64_t n)
{
    double sum = 0;

#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

ss_code ISA(back_dot)(ss_device *d, const ss_tensor *a, const ss_tensor *b, ss_tensor *y, ss_err *e)
{
    const int64_t n = ss_shape_numel(a->shape), blocks = (n + BLOCK - 1) / BLOCK;
    const size_t bytes = (size_t)blocks * sizeof(double);
    const float *left = a->data, *right = b->data;
    double *sums = ss_pool_alloc(&d->pool, bytes), sum = 0;

    if (!sums)
        return ss_fail(e, SS_NOMEM, "a sum of products: %zu bytes of work space", bytes);
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t i = 0; i < blocks; i++)
        sums[i] = dot_block(left + i * BLOCK, right + i * BLOCK, min_i64(BLOCK, n - i * BLOCK));
    for (int64_t i = 0; i < blocks; i++)
        sum += sums[i];
    *(float *)y->data = (float)sum;
    ss_pool_free(&d->pool, sums);
    return SS_OK;
}
