/* step.h - arguments of the kernels in step.cu (kernels.h) */
#ifndef SS_KERNELS_CUDA_STEP_H
#define SS_KERNELS_CUDA_STEP_H

#include "kernels/step.h"

enum { SS_CUDA_STEP_BLOCK = 4096 }; /* values of a tensor that a block takes */

/* Values of one tensor: x alone, or a parameter with what is kept of it, NULL where there is none.
 * Blocks of all tensors are numbered through; the tensor's begin at `first`. */
typedef struct {
    const float *gradient;
    float *w, *m, *v, *ema;
    int64_t n, first;
    uint64_t key;
} ss_cuda_stepped;

typedef struct {
    const float *x;
    int64_t n, first;
} ss_cuda_summed;

/* Rows that are brought to unit RMS; all rows are numbered through, too. */
typedef struct {
    float *w;
    int64_t row, first;
} ss_cuda_unit;

/* optimizer_step  of n tensors; sums [n] or NULL, part [blocks], done [n] zeros
 * unit_rows       of n tensors
 * sum_squares     *sum over n tensors; part [blocks], *done 0 */
#define SS_CUDA_STEP(X)                                                                   \
    X(optimizer_step, 256,                                                                \
      (const ss_cuda_stepped *tensors; int64_t n; ss_step_rule rule; ss_step_sums * part; \
       unsigned *done; ss_step_sums * sums;))                                             \
    X(unit_rows, 256, (const ss_cuda_unit *tensors; int64_t n;))                          \
    X(sum_squares, 256,                                                                   \
      (const ss_cuda_summed *tensors; int64_t n; double *part; unsigned *done; double *sum;))

#endif
