/* shape.c - means over tokens, and rows of tables; see shape.cu */
#include "kernels/cuda/cuda.h"

/* ---- tokens ---- */

ss_code ss_cuda_mean_tokens(ss_device *d, const ss_tensor *x, ss_tensor *y, ss_err *e)
{
    const int64_t N = x->shape.dim[0], T = x->shape.dim[1], C = x->shape.dim[2];
    const int64_t blocks = (N * C + SS_THREADS_mean_tokens - 1) / SS_THREADS_mean_tokens;

    return SS_LAUNCH(d, e, mean_tokens, ((ss_cuda_grid_size){.x = blocks}), .x = x->data,
                     .y = y->data, .channels = ss_cuda_divisor_of(C), .tokens = T, .n = N * C);
}

ss_code ss_cuda_back_mean_tokens(ss_device *d, const ss_tensor *dy, ss_tensor *dx, ss_err *e)
{
    const int64_t n = ss_shape_numel(dx->shape), T = dx->shape.dim[1], C = dx->shape.dim[2];
    const int pack = ss_cuda_pack(C, dy->data, dx->data, NULL);

    return SS_LAUNCH(d, e, back_mean_tokens, ss_cuda_grid(d, n, SS_THREADS_back_mean_tokens),
                     .dy = dy->data, .dx = dx->data, .channels = ss_cuda_divisor_of(C / pack),
                     .tokens = ss_cuda_divisor_of(T), .n = n / pack, .pack = pack);
}

/* ---- rows of a table ---- */

ss_code ss_cuda_embedding(ss_device *d, const ss_tensor *table, const int64_t *ids, ss_tensor *y,
                          ss_err *e)
{
    const int64_t n = y->shape.dim[0], C = y->shape.dim[1];
    const float *rows = ss_cuda_param(d, table, SS_PREPARED_FORWARD, NULL, SS_CUDA_AS_IS, e);
    const void *at;

    if (!rows)
        return e->code;
    if (n * C == 0)
        return SS_OK;
    const int pack = ss_cuda_pack(C, rows, y->data, NULL);
    const ss_code rc = ss_cuda_operand(d, ids, (size_t)n * sizeof *ids, &at, e);
    if (rc != SS_OK)
        return rc;
    return SS_LAUNCH(d, e, embedding, ss_cuda_grid(d, n * C, SS_THREADS_embedding), .table = rows,
                     .ids = at, .y = y->data, .channels = ss_cuda_divisor_of(C / pack),
                     .n = n * C / pack, .pack = pack);
}

ss_code ss_cuda_back_embedding(ss_device *d, const int64_t *ids, const ss_tensor *dy,
                               ss_tensor *dtable, ss_err *e)
{
    const int64_t n = dy->shape.dim[0], C = dy->shape.dim[1];
    const void *at;
    ss_code rc = ss_cuda_fill(d, dtable, 0, e);

    if (rc != SS_OK || n * C == 0)
        return rc;
    rc = ss_cuda_operand(d, ids, (size_t)n * sizeof *ids, &at, e);
    if (rc != SS_OK)
        return rc;
    return SS_LAUNCH(d, e, back_embedding, ((ss_cuda_grid_size){.x = n}), .ids = at, .dy = dy->data,
                     .dtable = dtable->data, .channels = C, .n = n);
}
