/* unit_rms.c - rows of unit root mean square on the device: launches */
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/packs.h"

/* x may be a parameter of any type. */
static const float *values_of(ss_device *d, const ss_tensor *x, ss_err *e)
{
    return ss_cuda_param(d, x, SS_PREPARED_FORWARD, NULL, SS_CUDA_AS_IS, e);
}

ss_code ss_cuda_unit_rms(ss_device *d, const ss_tensor *x, int64_t row, float scale, ss_tensor *y,
                         ss_err *e)
{
    const int64_t rows = ss_shape_numel(x->shape) / row;
    const float *from = values_of(d, x, e);

    if (!from)
        return e->code;
    const int vector = ss_cuda_pack(row, from, y->data, NULL);
    return SS_LAUNCH_ROWS(d, e, unit_rms, rows, row, vector, .x = from, .y = y->data, .rows = rows,
                          .row = row, .vector = vector, .scale = scale);
}

ss_code ss_cuda_back_unit_rms(ss_device *d, const ss_tensor *x, int64_t row, float scale,
                              const ss_tensor *dy, ss_tensor *dx, ss_err *e)
{
    const int64_t rows = ss_shape_numel(x->shape) / row;
    const float *from = values_of(d, x, e);

    if (!from)
        return e->code;
    const int vector = ss_cuda_pack(row, from, dy->data, dx->data);
    return SS_LAUNCH_ROWS(d, e, unit_rms_back, rows, row, vector, .x = from, .dy = dy->data,
                          .dx = dx->data, .rows = rows, .row = row, .vector = vector,
                          .scale = scale);
}
