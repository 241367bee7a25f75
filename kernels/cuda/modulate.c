/* modulate.c - scale and shift by channels, and gated units on the device */
#include "kernels/cuda/norm.h"
#include "kernels/cuda/packs.h"

ss_code ss_cuda_modulate(ss_device *d, const ss_tensor *x, const ss_tensor *mod, ss_tensor *y,
                         ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape), C = x->shape.dim[x->shape.rank - 1];
    const int pack = ss_cuda_pack(C, x->data, mod->data, y->data);

    if (!n)
        return SS_OK;
    return SS_LAUNCH(d, e, modulate, ss_cuda_grid(d, n, SS_THREADS_modulate), .x = x->data,
                     .mod = mod->data, .y = y->data, .channels = ss_cuda_divisor_of(C / pack),
                     .rows = ss_cuda_divisor_of(n / C / x->shape.dim[0]), .n = n / pack,
                     .width = mod->shape.dim[mod->shape.rank - 1], .pack = pack);
}

ss_code ss_cuda_geglu(ss_device *d, const ss_tensor *x, ss_tensor *y, ss_err *e)
{
    const int64_t n = ss_shape_numel(y->shape), row = y->shape.dim[y->shape.rank - 1];
    const int pack = ss_cuda_pack(row, x->data, y->data, NULL);

    if (!n)
        return SS_OK;
    return SS_LAUNCH(d, e, geglu, ss_cuda_grid(d, n, SS_THREADS_geglu), .x = x->data, .y = y->data,
                     .row = ss_cuda_divisor_of(row / pack), .n = n / pack, .pack = pack);
}

ss_code ss_cuda_back_geglu(ss_device *d, const ss_tensor *x, const ss_tensor *dy, ss_tensor *dx,
                           ss_err *e)
{
    const int64_t n = ss_shape_numel(dy->shape), row = dy->shape.dim[dy->shape.rank - 1];
    const int pack = ss_cuda_pack(row, x->data, dy->data, dx->data);

    if (!n)
        return SS_OK;
    return SS_LAUNCH(d, e, geglu_back, ss_cuda_grid(d, n, SS_THREADS_geglu_back), .x = x->data,
                     .dy = dy->data, .dx = dx->data, .row = ss_cuda_divisor_of(row / pack),
                     .n = n / pack, .pack = pack);
}

/* ---- gradient of modulation ---- */

enum { COLUMNS = 32, ROUND = 32 /* rows that a block takes at a time */, MOST_CHUNKS = 128 };

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* In launches of as many samples as there are counters for. */
static ss_code launch_back(ss_device *d, ss_kernel_modulate_back a, int64_t samples, ss_err *e)
{
    const int64_t each = SS_MODULATE_COUNTERS / a.slabs, sample = a.rows * a.channels;
    ss_code rc = SS_OK;

    for (int64_t s = 0; s < samples && rc == SS_OK; s += each) {
        const int64_t n = samples - s < each ? samples - s : each;
        ss_kernel_modulate_back b = a;

        b.x += s * sample;
        b.dy += s * sample;
        b.mod += s * a.width;
        b.dx = a.dx ? a.dx + s * sample : NULL;
        b.dmod = a.dmod ? a.dmod + s * a.width : NULL;
        b.partial = a.partial ? a.partial + s * a.chunks * a.channels * 2 : NULL;
        rc = ss_cuda_launch(d, SS_KERNEL_modulate_back,
                            (ss_cuda_grid_size){.x = n * a.slabs * a.chunks},
                            SS_THREADS_modulate_back, &b, e);
    }
    return rc;
}

ss_code ss_cuda_back_modulate(ss_device *d, const ss_tensor *x, const ss_tensor *mod,
                              const ss_tensor *dy, ss_tensor *dx, ss_tensor *dmod, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape), N = x->shape.dim[0];
    const int64_t C = x->shape.dim[x->shape.rank - 1];

    if (!n)
        return dmod ? ss_cuda_fill(d, dmod, 0, e) : SS_OK;
    const int64_t rows = n / N / C;
    const int64_t chunk = divide_up(divide_up(rows, MOST_CHUNKS), ROUND) * ROUND;
    const int pack_x = ss_cuda_pack(C, x->data, mod->data, dy->data);
    const int pack = ss_cuda_pack(C, ss_cuda_values(dx), NULL, NULL) == 4 ? pack_x : 1;
    const int64_t chunks = divide_up(rows, chunk), slabs = divide_up(C, COLUMNS * pack);
    double *partial = NULL;

    if (slabs > SS_MODULATE_COUNTERS)
        return ss_fail(e, SS_UNSUPPORTED, "gradient of modulation: %lld channels are too many",
                       (long long)C);
    if (dmod && chunks > 1) {
        partial = ss_cuda_work(d, (size_t)(N * chunks * C * 2) * sizeof *partial,
                               "gradient of modulation", e);
        if (!partial)
            return e->code;
    }
    const ss_kernel_modulate_back a = {.x = x->data,
                                       .mod = mod->data,
                                       .dy = dy->data,
                                       .dx = ss_cuda_values(dx),
                                       .dmod = ss_cuda_values(dmod),
                                       .partial = partial,
                                       .rows = rows,
                                       .channels = C,
                                       .width = mod->shape.dim[mod->shape.rank - 1],
                                       .chunk = chunk,
                                       .chunks = (int32_t)chunks,
                                       .slabs = (int32_t)slabs,
                                       .pack = pack};
    const ss_code rc = launch_back(d, a, N, e);
    ss_pool_free(&d->pool, partial);
    return rc;
}
