/* fake_cublas.c - libcublas.so.13 of the emulated device (fake.h)
 *
 * Products of f32 matrices as cuBLAS takes them, column by column, with its checks. Each value is
 * one sum in the order of k, in f32. With CUBLAS_COMPUTE_32F_FAST_TF32 the operands are rounded to
 * TF32, 10 bits of fraction, first.
 */
#include "tests/cuda/fake.h"

#include <cublas_v2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct cublasContext {
    bool live;
    CUstream stream;
    cublasHandle_t next;
};

static cublasHandle_t handles; /* destroyed ones, too, so that their use is noticed */

#define CALL(error)              \
    if (ss_fake_fails(__func__)) \
        return error;            \
    ss_fake_context(__func__)

static void check_handle(cublasHandle_t h, const char *function)
{
    for (cublasHandle_t k = handles; k; k = k->next)
        if (k == h && k->live)
            return;
    ss_fake_refuse("%s: no handle, or one that was destroyed", function);
}

cublasStatus_t cublasCreate(cublasHandle_t *out)
{
    CALL(CUBLAS_STATUS_NOT_INITIALIZED);
    cublasHandle_t h = calloc(1, sizeof *h);

    if (!h)
        return CUBLAS_STATUS_ALLOC_FAILED;
    *h = (struct cublasContext){.live = true, .next = handles};
    *out = handles = h;
    ss_fake_made("cuBLAS handles", 1);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t h)
{
    const bool fails = ss_fake_fails(__func__);

    ss_fake_context(__func__);
    check_handle(h, __func__);
    h->live = false;
    ss_fake_made("cuBLAS handles", -1);
    return fails ? CUBLAS_STATUS_NOT_INITIALIZED : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetProperty(libraryPropertyType type, int *value)
{
    if (ss_fake_fails(__func__))
        return CUBLAS_STATUS_INTERNAL_ERROR;
    *value = type == MAJOR_VERSION   ? CUBLAS_VER_MAJOR
             : type == MINOR_VERSION ? CUBLAS_VER_MINOR
                                     : CUBLAS_VER_PATCH;
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasGetStatusString(cublasStatus_t s)
{
    return s == CUBLAS_STATUS_SUCCESS            ? "CUBLAS_STATUS_SUCCESS"
           : s == CUBLAS_STATUS_ALLOC_FAILED     ? "CUBLAS_STATUS_ALLOC_FAILED"
           : s == CUBLAS_STATUS_EXECUTION_FAILED ? "CUBLAS_STATUS_EXECUTION_FAILED"
           : s == CUBLAS_STATUS_NOT_INITIALIZED  ? "CUBLAS_STATUS_NOT_INITIALIZED"
                                                 : "CUBLAS_STATUS_INTERNAL_ERROR";
}

cublasStatus_t cublasSetStream(cublasHandle_t h, cudaStream_t stream)
{
    CALL(CUBLAS_STATUS_INTERNAL_ERROR);
    check_handle(h, __func__);
    h->stream = stream;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t h, void *space, size_t bytes)
{
    CALL(CUBLAS_STATUS_INTERNAL_ERROR);
    check_handle(h, __func__);
    ss_fake_memory(__func__, "the work space", space, bytes);
    if ((uintptr_t)space % 256)
        ss_fake_refuse("cublasSetWorkspace: not aligned to 256 bytes");
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t h, cublasMath_t mode)
{
    CALL(CUBLAS_STATUS_INTERNAL_ERROR);
    check_handle(h, __func__);
    if (mode != CUBLAS_DEFAULT_MATH)
        ss_fake_refuse("cublasSetMathMode: %d", (int)mode);
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- products ---- */

typedef struct {
    const float *a, *b;
    float *c;
    int64_t m, n, k, lda, ldb, ldc, stride_a, stride_b, stride_c, batch;
    float alpha, beta;
    bool ta, tb, tf32;
} product;

/* Rounds to the nearest value of TF32, the even one of two. */
static float tf32(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    if ((bits >> 23 & 255) == 255)
        return x;
    bits = (bits + 0xfff + (bits >> 13 & 1)) & ~(uint32_t)0x1fff;
    memcpy(&x, &bits, sizeof x);
    return x;
}

enum { ROWS = 256, COLUMNS = 4 };

/* Copies rows i0 .. i0 + rows of op(A), [k][rows]. */
static void take_rows(const product *p, const float *a, int64_t i0, int64_t rows, float *to)
{
    for (int64_t l = 0; l < p->k; l++)
        for (int64_t i = 0; i < rows; i++) {
            const float v = p->ta ? a[(i0 + i) * p->lda + l] : a[l * p->lda + i0 + i];

            to[l * rows + i] = p->tf32 ? tf32(v) : v;
        }
}

/* sum[j][i] = sum over l of a[l][i] op(B)[l][j0 + j] */
static void multiply(const product *p, const float *a, const float *b, int64_t rows, int64_t j0,
                     int64_t columns, float sum[COLUMNS][ROWS])
{
    memset(sum, 0, sizeof(float[COLUMNS][ROWS]));
    for (int64_t l = 0; l < p->k; l++)
        for (int64_t j = 0; j < columns; j++) {
            const float v = p->tb ? b[l * p->ldb + j0 + j] : b[(j0 + j) * p->ldb + l];
            const float w = p->tf32 ? tf32(v) : v;

            for (int64_t i = 0; i < rows; i++)
                sum[j][i] += a[l * rows + i] * w;
        }
}

static void run_one(const product *p, const float *a, const float *b, float *c, float *space)
{
    float sum[COLUMNS][ROWS];

    for (int64_t i0 = 0; i0 < p->m; i0 += ROWS) {
        const int64_t rows = p->m - i0 < ROWS ? p->m - i0 : ROWS;

        take_rows(p, a, i0, rows, space);
        for (int64_t j0 = 0; j0 < p->n; j0 += COLUMNS) {
            const int64_t columns = p->n - j0 < COLUMNS ? p->n - j0 : COLUMNS;

            multiply(p, space, b, rows, j0, columns, sum);
            for (int64_t j = 0; j < columns; j++)
                for (int64_t i = 0; i < rows; i++) {
                    float *to = &c[(j0 + j) * p->ldc + i0 + i];

                    /* with beta 0 what is there is not read: it may be NaN */
                    *to =
                        p->beta == 0 ? p->alpha * sum[j][i] : p->alpha * sum[j][i] + p->beta * *to;
                }
        }
    }
}

static void run_product(void *args)
{
    const product *p = args;
    float *space = malloc(sizeof *space * (size_t)(p->k * ROWS + 1));

    if (!space)
        ss_fake_refuse("cublasGemmEx: no memory");
    for (int64_t s = 0; s < p->batch; s++)
        run_one(p, p->a + s * p->stride_a, p->b + s * p->stride_b, p->c + s * p->stride_c, space);
    free(space);
}

/* Refuses an operand of so many rows and columns, in memory by columns. */
static void check_operand(const char *function, const char *what, const float *p, cudaDataType type,
                          int64_t rows, int64_t columns, int64_t ld, int64_t stride, int64_t batch)
{
    if (type != CUDA_R_32F)
        ss_fake_refuse("%s: %s has type %d; here only f32", function, what, (int)type);
    if (ld < (rows > 1 ? rows : 1))
        ss_fake_refuse("%s: %s has %lld rows and a leading dimension of %lld", function, what,
                       (long long)rows, (long long)ld);
    if ((uintptr_t)p % sizeof *p)
        ss_fake_refuse("%s: %s is not aligned", function, what);
    if (rows && columns && batch)
        ss_fake_memory(function, what, p,
                       sizeof *p * (size_t)((batch - 1) * stride + (columns - 1) * ld + rows));
}

/* Columns of the products take turns: those of one batch lie side by side. */
static bool is_interleaved(const product *p)
{
    return p->stride_c >= p->m && p->ldc >= (p->batch - 1) * p->stride_c + p->m;
}

static cublasStatus_t gemm(const char *function, cublasHandle_t h, product p, cudaDataType ta,
                           cudaDataType tb, cudaDataType tc, cublasComputeType_t compute,
                           const void *alpha, const void *beta)
{
    check_handle(h, function);
    if (p.m < 0 || p.n < 0 || p.k < 0 || p.batch < 0)
        ss_fake_refuse("%s: a size below 0", function);
    if (compute != CUBLAS_COMPUTE_32F && compute != CUBLAS_COMPUTE_32F_FAST_TF32 &&
        compute != CUBLAS_COMPUTE_32F_PEDANTIC)
        ss_fake_refuse("%s: compute type %d", function, (int)compute);
    check_operand(function, "A", p.a, ta, p.ta ? p.k : p.m, p.ta ? p.m : p.k, p.lda, p.stride_a,
                  p.batch);
    check_operand(function, "B", p.b, tb, p.tb ? p.n : p.k, p.tb ? p.k : p.n, p.ldb, p.stride_b,
                  p.batch);
    check_operand(function, "C", p.c, tc, p.m, p.n, p.ldc, p.stride_c, p.batch);
    if (p.batch > 1 && p.stride_c < (p.n - 1) * p.ldc + p.m && !is_interleaved(&p))
        ss_fake_refuse("%s: the products of a batch overlap", function);
    memcpy(&p.alpha, alpha, sizeof p.alpha); /* the host's, as the pointer mode is by default */
    memcpy(&p.beta, beta, sizeof p.beta);
    p.tf32 = compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    if (p.m && p.n && p.batch)
        ss_fake_later(h->stream, function, run_product, &p, sizeof p);
    return CUBLAS_STATUS_SUCCESS;
}

/* Real matrices: conjugated is transposed. */
static bool transposed(cublasOperation_t t)
{
    return t != CUBLAS_OP_N;
}

cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t transa, cublasOperation_t transb,
                            int m, int n, int k, const void *alpha, const void *a, cudaDataType ta,
                            int lda, const void *b, cudaDataType tb, int ldb, const void *beta,
                            void *c, cudaDataType tc, int ldc, cublasComputeType_t compute,
                            cublasGemmAlgo_t algo)
{
    CALL(CUBLAS_STATUS_EXECUTION_FAILED);
    (void)algo;
    return gemm(__func__, h,
                (product){.a = a,
                          .b = b,
                          .c = c,
                          .m = m,
                          .n = n,
                          .k = k,
                          .lda = lda,
                          .ldb = ldb,
                          .ldc = ldc,
                          .batch = 1,
                          .ta = transposed(transa),
                          .tb = transposed(transb)},
                ta, tb, tc, compute, alpha, beta);
}

cublasStatus_t cublasGemmStridedBatchedEx(
    cublasHandle_t h, cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k,
    const void *alpha, const void *a, cudaDataType ta, int lda, long long stride_a, const void *b,
    cudaDataType tb, int ldb, long long stride_b, const void *beta, void *c, cudaDataType tc,
    int ldc, long long stride_c, int batch, cublasComputeType_t compute, cublasGemmAlgo_t algo)
{
    CALL(CUBLAS_STATUS_EXECUTION_FAILED);
    (void)algo;
    return gemm(__func__, h,
                (product){.a = a,
                          .b = b,
                          .c = c,
                          .m = m,
                          .n = n,
                          .k = k,
                          .lda = lda,
                          .ldb = ldb,
                          .ldc = ldc,
                          .stride_a = stride_a,
                          .stride_b = stride_b,
                          .stride_c = stride_c,
                          .batch = batch,
                          .ta = transposed(transa),
                          .tb = transposed(transb)},
                ta, tb, tc, compute, alpha, beta);
}
