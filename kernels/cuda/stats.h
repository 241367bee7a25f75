/* stats.h - arguments of the kernels in stats.cu (kernels.h) */
#ifndef SS_KERNELS_CUDA_STATS_H
#define SS_KERNELS_CUDA_STATS_H

#include "base/stats.h"

enum { SS_CUDA_STATS_CHUNK = 8192 }; /* values of a sample that a block takes */

/* Number, mean, sum (x - mean)^2 and extremes of finite values; of none these are inf and -inf. */
typedef struct {
    double n, mean, m2;
    float min, max;
} ss_cuda_moments;

/* stats            of each sample [length], by a block for each of its chunks; the histogram if
 *                  `exponents`. out: [samples] ss_stats, `stride` bytes apart, or only what is
 *                  before its histogram; part [samples][chunks], done [samples] zeros; neither is
 *                  used where there is one chunk
 * modulated_range  y (1 + scale) and that + shift, mod [samples][scale C, shift C]: *large is set
 *                  unless all are below limit in magnitude; range [samples][4]: ~least, most of the
 *                  one, then of the other, as keys that increase with the value
 * modulated_stats  where *large: stats with histogram of the one, then of the other; out, part
 *                  and done [2][samples]... */
#define SS_CUDA_STATS(X)                                                                   \
    X(stats, 256,                                                                          \
      (const float *x; int64_t length; int64_t chunks; int64_t stride; bool exponents;     \
       ss_cuda_moments * part; unsigned *done; char *out;))                                \
    X(modulated_range, 256,                                                                \
      (const float *y; const float *mod; int64_t length; int64_t chunks; int64_t channels; \
       float limit; unsigned *large; unsigned *range;))                                    \
    X(modulated_stats, 256,                                                                \
      (const float *y; const float *mod; int64_t length; int64_t chunks; int64_t channels; \
       int64_t samples; const unsigned *large; ss_cuda_moments * part; unsigned *done;     \
       ss_stats * out;))

#endif
