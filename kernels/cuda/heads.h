/* heads.h - arguments of the kernels in heads.cu (kernels.h) */
#ifndef SS_KERNELS_CUDA_HEADS_H
#define SS_KERNELS_CUDA_HEADS_H

#include "kernels/cuda/attention.h"

/* frame_mass     adds to out [units][2][frames], whose units are as those of s.stats, the rows'
 * mass at each distance and on each frame (base/stats.h); t0: query of the first row softmax_sum
 * combines the parts and the mass of the teams into the units' statistics. total [units][pitch]:
 * mass of earlier rows, not looked at in the first of several launches; the last one makes the sink
 * of it scale_rows     y[row] *= inverse[unit][row], `width` values; y is where the launch's first
 * head and row are, and samples, rows and heads are so far apart unit_vectors   y = x / |x|, rows
 * of `width`; 0 of the zero vector unit_gradient  dx = (dx - x^ (x^ . dx)) / |x|, x^ = x / |x| */
#define SS_CUDA_HEADS(X)                                                             \
    X(softmax_sum, 256, (ss_cuda_softmax s; double *total; int first; int last;))    \
    X(frame_mass, 256, (ss_cuda_softmax s; float *out; int64_t frames; int64_t t0;)) \
    X(scale_rows, 256,                                                               \
      (float *y; const float *inverse; int64_t units; int64_t rows; int64_t heads;   \
       int64_t sample_step; int64_t row_step; int64_t width;))                       \
    X(unit_vectors, 256, (const float *x; float *y; int64_t rows; int64_t width;))   \
    X(unit_gradient, 256, (const float *x; float *dx; int64_t rows; int64_t width;))

#endif
