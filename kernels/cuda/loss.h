/* loss.h - arguments of the kernel in loss.cu (kernels.h) */
#ifndef SS_KERNELS_CUDA_LOSS_H
#define SS_KERNELS_CUDA_LOSS_H

#include <stdint.h>

enum { SS_CUDA_LOSS_CHUNK = 4096 }; /* values of a sample that a block takes */

/* squared_error  dy = slope (y - target) of each sample [length], squares [samples] of y - target;
 *                part [samples][chunks], done [samples] zeros */
#define SS_CUDA_LOSS(X)                                                                          \
    X(squared_error, 256,                                                                        \
      (const float *y; const float *target; const double *slope; int64_t length; int64_t chunks; \
       float *dy; double *part; unsigned *done; double *squares;))

#endif
