/* matrix.c - see matrix.h */
#include "kernels/cuda/matrix.h"

#include "kernels/cuda/arithmetic.h"
#include "kernels/cuda/cuda.h"

static bool is_too_large(const ss_cuda_gemm_args *g)
{
    return g->m > INT32_MAX || g->n > INT32_MAX || g->k > INT32_MAX || g->lda > INT32_MAX ||
           g->ldb > INT32_MAX || g->ldc > INT32_MAX || g->batch > INT32_MAX;
}

/* Without terms: 0, which not every cuBLAS writes. */
static ss_code no_terms(ss_device *d, const ss_cuda_gemm_args *g, ss_err *e)
{
    SS_CU(d->api, e, cuMemsetD32Async, (CUdeviceptr)g->c, 0, (size_t)(g->m * g->n), d->stream);
    return SS_OK;
}

/* cuBLAS counts along columns, where a row-major C is C^T = op(B)^T op(A)^T: so A and B change
 * places, and a matrix that is kept row by row is transposed for it already. */
ss_code ss_cuda_gemm(ss_device *d, const ss_cuda_gemm_args *g, ss_err *e)
{
    const cublasOperation_t of_a = g->a_turned ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t of_b = g->b_turned ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasComputeType_t compute =
        g->tensor ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const int m = (int)g->m, n = (int)g->n, k = (int)g->k;
    cublasStatus_t s;

    if (g->m == 0 || g->n == 0)
        return SS_OK;
    if (g->k == 0)
        return no_terms(d, g, e);
    if (is_too_large(g))
        return ss_fail(e, SS_UNSUPPORTED,
                       "a product of %lld x %lld by %lld x %lld values is too large for cuBLAS",
                       (long long)g->m, (long long)g->k, (long long)g->k, (long long)g->n);
    if (g->batch > 1)
        s = d->api->cublasGemmStridedBatchedEx(
            d->blas, of_b, of_a, n, m, k, &g->alpha, g->b, CUDA_R_32F, (int)g->ldb, g->b_step, g->a,
            CUDA_R_32F, (int)g->lda, g->a_step, &g->beta, g->c, CUDA_R_32F, (int)g->ldc, g->c_step,
            (int)g->batch, compute, CUBLAS_GEMM_DEFAULT);
    else
        s = d->api->cublasGemmEx(d->blas, of_b, of_a, n, m, k, &g->alpha, g->b, CUDA_R_32F,
                                 (int)g->ldb, g->a, CUDA_R_32F, (int)g->lda, &g->beta, g->c,
                                 CUDA_R_32F, (int)g->ldc, compute, CUBLAS_GEMM_DEFAULT);
    return s == CUBLAS_STATUS_SUCCESS ? SS_OK
                                      : ss_cuda_blas_error(d->api, s, "a matrix product", e);
}

/* ---- linear ---- */

/* Four values at a time where all rows begin at multiples of 16 bytes. */
static int vector_of(const float *y, const float *bias, int64_t columns)
{
    return columns % 4 || (uintptr_t)y % 16 || (uintptr_t)bias % 16 ? 1 : 4;
}

static ss_code add_bias(ss_device *d, float *y, const float *bias, int64_t rows, int64_t columns,
                        ss_err *e)
{
    enum { EACH_OF_A_THREAD = 4 };
    const int vector = vector_of(y, bias, columns);
    const int64_t across = columns / vector;
    const int tile = across < SS_THREADS_add_bias ? (int)across : SS_THREADS_add_bias;
    const int64_t of_a_block = (int64_t)EACH_OF_A_THREAD * (SS_THREADS_add_bias / tile);
    const int64_t blocks = (across + tile - 1) / tile * ((rows + of_a_block - 1) / of_a_block);

    return SS_LAUNCH(d, e, add_bias, ((ss_cuda_grid_size){.x = blocks}), .y = y, .bias = bias,
                     .rows = rows, .columns = columns, .tile = tile, .each = EACH_OF_A_THREAD,
                     .vector = vector);
}

ss_code ss_cuda_linear(ss_device *d, const ss_linear_args *a, ss_err *e)
{
    const float *bias = NULL;
    const float *w =
        ss_cuda_param(d, a->w, SS_PREPARED_FORWARD, a->weight_format, SS_CUDA_AS_IS, e);

    if (!w)
        return e->code;
    if (a->bias && !(bias = ss_cuda_param(d, a->bias, SS_PREPARED_FORWARD, a->weight_format,
                                          SS_CUDA_AS_IS, e)))
        return e->code;
    const ss_cuda_gemm_args g = {
        .m = a->rows,
        .n = a->out,
        .k = a->in,
        .a = a->x->data,
        .lda = a->in,
        .b = w,
        .ldb = a->in,
        .b_turned = true,
        .c = a->y->data,
        .ldc = a->out,
        .alpha = 1,
        .tensor = ss_cuda_on_tensor_cores(d, ss_cuda_numbers_of(a->x, NULL),
                                          ss_cuda_numbers_of(a->w, a->weight_format))};
    const ss_code rc = ss_cuda_gemm(d, &g, e);

    return rc == SS_OK && bias ? add_bias(d, a->y->data, bias, a->rows, a->out, e) : rc;
}

/* ---- its gradients ---- */

bool ss_cuda_is_product(const ss_conv2d_gradient_args *a)
{
    const ss_conv2d_opt *o = &a->opt;

    return a->kh == 1 && a->kw == 1 && o->stride == 1 && !o->top && !o->bottom && !o->left &&
           !o->right;
}

ss_code ss_cuda_product_data(ss_device *d, const ss_conv2d_gradient_args *a, ss_tensor *dx,
                             ss_err *e)
{
    const float *w =
        ss_cuda_param(d, a->w, SS_PREPARED_FORWARD, a->weight_format, SS_CUDA_AS_IS, e);

    if (!w)
        return e->code;
    return ss_cuda_gemm(d,
                        &(ss_cuda_gemm_args){.m = a->n * a->h * a->width,
                                             .n = a->in,
                                             .k = a->out,
                                             .a = a->dy->data,
                                             .lda = a->out,
                                             .b = w,
                                             .ldb = a->in,
                                             .c = dx->data,
                                             .ldc = a->in,
                                             .alpha = 1,
                                             .tensor = ss_cuda_on_tensor_cores(
                                                 d, ss_cuda_numbers_of(a->dy, NULL),
                                                 ss_cuda_numbers_of(a->w, a->weight_format))},
                        e);
}

ss_code ss_cuda_product_weights(ss_device *d, const ss_conv2d_gradient_args *a, ss_tensor *dw,
                                ss_err *e)
{
    return ss_cuda_gemm(
        d,
        &(ss_cuda_gemm_args){.m = a->out,
                             .n = a->in,
                             .k = a->n * a->h * a->width,
                             .a = a->dy->data,
                             .lda = a->out,
                             .a_turned = true,
                             .b = a->x->data,
                             .ldb = a->in,
                             .c = dw->data,
                             .ldc = a->in,
                             .alpha = 1,
                             .tensor = ss_cuda_on_tensor_cores(d, ss_cuda_numbers_of(a->dy, NULL),
                                                               ss_cuda_numbers_of(a->x, NULL))},
        e);
}
