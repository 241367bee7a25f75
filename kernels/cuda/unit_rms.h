/* unit_rms.h - arguments of the kernels in unit_rms.cu (kernels.h) */
#ifndef SS_KERNELS_CUDA_UNIT_RMS_H
#define SS_KERNELS_CUDA_UNIT_RMS_H

#include <stdint.h>

#define SS_UNIT_RMS_MEMBERS \
    (const float *x; float *y; int64_t rows; int64_t row; int64_t vector; float scale;)
#define SS_UNIT_RMS_BACK_MEMBERS                                                            \
    (const float *x; const float *dy; float *dx; int64_t rows; int64_t row; int64_t vector; \
     float scale; int32_t unused;)

/* unit_rms, unit_rms_back   y, dx of rows of `row` values; eight rows a block
 * *_wide                    the same; a block a row, of any length */
#define SS_CUDA_UNIT_RMS(X)                         \
    X(unit_rms, 256, SS_UNIT_RMS_MEMBERS)           \
    X(unit_rms_wide, 256, SS_UNIT_RMS_MEMBERS)      \
    X(unit_rms_back, 256, SS_UNIT_RMS_BACK_MEMBERS) \
    X(unit_rms_back_wide, 256, SS_UNIT_RMS_BACK_MEMBERS)

#endif
