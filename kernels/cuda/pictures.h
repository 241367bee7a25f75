/* pictures.h - arguments of the kernels in pictures.cu (kernels.h) */
#ifndef SS_KERNELS_CUDA_PICTURES_H
#define SS_KERNELS_CUDA_PICTURES_H

#include "kernels/cuda/packs.h"

#include <stdint.h>

/* Pictures y [samples][height][width][channels], n packs in all, of pictures x
 * [samples][x_height][x_width][channels]; channels are packs of `pack` values. */
typedef struct {
    ss_cuda_divisor channels, width, height;
    int64_t x_width, x_height, n;
    int pack;
} ss_cuda_pictures;

enum { SS_CUDA_TAPS = 8 };

/* upsample        y[i] = x[floor(i x_size / size)], on both axes
 * back_upsample   y[i] = sum of the x that took it: i x_size <= o size < (i + 1) x_size
 * avg_pool        y = mean of 2 by 2 of x
 * back_avg_pool   y = a quarter of the x that it went to, or 0
 * fir             y[o] = sum over t < taps of kernel[taps - 1 - t] x[(o mul + shift + sign t) / div
 * - bias], where the quotient is whole and inside of x, on both axes. shift >= 0, which bias is for
 */
#define SS_CUDA_PICTURES(X)                                                      \
    X(upsample, 256, (const float *x; float *y; ss_cuda_pictures p;))            \
    X(back_upsample, 256, (const float *x; float *y; ss_cuda_pictures p;))       \
    X(avg_pool, 256, (const float *x; float *y; ss_cuda_pictures p;))            \
    X(back_avg_pool, 256, (const float *x; float *y; ss_cuda_pictures p;))       \
    X(fir, 256,                                                                  \
      (const float *x; float *y; ss_cuda_pictures p; float kernel[SS_CUDA_TAPS]; \
       ss_cuda_divisor div; int64_t shift, bias; int mul, sign, taps;))

#endif
