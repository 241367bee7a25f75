/* values.h - arguments of the kernels in values.cu (kernels.h) */
#ifndef SS_KERNELS_CUDA_VALUES_H
#define SS_KERNELS_CUDA_VALUES_H

#include "kernels/cuda/packs.h"
#include "kernels/cuda/rounding.h"

#include <stdint.h>

enum { SS_CUDA_SAMPLES = 256 }; /* factors that are among a kernel's arguments */

/* y may be x or a; n is the number of values, but of scale_samples and add_channels it is packs.
 *
 * fill             y = value
 * affine           y = x mul + add, rounded twice
 * gain             y = x g[0] + 0
 * clamp            y = x limited to [lo, hi]
 * round_values     y = x rounded to a format
 * widen_TYPE       y = x of that type as f32, rounded
 * add              y = (a + b) scale
 * multiply         y = a b
 * scale_samples    y = x k[s], s the sample of x, of `sample` packs
 * add_channels     y [rows][channels] = x + v [rows / rows of a sample][channels]
 * activate_NAME    y = NAME(x)
 * slope_NAME       dx = dy NAME'(x)
 * back_clamp       dx = dy where x is not outside of [lo, hi], else 0 */
#define SS_CUDA_VALUES(X)                                                                     \
    X(fill, 256, (float *y; float value; int64_t n;))                                         \
    X(affine, 256, (const float *x; float *y; float mul, add; int64_t n;))                    \
    X(gain, 256, (const float *x; const float *g; float *y; int64_t n;))                      \
    X(clamp, 256, (const float *x; float *y; float lo, hi; int64_t n;))                       \
    X(round_values, 256, (const float *x; float *y; ss_cuda_rounding to; int64_t n;))         \
    X(widen_f16, 256, (const uint16_t *x; float *y; ss_cuda_rounding to; int64_t n;))         \
    X(widen_bf16, 256, (const uint16_t *x; float *y; ss_cuda_rounding to; int64_t n;))        \
    X(add, 256, (const float *a; const float *b; float *y; float scale; int64_t n;))          \
    X(multiply, 256, (const float *a; const float *b; float *y; int64_t n;))                  \
    X(scale_samples, 256,                                                                     \
      (const float *x; float *y; float k[SS_CUDA_SAMPLES]; ss_cuda_divisor sample; int64_t n; \
       int pack;))                                                                            \
    X(add_channels, 256,                                                                      \
      (const float *x; const float *v; float *y; ss_cuda_divisor channels, rows; int64_t n;   \
       int pack;))                                                                            \
    X(activate_identity, 256, (const float *x; float *y; int64_t n;))                         \
    X(activate_silu, 256, (const float *x; float *y; int64_t n;))                             \
    X(activate_gelu, 256, (const float *x; float *y; int64_t n;))                             \
    X(activate_mish, 256, (const float *x; float *y; int64_t n;))                             \
    X(activate_relu, 256, (const float *x; float *y; int64_t n;))                             \
    X(activate_quick_gelu, 256, (const float *x; float *y; int64_t n;))                       \
    X(activate_gelu_tanh, 256, (const float *x; float *y; int64_t n;))                        \
    X(activate_gelu_new, 256, (const float *x; float *y; int64_t n;))                         \
    X(activate_sigmoid, 256, (const float *x; float *y; int64_t n;))                          \
    X(slope_identity, 256, (const float *x; const float *dy; float *dx; int64_t n;))          \
    X(slope_silu, 256, (const float *x; const float *dy; float *dx; int64_t n;))              \
    X(slope_gelu, 256, (const float *x; const float *dy; float *dx; int64_t n;))              \
    X(slope_mish, 256, (const float *x; const float *dy; float *dx; int64_t n;))              \
    X(slope_relu, 256, (const float *x; const float *dy; float *dx; int64_t n;))              \
    X(slope_quick_gelu, 256, (const float *x; const float *dy; float *dx; int64_t n;))        \
    X(slope_gelu_tanh, 256, (const float *x; const float *dy; float *dx; int64_t n;))         \
    X(slope_gelu_new, 256, (const float *x; const float *dy; float *dx; int64_t n;))          \
    X(slope_sigmoid, 256, (const float *x; const float *dy; float *dx; int64_t n;))           \
    X(back_clamp, 256, (const float *x; const float *dy; float *dx; float lo, hi; int64_t n;))

#endif
