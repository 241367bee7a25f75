/* group_norm_back.h - arguments of the kernels in group_norm_back.cu (kernels.h) */
#ifndef SS_KERNELS_CUDA_GROUP_NORM_BACK_H
#define SS_KERNELS_CUDA_GROUP_NORM_BACK_H

#include "kernels/cuda/group_norm.h"

enum {
    SS_BACK_TILE_ROWS = 6, /* of a thread of group_norm_back_tile */
    SS_GROUP_SLABS = 4096, /* slabs of channels whose samples are summed at most */
};

#define SS_GROUP_NORM_BACK_MEMBERS                                                             \
    (const float *x; const float *dy; const float *gamma; const float *beta; const float *mod; \
     float *dx; float *dgamma; float *dbeta; float *dmod; double *share; ss_cuda_cut cut;      \
     int64_t n; float eps; int32_t act; int64_t torch;)

/* Sums over positions, of dz and dz h for each channel, are pairs of doubles.
 *
 * group_norm_back_small  all gradients; a block a whole sample's channels of a slab, in registers
 * group_norm_back_tile   the same of larger slabs
 * group_norm_slopes      sums of chunks into partial [n][chunks][C][2]; blocks [n][slabs][chunks]
 * group_norm_slope_sums  sums of samples into sum [n][C][2], and all gradients but dx; blocks
 *                        [n][slabs] of `width` channels
 * group_norm_dx          dx; blocks [n][slabs][chunks]
 *
 * share [n][C][2]: what a sample adds to dbeta and dgamma; the last block of a slab adds samples
 * up. group: as group_norm_moments makes it. Gradients that nobody wants are NULL. */
#define SS_CUDA_GROUP_NORM_BACK(X)                                                               \
    X(group_norm_back_small, 256, SS_GROUP_NORM_BACK_MEMBERS)                                    \
    X(group_norm_back_tile, 256, SS_GROUP_NORM_BACK_MEMBERS)                                     \
    X(group_norm_slopes, 256,                                                                    \
      (const float *x; const float *dy; const float *gamma; const float *beta; const float *mod; \
       const double *group; double *partial; ss_cuda_cut cut; int32_t act;))                     \
    X(group_norm_slope_sums, 256,                                                                \
      (const float *gamma; const float *beta; const float *mod; const double *partial;           \
       double *sum; double *share; float *dgamma; float *dbeta; float *dmod; int64_t n;          \
       int32_t channels; int32_t chunks; int32_t width; int32_t slabs;))                         \
    X(group_norm_dx, 256,                                                                        \
      (const float *x; const float *dy; const float *gamma; const float *beta; const float *mod; \
       const double *group; const double *sum; float *dx; ss_cuda_cut cut; int32_t act;))

#endif
