/* convert.c - values rounded to a format, and those of other types as f32; see values.cu */
#include "kernels/cuda/cuda.h"

ss_code ss_cuda_round(ss_device *d, const ss_tensor *x, const ss_format *f, ss_tensor *y, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);

    return SS_LAUNCH(d, e, round_values, ss_cuda_grid(d, n, SS_THREADS_round_values), .x = x->data,
                     .y = y->data, .to = ss_cuda_rounding_of(f), .n = n);
}

ss_code ss_cuda_widen(ss_device *d, const void *x, ss_dtype t, const ss_format *f, float *y,
                      int64_t n, ss_err *e)
{
    const ss_cuda_rounding to = ss_cuda_rounding_of(f);
    const ss_cuda_grid_size grid = ss_cuda_grid(d, n, SS_THREADS_round_values);

    switch (t) {
    case SS_F32: return SS_LAUNCH(d, e, round_values, grid, .x = x, .y = y, .n = n, .to = to);
    case SS_F16: return SS_LAUNCH(d, e, widen_f16, grid, .x = x, .y = y, .n = n, .to = to);
    case SS_BF16: return SS_LAUNCH(d, e, widen_bf16, grid, .x = x, .y = y, .n = n, .to = to);
    }
    return SS_OK;
}
