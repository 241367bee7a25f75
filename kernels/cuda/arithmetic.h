/* arithmetic.h - which products run on the tensor cores; private to kernels/cuda
 *
 * Tensor cores multiply f32 values as TF32: 8 exponent bits, 10 fraction bits, the rest cut off;
 * the products are exact and their sums f32. So where both operands hold only numbers of formats
 * that fit into TF32 (fp16, bf16, all of fp8, any eXmY with Y <= 10), nothing is lost but the order
 * and the rounding of the sum. Subnormals of TF32 are those of f32 with 10 fraction bits.
 *
 *   if (ss_cuda_on_tensor_cores(d, ss_cuda_numbers_of(x, NULL), ss_cuda_numbers_of(w, format)))
 */
#ifndef SS_KERNELS_CUDA_ARITHMETIC_H
#define SS_KERNELS_CUDA_ARITHMETIC_H

#include "kernels/backend.h"

/* Numbers of which format an operand holds; 0 and 0 if it may hold any f32. */
typedef struct {
    int exp_bits, man_bits;
} ss_cuda_numbers;

/* The numbers of a tensor once it has been rounded to f, or as it is when f is NULL: of a format
 * that an activation was rounded to, or of the type that a parameter is kept in. */
ss_cuda_numbers ss_cuda_numbers_of(const ss_tensor *x, const ss_format *f);

/* True when products of two such operands are to run on the tensor cores: by the device's
 * arithmetic (context.h) and only on cards that have TF32 (compute capability 8.0). */
bool ss_cuda_on_tensor_cores(const ss_device *d, ss_cuda_numbers a, ss_cuda_numbers b);

#endif
