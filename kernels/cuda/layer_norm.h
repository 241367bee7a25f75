/* layer_norm.h - arguments of the kernels in layer_norm.cu (kernels.h) */
#ifndef SS_KERNELS_CUDA_LAYER_NORM_H
#define SS_KERNELS_CUDA_LAYER_NORM_H

#include "kernels/cuda/rounding.h"
#include "kernels/cuda/rows.h"

#include <stdint.h>

enum { SS_COLUMN_SLABS = 4096 /* slabs of columns that are summed in one launch */ };

#define SS_LAYER_NORM_MEMBERS                                                                 \
    (const float *x; float *y; const float *gamma; const float *beta; int64_t rows;           \
     int64_t channels; float eps; int32_t torch; int64_t vector; int32_t rms; int32_t rounds; \
     ss_cuda_rounding to;)
#define SS_LAYER_NORM_BACK_MEMBERS                                                                 \
    (const float *x; const float *dy; const float *gamma; float *dx; float *moments; int64_t rows; \
     int64_t channels; float eps; int32_t torch; int64_t vector; int32_t rms;)

/* rms: RMS norm, where the mean is 0.
 *
 * layer_norm         y; eight rows a block; rounds: what gamma multiplies is rounded to a format
 * layer_norm_back    dx, and moments [rows][3]: mean, what rounding took from it, 1/std; either may
 *                    be NULL
 * *_wide             the same; a block a row, of any length
 * layer_norm_columns dgamma, dbeta: sums over `chunk` rows into partial [chunks][channels][2], and
 *                    of these by the last block of a slab of channels; blocks [slabs][chunks] */
#define SS_CUDA_LAYER_NORM(X)                                                                 \
    X(layer_norm, 256, SS_LAYER_NORM_MEMBERS)                                                 \
    X(layer_norm_wide, 256, SS_LAYER_NORM_MEMBERS)                                            \
    X(layer_norm_back, 256, SS_LAYER_NORM_BACK_MEMBERS)                                       \
    X(layer_norm_back_wide, 256, SS_LAYER_NORM_BACK_MEMBERS)                                  \
    X(layer_norm_columns, 256,                                                                \
      (const float *x; const float *dy; const float *moments; double *partial; float *dgamma; \
       float *dbeta; int64_t rows; int64_t channels; int64_t chunk; int32_t chunks;           \
       int32_t vector;))

#endif
