/* matrix.h - matrix products, by cuBLAS, and arguments of the kernels in matrix.cu; private to
 * kernels/cuda
 *
 *   return ss_cuda_gemm(d, &(ss_cuda_gemm_args){.m = rows, .n = out, .k = in,
 *                                               .a = x, .lda = in,
 *                                               .b = w, .ldb = in, .b_turned = true,
 *                                               .c = y, .ldc = out, .alpha = 1}, e);
 */
#ifndef SS_KERNELS_CUDA_MATRIX_H
#define SS_KERNELS_CUDA_MATRIX_H

#include <stdbool.h>
#include <stdint.h>

/* add_bias   y [rows][columns] += bias; columns of `vector` values, 4 or 1, and a block takes
 *            tile of them and `each` rows of 256 / tile at a time */
#define SS_CUDA_MATRIX(X)                                                              \
    X(add_bias, 256,                                                                   \
      (float *y; const float *bias; int64_t rows; int64_t columns; int tile; int each; \
       int vector;))

#ifndef __cplusplus
#include "kernels/backend.h"

/* C [m][n] = alpha A B + beta C, row-major: A [m][k], B [k][n]; ld*: from one row to the next. A
 * turned one is kept transposed, [k][m] or [n][k]. With beta = 0 what C held does not matter. */
typedef struct {
    int64_t m, n, k;
    const float *a, *b;
    float *c;
    int64_t lda, ldb, ldc;
    bool a_turned, b_turned;
    float alpha, beta;
    int64_t batch, a_step, b_step, c_step; /* so many products, apart by these; 0: one */
    bool tensor; /* by tensor cores, which round operands to TF32 (arithmetic.h); else exact f32 */
} ss_cuda_gemm_args;

/* Enqueues the product; the same bits on each run, as cuBLAS has one stream and work space of its
 * own. Without rows or columns it does nothing; with k = 0, for one C whose rows lie close
 * together, C becomes 0. SS_UNSUPPORTED for a size above 2^31 - 1. */
ss_code ss_cuda_gemm(ss_device *d, const ss_cuda_gemm_args *g, ss_err *e);

/* True for the gradient of a 1x1 convolution, as which that of a matrix product comes too. */
bool ss_cuda_is_product(const ss_conv2d_gradient_args *a);
/* dx [rows][in] = dy [rows][out] w [out][in] and dw [out][in] = dy^T x, for one of those. */
ss_code ss_cuda_product_data(ss_device *d, const ss_conv2d_gradient_args *a, ss_tensor *dx,
                             ss_err *e);
ss_code ss_cuda_product_weights(ss_device *d, const ss_conv2d_gradient_args *a, ss_tensor *dw,
                                ss_err *e);
#endif

#endif
