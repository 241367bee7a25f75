/* step.c - the step of an optimiser and sums of squares: a launch each for all tensors
 *
 * The list of tensors goes to the device with the call: some 50 bytes for each. Sums are results.
 */
#include "base/mem.h"
#include "kernels/cuda/cuda.h"

#include <string.h>

static int64_t blocks_of(int64_t n)
{
    return (n + SS_CUDA_STEP_BLOCK - 1) / SS_CUDA_STEP_BLOCK;
}

static void *data_of(const ss_tensor *x)
{
    return x ? x->data : NULL;
}

/* Copies a list of the host's to the device and frees it; NULL is an empty one, after an error of
 * memory. */
static ss_code list_in(ss_device *d, void *list, size_t bytes, const void **at, ss_err *e)
{
    const ss_code rc =
        list ? ss_cuda_operand(d, list, bytes, at, e) : ss_no_memory(e, "parameters");

    ss_free(list);
    return rc;
}

static void take_sums(const void *values, const ss_cuda_taker *t)
{
    memcpy(t->out, values, (size_t)t->n * sizeof(ss_step_sums));
}

/* ---- the step ---- */

static ss_cuda_stepped *list_steps(const ss_step *s, size_t n, int64_t *blocks)
{
    ss_cuda_stepped *list = ss_alloc(n, sizeof *list);

    *blocks = 0;
    for (size_t i = 0; list && i < n; i++) {
        list[i] = (ss_cuda_stepped){.gradient = data_of(s[i].gradient),
                                    .w = data_of(s[i].w),
                                    .m = data_of(s[i].m),
                                    .v = data_of(s[i].v),
                                    .ema = data_of(s[i].ema),
                                    .n = ss_shape_numel(s[i].w->shape),
                                    .first = *blocks,
                                    .key = s[i].key};
        *blocks += blocks_of(list[i].n);
    }
    return list;
}

/* Changes all values; sums [n] or NULL. */
static ss_code step_values(ss_device *d, const ss_step *s, size_t n, const ss_step_rule *r,
                           ss_step_sums *sums, ss_err *e)
{
    int64_t blocks;
    void *place = NULL, *part = NULL;
    const void *list = NULL;
    const size_t bytes = n * sizeof *sums;
    ss_code rc = list_in(d, list_steps(s, n, &blocks), n * sizeof(ss_cuda_stepped), &list, e);

    if (rc == SS_OK && sums)
        rc = ss_cuda_result(d, bytes + n * sizeof(unsigned), take_sums,
                            (ss_cuda_taker){.out = sums, .n = (int64_t)n}, &place, e);
    if (rc == SS_OK && sums && blocks) {
        part = ss_cuda_work(d, (size_t)blocks * sizeof *sums, "sums of a step", e);
        rc = part ? SS_OK : e->code;
    }
    if (rc == SS_OK)
        rc = SS_LAUNCH(d, e, optimizer_step, (ss_cuda_grid_size){.x = blocks}, .tensors = list,
                       .n = (int64_t)n, .rule = *r, .part = part,
                       .done = place ? (unsigned *)((char *)place + bytes) : NULL, .sums = place);
    ss_pool_free(&d->pool, part);
    return rc;
}

/* Brings rows to unit RMS, of parameters that want it. */
static ss_code unit_rows(ss_device *d, const ss_step *s, size_t n, ss_err *e)
{
    ss_cuda_unit *list = ss_alloc(n, sizeof *list);
    const void *at = NULL;
    int64_t rows = 0, tensors = 0;

    for (size_t i = 0; list && i < n; i++) {
        const int64_t values = ss_shape_numel(s[i].w->shape);

        if (!s[i].unit_row || !values)
            continue;
        list[tensors++] = (ss_cuda_unit){s[i].w->data, s[i].unit_row, rows};
        rows += values / s[i].unit_row;
    }
    if (list && !rows) {
        ss_free(list);
        return SS_OK;
    }
    const ss_code rc = list_in(d, list, (size_t)tensors * sizeof *list, &at, e);

    return rc == SS_OK ? SS_LAUNCH(d, e, unit_rows, (ss_cuda_grid_size){.x = rows}, .tensors = at,
                                   .n = tensors)
                       : rc;
}

ss_code ss_cuda_optimizer_step(ss_device *d, const ss_step *s, size_t n, const ss_step_rule *r,
                               ss_step_sums *sums, ss_err *e)
{
    const ss_code rc = n ? step_values(d, s, n, r, sums, e) : SS_OK;

    return rc == SS_OK && n ? unit_rows(d, s, n, e) : rc;
}

/* ---- sums of squares ---- */

static void take_sum(const void *values, const ss_cuda_taker *t)
{
    memcpy(t->out, values, sizeof(double));
}

/* Lists the tensors that have values, *tensors of them with *blocks; NULL when out of memory. */
static ss_cuda_summed *list_sums(const ss_tensor *const *x, size_t n, int64_t *tensors,
                                 int64_t *blocks)
{
    ss_cuda_summed *list = ss_alloc(n + 1, sizeof *list); /* an empty one is no error */

    *tensors = *blocks = 0;
    for (size_t i = 0; list && i < n; i++) {
        const int64_t values = x[i] ? ss_shape_numel(x[i]->shape) : 0;

        if (!values)
            continue;
        list[(*tensors)++] = (ss_cuda_summed){x[i]->data, values, *blocks};
        *blocks += blocks_of(values);
    }
    return list;
}

ss_code ss_cuda_sum_squares(ss_device *d, const ss_tensor *const *x, size_t n, double *sum,
                            ss_err *e)
{
    int64_t tensors, blocks;
    ss_cuda_summed *list = list_sums(x, n, &tensors, &blocks);
    const void *at = NULL;
    void *place, *part;
    ss_code rc = list_in(d, list, (size_t)tensors * sizeof *list, &at, e);

    if (rc == SS_OK)
        rc = ss_cuda_result(d, sizeof(double) + sizeof(unsigned), take_sum,
                            (ss_cuda_taker){.out = sum}, &place, e);
    if (rc != SS_OK || !blocks) /* the result is zero then */
        return rc;
    part = ss_cuda_work(d, (size_t)blocks * sizeof(double), "a sum of squares", e);
    if (!part)
        return e->code;
    rc = SS_LAUNCH(d, e, sum_squares, (ss_cuda_grid_size){.x = blocks}, .tensors = at, .n = tensors,
                   .part = part, .done = (unsigned *)((double *)place + 1), .sum = place);
    ss_pool_free(&d->pool, part);
    return rc;
}
