/* modulate.h - arguments of the kernels in modulate.cu (kernels.h) */
#ifndef SS_KERNELS_CUDA_MODULATE_H
#define SS_KERNELS_CUDA_MODULATE_H

#include "kernels/cuda/packs.h"

enum { SS_MODULATE_COUNTERS = 4096 /* samples times slabs of channels of a launch at most */ };

/* n, row and channels are in packs of `pack` values.
 *
 * modulate       y = x (1 + scale) + shift; mod [samples][width], width = C without shift or 2 C;
 *                rows of a sample
 * modulate_back  dx, and dmod: sums over `chunk` rows into partial [samples][chunks][C][2], and of
 *                these by the last block of a slab of channels; blocks [samples][slabs][chunks].
 *                Either may be NULL. partial is not needed where there is one chunk
 * geglu          y [rows][row] = value gelu(gate), x [rows][value, gate][row]
 * geglu_back     dx */
#define SS_CUDA_MODULATE(X)                                                                        \
    X(modulate, 256,                                                                               \
      (const float *x; const float *mod; float *y; ss_cuda_divisor channels; ss_cuda_divisor rows; \
       int64_t n; int64_t width; int64_t pack;))                                                   \
    X(modulate_back, 256,                                                                          \
      (const float *x; const float *mod; const float *dy; float *dx; float *dmod; double *partial; \
       int64_t rows; int64_t channels; int64_t width; int64_t chunk; int32_t chunks;               \
       int32_t slabs; int64_t pack;))                                                              \
    X(geglu, 256, (const float *x; float *y; ss_cuda_divisor row; int64_t n; int64_t pack;))       \
    X(geglu_back, 256,                                                                             \
      (const float *x; const float *dy; float *dx; ss_cuda_divisor row; int64_t n; int64_t pack;))

#endif
