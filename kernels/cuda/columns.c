/* columns.c - statistics of channels, sums of rows and of products, one launch each */
#include "kernels/cuda/cuda.h"

#include <string.h>

enum {
    THREADS = 256,
    BATCH = 16,        /* rows of a thread, at least */
    MOST_BLOCKS = 512, /* of the rows of a group */
    MOST_LANES = 32
};

static int64_t quotient_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static ss_cuda_columns columns_of(int64_t rows, int64_t channels)
{
    ss_cuda_columns c = {.rows = rows, .channels = channels, .lanes = 1};
    int64_t each;

    c.vector = channels % 4 == 0 ? 4 : 1;
    while (c.lanes < MOST_LANES && c.lanes * c.vector < channels)
        c.lanes *= 2;
    each = THREADS / c.lanes * BATCH;
    c.step = each * quotient_up(quotient_up(rows, each), MOST_BLOCKS);
    c.row_blocks = rows ? quotient_up(rows, c.step) : 1;
    c.column_blocks = quotient_up(channels, (int64_t)c.lanes * c.vector);
    return c;
}

static int64_t blocks_of(const ss_cuda_columns *c, int64_t groups)
{
    return groups * c->column_blocks * c->row_blocks;
}

/* Partial sums, `each` bytes; *part stays NULL where there are none. */
static ss_code partials(ss_device *d, int64_t n, size_t each, void **part, ss_err *e)
{
    *part = n ? ss_cuda_work(d, (size_t)n * each, "partial sums", e) : NULL;
    return *part || !n ? SS_OK : e->code;
}

static int64_t parts_of(const ss_cuda_columns *c, int64_t groups)
{
    return c->row_blocks > 1 ? groups * c->row_blocks * c->channels : 0;
}

/* ---- statistics of channels ---- */

static void take_channels(const void *values, const ss_cuda_taker *t)
{
    const size_t bytes = (size_t)t->n * sizeof(float);

    memcpy(t->out, values, bytes);
    memcpy(t->out2, (const char *)values + bytes, bytes);
}

ss_code ss_cuda_channel_stats(ss_device *d, const ss_tensor *x, float *absmax, float *rms,
                              ss_err *e)
{
    const int64_t N = x->shape.dim[0], C = x->shape.dim[x->shape.rank - 1], n = N * C;
    const ss_cuda_columns c = columns_of(n ? ss_shape_numel(x->shape) / n : 0, C);
    const ss_cuda_taker taker = {.out = absmax, .out2 = rms, .n = n};
    void *part, *place;
    ss_code rc = ss_cuda_result(
        d, (size_t)n * 2 * sizeof(float) + (size_t)(N * c.column_blocks) * sizeof(unsigned),
        take_channels, taker, &place, e);

    if (rc == SS_OK)
        rc = partials(d, parts_of(&c, N), sizeof(ss_cuda_channel), &part, e);
    if (rc != SS_OK)
        return rc;
    float *to = place;

    rc = SS_LAUNCH(d, e, channel_stats, (ss_cuda_grid_size){.x = blocks_of(&c, N)}, .x = x->data,
                   .columns = c, .part = part, .done = (unsigned *)(to + 2 * n), .absmax = to,
                   .rms = to + n);
    ss_pool_free(&d->pool, part);
    return rc;
}

/* ---- gradients ---- */

static void take_nothing(const void *values, const ss_cuda_taker *t)
{
    (void)values, (void)t;
}

/* n counters, zero; NULL if n is 0. They are a result that nobody reads. */
static ss_code counters(ss_device *d, int64_t n, unsigned **at, ss_err *e)
{
    void *place = NULL;
    const ss_code rc =
        n ? ss_cuda_result(d, (size_t)n * sizeof **at, take_nothing, (ss_cuda_taker){0}, &place, e)
          : SS_OK;

    *at = place;
    return rc;
}

ss_code ss_cuda_back_sum_rows(ss_device *d, const ss_tensor *x, int64_t groups, ss_tensor *y,
                              ss_err *e)
{
    const int64_t C = x->shape.dim[x->shape.rank - 1], n = C * groups;
    const ss_cuda_columns c = columns_of(n ? ss_shape_numel(x->shape) / n : 0, C);
    unsigned *done;
    void *part;
    ss_code rc = counters(d, c.row_blocks > 1 ? groups * c.column_blocks : 0, &done, e);

    if (rc == SS_OK)
        rc = partials(d, parts_of(&c, groups), sizeof(double), &part, e);
    if (rc != SS_OK)
        return rc;
    rc = SS_LAUNCH(d, e, sum_rows, (ss_cuda_grid_size){.x = blocks_of(&c, groups)}, .x = x->data,
                   .columns = c, .part = part, .done = done, .y = y->data);
    ss_pool_free(&d->pool, part);
    return rc;
}

ss_code ss_cuda_back_dot(ss_device *d, const ss_tensor *a, const ss_tensor *b, ss_tensor *y,
                         ss_err *e)
{
    const int64_t n = ss_shape_numel(a->shape);
    const int64_t blocks = n ? quotient_up(n, SS_CUDA_DOT_CHUNK) : 1;
    unsigned *done;
    void *part;
    ss_code rc = counters(d, blocks > 1 ? 1 : 0, &done, e);

    if (rc == SS_OK)
        rc = partials(d, blocks > 1 ? blocks : 0, sizeof(double), &part, e);
    if (rc != SS_OK)
        return rc;
    rc = SS_LAUNCH(d, e, dot, (ss_cuda_grid_size){.x = blocks}, .x = a->data, .z = b->data, .n = n,
                   .part = part, .done = done, .y = y->data);
    ss_pool_free(&d->pool, part);
    return rc;
}
