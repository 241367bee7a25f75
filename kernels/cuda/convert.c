/* convert.c - values of other types as f32, and matrices turned (cuda.h) */
#include "kernels/cuda/cuda.h"

ss_code ss_cuda_widen(ss_device *d, const void *x, ss_dtype t, const ss_format *f, float *y,
                      int64_t n, ss_err *e)
{
    const ss_cuda_rounding to = ss_cuda_rounding_of(f);
    const ss_cuda_grid_size grid = ss_cuda_grid(d, n, SS_THREADS_widen_f32);

    switch (t) {
    case SS_F32: return SS_LAUNCH(d, e, widen_f32, grid, .x = x, .y = y, .n = n, .to = to);
    case SS_F16: return SS_LAUNCH(d, e, widen_f16, grid, .x = x, .y = y, .n = n, .to = to);
    case SS_BF16: return SS_LAUNCH(d, e, widen_bf16, grid, .x = x, .y = y, .n = n, .to = to);
    }
    return SS_OK;
}

ss_code ss_cuda_transpose(ss_device *d, const float *x, float *y, int64_t n, int64_t a, int64_t b,
                          ss_err *e)
{
    enum { TILE = 32 };
    const int64_t across = (b + TILE - 1) / TILE, down = (a + TILE - 1) / TILE;

    return SS_LAUNCH(d, e, transpose, ((ss_cuda_grid_size){.x = n * across * down}), .x = x, .y = y,
                     .rows = a, .columns = b, .across = across, .down = down);
}
