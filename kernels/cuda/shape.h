/* shape.h - arguments of the kernels in shape.cu and pictures.cu (kernels.h)
 *
 * Sizes and strides are in packs of `pack` values (packs.h) where a kernel has one. */
#ifndef SS_KERNELS_CUDA_SHAPE_H
#define SS_KERNELS_CUDA_SHAPE_H

#include "kernels/cuda/packs.h"
#include "kernels/cuda/rounding.h"

#include <stdint.h>

/* Steps along the axes of y from the outermost on, 4 or fewer beside a row or a plane: how many,
 * and how far one goes in x and in y. */
enum { SS_CUDA_AXES = 5 };
typedef struct {
    int n;
    ss_cuda_divisor size[SS_CUDA_AXES];
    int64_t x[SS_CUDA_AXES], y[SS_CUDA_AXES];
} ss_cuda_axes;

/* copy_rows          y[r y_stride + k] = x[r x_stride + k], k < len, r < n / len
 * permute            y, in order, is x at the steps of `axes`
 * permute_planes     for all steps of `axes`: y[j y_stride + i] = x[i x_stride + j], i < across,
 *                    j < down, rounded to a format; a block a tile of 32 by 32, of which there are
 *                    tiles_down along j
 * mean_tokens        y [N][channels] = mean over the tokens of x [N][tokens][channels]; n = N
 * channels back_mean_tokens   dx [N][tokens][channels] = dy / tokens embedding          y [n /
 * channels][channels] = rows ids of the table back_embedding     a block for each of n ids: where
 * it is an id's first, the table's row becomes the sum of dy [n][channels] of all its uses, in
 * order */
#define SS_CUDA_SHAPE(X)                                                                      \
    X(copy_rows, 256,                                                                         \
      (const float *x; float *y; int64_t x_stride, y_stride; ss_cuda_divisor len; int64_t n;  \
       int pack;))                                                                            \
    X(permute, 256, (const float *x; float *y; ss_cuda_axes axes; int64_t n; int pack;))      \
    X(permute_planes, 256,                                                                    \
      (const float *x; float *y; int64_t across, down, x_stride, y_stride;                    \
       ss_cuda_divisor tiles_across, tiles_down; ss_cuda_axes axes; ss_cuda_rounding to;))    \
    X(mean_tokens, 64,                                                                        \
      (const float *x; float *y; ss_cuda_divisor channels; int64_t tokens; int64_t n;))       \
    X(back_mean_tokens, 256,                                                                  \
      (const float *dy; float *dx; ss_cuda_divisor channels, tokens; int64_t n; int pack;))   \
    X(embedding, 256,                                                                         \
      (const float *table; const int64_t *ids; float *y; ss_cuda_divisor channels; int64_t n; \
       int pack;))                                                                            \
    X(back_embedding, 256,                                                                    \
      (const int64_t *ids; const float *dy; float *dtable; int64_t channels; int64_t n;))

#endif
