/* pictures.c - pictures [N][H][W][C] made larger and smaller; see pictures.cu */
#include "kernels/cuda/cuda.h"

#include <string.h>

/* Pictures y of pictures x. */
static ss_cuda_pictures pictures(const ss_tensor *x, const ss_tensor *y)
{
    const int64_t *from = x->shape.dim, *to = y->shape.dim;
    const int pack = ss_cuda_pack(to[3], x->data, y->data, NULL);

    return (ss_cuda_pictures){.channels = ss_cuda_divisor_of(to[3] / pack),
                              .width = ss_cuda_divisor_of(to[2]),
                              .height = ss_cuda_divisor_of(to[1]),
                              .x_width = from[2],
                              .x_height = from[1],
                              .n = ss_shape_numel(y->shape) / pack,
                              .pack = pack};
}

static ss_cuda_grid_size grid_of(const ss_device *d, const ss_tensor *y)
{
    return ss_cuda_grid(d, ss_shape_numel(y->shape), SS_THREADS_upsample);
}

ss_code ss_cuda_upsample_nearest(ss_device *d, const ss_tensor *x, ss_tensor *y, ss_err *e)
{
    return SS_LAUNCH(d, e, upsample, grid_of(d, y), .x = x->data, .y = y->data,
                     .p = pictures(x, y));
}

ss_code ss_cuda_back_upsample_nearest(ss_device *d, const ss_tensor *dy, ss_tensor *dx, ss_err *e)
{
    return SS_LAUNCH(d, e, back_upsample, grid_of(d, dx), .x = dy->data, .y = dx->data,
                     .p = pictures(dy, dx));
}

ss_code ss_cuda_avg_pool2(ss_device *d, const ss_tensor *x, ss_tensor *y, ss_err *e)
{
    return SS_LAUNCH(d, e, avg_pool, grid_of(d, y), .x = x->data, .y = y->data,
                     .p = pictures(x, y));
}

ss_code ss_cuda_back_avg_pool2(ss_device *d, const ss_tensor *dy, ss_tensor *dx, ss_err *e)
{
    return SS_LAUNCH(d, e, back_avg_pool, grid_of(d, dx), .x = dy->data, .y = dx->data,
                     .p = pictures(dy, dx));
}

/* y[o] of places (o mul + shift + sign t) / div of x. */
static ss_code fir(ss_device *d, const ss_fir_args *f, int mul, int div, int shift, int sign,
                   ss_err *e)
{
    const int64_t bias = shift < 0 ? (-(int64_t)shift + div - 1) / div : 0;
    ss_kernel_fir a = {.x = f->x->data,
                       .y = f->y->data,
                       .p = pictures(f->x, f->y),
                       .div = ss_cuda_divisor_of(div),
                       .shift = shift + bias * div,
                       .bias = bias,
                       .mul = mul,
                       .sign = sign,
                       .taps = f->taps};

    memcpy(a.kernel, f->kernel, (size_t)f->taps * sizeof *f->kernel);
    return ss_cuda_launch(d, SS_KERNEL_fir, grid_of(d, f->y), SS_THREADS_fir, &a, e);
}

/* Output o sees, through tap t, position o down + t - pad0 of the picture with zeros inserted, of
 * which every up-th is a value. */
ss_code ss_cuda_fir_resample(ss_device *d, const ss_fir_args *f, ss_err *e)
{
    return fir(d, f, f->down, f->up, -f->pad0, 1, e);
}

/* The transposed map: the same positions, solved for o. */
ss_code ss_cuda_back_fir_resample(ss_device *d, const ss_fir_args *f, ss_err *e)
{
    return fir(d, f, f->up, f->down, f->pad0, -1, e);
}
