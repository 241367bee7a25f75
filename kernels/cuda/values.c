/* values.c - operations that treat each value, or each channel, by itself; see values.cu */
#include "kernels/cuda/cuda.h"

#include <string.h>

ss_code ss_cuda_fill(ss_device *d, ss_tensor *y, float value, ss_err *e)
{
    const int64_t n = ss_shape_numel(y->shape);

    return SS_LAUNCH(d, e, fill, ss_cuda_grid(d, n, SS_THREADS_fill), .y = y->data, .value = value,
                     .n = n);
}

ss_code ss_cuda_affine(ss_device *d, const ss_tensor *x, float mul, float add, ss_tensor *y,
                       ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);

    return SS_LAUNCH(d, e, affine, ss_cuda_grid(d, n, SS_THREADS_affine), .x = x->data,
                     .y = y->data, .mul = mul, .add = add, .n = n);
}

ss_code ss_cuda_gain(ss_device *d, const ss_tensor *x, const ss_tensor *g, ss_tensor *y, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);
    const float *k = ss_cuda_param(d, g, SS_PREPARED_FORWARD, NULL, SS_CUDA_AS_IS, e);

    if (!k)
        return e->code;
    return SS_LAUNCH(d, e, gain, ss_cuda_grid(d, n, SS_THREADS_gain), .x = x->data, .g = k,
                     .y = y->data, .n = n);
}

ss_code ss_cuda_clamp(ss_device *d, const ss_tensor *x, float lo, float hi, ss_tensor *y, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);

    return SS_LAUNCH(d, e, clamp, ss_cuda_grid(d, n, SS_THREADS_clamp), .x = x->data, .y = y->data,
                     .lo = lo, .hi = hi, .n = n);
}

ss_code ss_cuda_add(ss_device *d, const ss_tensor *a, const ss_tensor *b, float scale, ss_tensor *y,
                    ss_err *e)
{
    const int64_t n = ss_shape_numel(a->shape);

    return SS_LAUNCH(d, e, add, ss_cuda_grid(d, n, SS_THREADS_add), .a = a->data, .b = b->data,
                     .y = y->data, .scale = scale, .n = n);
}

ss_code ss_cuda_multiply(ss_device *d, const ss_tensor *a, const ss_tensor *b, ss_tensor *y,
                         ss_err *e)
{
    const int64_t n = ss_shape_numel(a->shape);

    return SS_LAUNCH(d, e, multiply, ss_cuda_grid(d, n, SS_THREADS_multiply), .a = a->data,
                     .b = b->data, .y = y->data, .n = n);
}

/* Samples go in runs whose factors fit a kernel's arguments. */
ss_code ss_cuda_scale_samples(ss_device *d, const ss_tensor *x, const float *k, ss_tensor *y,
                              ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape), N = x->shape.dim[0], len = N ? n / N : 0;
    const int pack = ss_cuda_pack(len, x->data, y->data, NULL);
    ss_code rc = SS_OK;

    for (int64_t s = 0; n && s < N && rc == SS_OK; s += SS_CUDA_SAMPLES) {
        const int64_t samples = N - s < SS_CUDA_SAMPLES ? N - s : SS_CUDA_SAMPLES;
        ss_kernel_scale_samples args = {.x = (const float *)x->data + s * len,
                                        .y = (float *)y->data + s * len,
                                        .sample = ss_cuda_divisor_of(len / pack),
                                        .n = samples * len / pack,
                                        .pack = pack};

        memcpy(args.k, k + s, (size_t)samples * sizeof *k);
        rc = ss_cuda_launch(d, SS_KERNEL_scale_samples,
                            ss_cuda_grid(d, samples * len, SS_THREADS_scale_samples),
                            SS_THREADS_scale_samples, &args, e);
    }
    return rc;
}

ss_code ss_cuda_add_channels(ss_device *d, const ss_tensor *x, const ss_tensor *v, ss_tensor *y,
                             ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape), C = x->shape.dim[x->shape.rank - 1];
    const int pack = ss_cuda_pack(C, x->data, v->data, y->data);

    if (!n)
        return SS_OK;
    return SS_LAUNCH(d, e, add_channels, ss_cuda_grid(d, n, SS_THREADS_add_channels), .x = x->data,
                     .v = v->data, .y = y->data, .channels = ss_cuda_divisor_of(C / pack),
                     .rows = ss_cuda_divisor_of(n / C / x->shape.dim[0]), .n = n / pack,
                     .pack = pack);
}

ss_code ss_cuda_activate(ss_device *d, const ss_tensor *x, ss_act act, ss_tensor *y, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);

    switch (act) {
#define X(id, name)                                                                             \
    case SS_ACT_##id:                                                                           \
        return SS_LAUNCH(d, e, activate_##name, ss_cuda_grid(d, n, SS_THREADS_activate_##name), \
                         .x = x->data, .y = y->data, .n = n);
        SS_ACTS(X)
#undef X
    case SS_N_ACTS: break;
    }
    return SS_OK;
}

/* ---- gradients ---- */

ss_code ss_cuda_back_activate(ss_device *d, const ss_tensor *x, ss_act act, const ss_tensor *dy,
                              ss_tensor *dx, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);

    switch (act) {
#define X(id, name)                                                                       \
    case SS_ACT_##id:                                                                     \
        return SS_LAUNCH(d, e, slope_##name, ss_cuda_grid(d, n, SS_THREADS_slope_##name), \
                         .x = x->data, .dy = dy->data, .dx = dx->data, .n = n);
        SS_ACTS(X)
#undef X
    case SS_N_ACTS: break;
    }
    return SS_OK;
}

ss_code ss_cuda_back_clamp(ss_device *d, const ss_tensor *x, float lo, float hi,
                           const ss_tensor *dy, ss_tensor *dx, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);

    return SS_LAUNCH(d, e, back_clamp, ss_cuda_grid(d, n, SS_THREADS_back_clamp), .x = x->data,
                     .dy = dy->data, .dx = dx->data, .lo = lo, .hi = hi, .n = n);
}
