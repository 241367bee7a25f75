/* norm.h - what the entries of norms share; private to kernels/cuda */
#ifndef SS_KERNELS_CUDA_NORM_H
#define SS_KERNELS_CUDA_NORM_H

#include "kernels/cuda/cuda.h"

/* Parameters of a norm as f32 on the device, rounded to f unless NULL; *values is NULL where there
 * is no such parameter. */
ss_code ss_cuda_norm_parameter(ss_device *d, const ss_tensor *w, const ss_format *f,
                               const float **values, ss_err *e);

/* The memory of a tensor that may be NULL. */
static inline float *ss_cuda_values(const ss_tensor *t)
{
    return t ? t->data : NULL;
}

/* Group norm of x in slabs of `most` channels, or of one group that has more, for blocks of so many
 * threads, with all positions in one chunk. aligned: tensors are at multiples of 16 bytes.
 * SS_UNSUPPORTED with more than SS_GROUP_CHANNELS channels. */
ss_code ss_cuda_cut_channels(const ss_group_norm_args *a, bool aligned, int threads, int most,
                             ss_cuda_cut *c, ss_err *e);
/* Cuts positions, too: into chunks of at least `values` values and at most `chunks`. `run`: rows
 * that a thread reads at a time. */
void ss_cuda_cut_positions(ss_cuda_cut *c, int values, int chunks, int run);
/* The cut in which a block has a sample's slab in registers, `run` values of `vector` channels a
 * thread; *fits is false if there is none. */
ss_code ss_cuda_cut_tiles(const ss_group_norm_args *a, bool aligned, int threads, int run,
                          ss_cuda_cut *c, bool *fits, ss_err *e);

/* Mean and 1/std of each group in double, [n][groups][2], in work space that the caller frees to
 * the pool; x in any cut of channels and positions for blocks of group_norm_moments. */
ss_code ss_cuda_group_moments(ss_device *d, const ss_group_norm_args *a, const ss_cuda_cut *c,
                              double **group, ss_err *e);

#endif
