/* values.h - arguments of the kernels in values.cu (kernels.h) */
#ifndef SS_KERNELS_CUDA_VALUES_H
#define SS_KERNELS_CUDA_VALUES_H

/* fill    y = value
 * widen   y = x, of dtype SS_F32, SS_F16 or SS_BF16, as f32, rounded to a format unless its
 *         exp_bits are 0; with inner > 1, each row [taps][inner] of y is a row [inner][taps] of x
 */
#define SS_CUDA_VALUES(X) X(fill, 256, (float *y; float value; int64_t n;))

#endif
