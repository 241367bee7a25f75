/* loss.c - the squared error of an answer (kernels/loss.h)
 *
 * The target goes to the device with the call, and the sums wait there for finish: a training step
 * moves nothing else of its loss.
 */
#include "kernels/cuda/cuda.h"

#include <string.h>

static void take_squares(const void *values, const ss_cuda_taker *t)
{
    memcpy(t->out, values, (size_t)t->n * sizeof(double));
}

/* Operands and partial sums on the device, in one block that begins with slope. */
typedef struct {
    double *slope, *part;
    float *target;
} operands;

static ss_code operands_in(ss_device *d, const float *target, int64_t values, const double *slope,
                           int64_t samples, int64_t blocks, operands *o, ss_err *e)
{
    const size_t n = (size_t)samples;

    o->slope =
        ss_cuda_work(d, (n + (size_t)blocks) * sizeof(double) + (size_t)values * sizeof(float),
                     "a squared error", e);
    if (!o->slope)
        return e->code;
    o->part = o->slope + samples;
    o->target = (float *)(o->part + blocks);
    const ss_code rc = ss_cuda_copy_in(d, o->slope, slope, n * sizeof *slope, e);

    return rc == SS_OK ? ss_cuda_copy_in(d, o->target, target, (size_t)values * sizeof *target, e)
                       : rc;
}

ss_code ss_cuda_squared_error(ss_device *d, const ss_tensor *y, const float *target,
                              const double *slope, ss_tensor *dy, double *squares, ss_err *e)
{
    const int64_t N = y->shape.dim[0], values = ss_shape_numel(y->shape);
    const int64_t length = N ? values / N : 0;
    const int64_t chunks = (length + SS_CUDA_LOSS_CHUNK - 1) / SS_CUDA_LOSS_CHUNK;
    operands o = {0};
    void *place;
    ss_code rc = ss_cuda_result(d, (size_t)N * (sizeof(double) + sizeof(unsigned)), take_squares,
                                (ss_cuda_taker){.out = squares, .n = N}, &place, e);

    if (rc == SS_OK)
        rc = operands_in(d, target, values, slope, N, N * chunks, &o, e);
    if (rc == SS_OK)
        rc = SS_LAUNCH(d, e, squared_error, (ss_cuda_grid_size){.x = N * chunks}, .y = y->data,
                       .target = o.target, .slope = o.slope, .length = length, .chunks = chunks,
                       .dy = dy->data, .part = o.part, .done = (unsigned *)((double *)place + N),
                       .squares = place);
    ss_pool_free(&d->pool, o.slope);
    return rc;
}
