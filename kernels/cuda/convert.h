/* convert.h - arguments of the kernels in convert.cu (kernels.h) */
#ifndef SS_KERNELS_CUDA_CONVERT_H
#define SS_KERNELS_CUDA_CONVERT_H

#include "kernels/cuda/rounding.h"

#include <stdint.h>

/* widen_*      y = n values of the type as f32, rounded
 * transpose    y [n][columns][rows] = x [n][rows][columns]; a block a tile of 32 by 32 */
#define SS_CUDA_CONVERT(X)                                                             \
    X(widen_f32, 256, (const float *x; float *y; int64_t n; ss_cuda_rounding to;))     \
    X(widen_f16, 256, (const uint16_t *x; float *y; int64_t n; ss_cuda_rounding to;))  \
    X(widen_bf16, 256, (const uint16_t *x; float *y; int64_t n; ss_cuda_rounding to;)) \
    X(transpose, 256,                                                                  \
      (const float *x; float *y; int64_t rows; int64_t columns; int64_t across; int64_t down;))

#endif
