/* group_norm.h - arguments of the kernels in group_norm.cu (kernels.h) */
#ifndef SS_KERNELS_CUDA_GROUP_NORM_H
#define SS_KERNELS_CUDA_GROUP_NORM_H

#include <stdint.h>

/* How a sample [positions][channels] is cut into the work of blocks: `chunk` positions of `width`
 * channels, which are whole groups, or one of `parts` of a group. A block's threads are `rows` rows
 * of one position each, of `columns` threads with `vector` channels each. The cut depends on the
 * shape alone (group_norm.c). */
typedef struct {
    int64_t positions;
    int32_t channels, groups, group;     /* group: channels of one */
    int32_t chunk, chunks, slabs, parts; /* slabs: cuts of the channels */
    int32_t width, columns, rows, vector;
} ss_cuda_cut;

enum {
    SS_SMALL_ROWS = 2,           /* of a thread of group_norm_small */
    SS_TILE_ROWS = 12,           /* of group_norm_tile */
    SS_GROUP_WIDTH = 512,        /* channels of a slab at most */
    SS_GROUP_SAMPLES = 1024,     /* samples of a launch of group_norm_moments at most */
    SS_GROUP_CHANNELS = 1 << 20, /* channels at most */
};

#define SS_GROUP_NORM_MEMBERS                                                       \
    (const float *x; float *y; float *plain; const float *gamma; const float *beta; \
     const float *mod; ss_cuda_cut cut; float eps; int32_t act; int64_t torch;)

/* group_norm_small     the norm; a block a whole sample's channels of a slab, in registers
 * group_norm_tile      the same of larger slabs
 * group_norm_moments   sums of chunks into partial [n][groups][chunks parts][2], and of these, by
 *                      the last block of each sample, mean and 1/std into group [n][groups][2]
 * group_norm_apply     the norm, from group
 *
 * Blocks are numbered [n][slabs][chunks]. gamma, beta, mod and plain may be NULL. */
#define SS_CUDA_GROUP_NORM(X)                                                         \
    X(group_norm_small, 256, SS_GROUP_NORM_MEMBERS)                                   \
    X(group_norm_tile, 256, SS_GROUP_NORM_MEMBERS)                                    \
    X(group_norm_moments, 256,                                                        \
      (const float *x; double *partial; double *group; ss_cuda_cut cut; float eps;    \
       int32_t torch;))                                                               \
    X(group_norm_apply, 256,                                                          \
      (const float *x; float *y; float *plain; const float *gamma; const float *beta; \
       const float *mod; const double *group; ss_cuda_cut cut; int64_t act;))

#endif
