/* copies.c - values that move and stay as they are, but for rounding: rows, axes in another order;
 * see shape.cu */
#include "kernels/cuda/cuda.h"
#include "kernels/merge_axes.h"

static ss_code copy_whole(ss_device *d, const float *x, float *y, int64_t n, ss_err *e)
{
    if (n)
        SS_CU(d->api, e, cuMemcpyDtoDAsync, (CUdeviceptr)y, (CUdeviceptr)x, (size_t)n * sizeof *x,
              d->stream);
    return SS_OK;
}

ss_code ss_cuda_copy_rows(ss_device *d, const ss_tensor *x, int64_t x_offset, int64_t x_stride,
                          ss_tensor *y, int64_t y_offset, int64_t y_stride, int64_t rows,
                          int64_t len, ss_err *e)
{
    const float *from = (const float *)x->data + x_offset;
    float *to = (float *)y->data + y_offset;
    const int64_t n = rows * len;

    if (!n)
        return SS_OK;
    if (rows == 1 || (x_stride == len && y_stride == len))
        return copy_whole(d, from, to, n, e);
    const int pack = ss_cuda_pack(len | x_stride | y_stride, from, to, NULL);
    return SS_LAUNCH(d, e, copy_rows, ss_cuda_grid(d, n, SS_THREADS_copy_rows), .x = from, .y = to,
                     .x_stride = x_stride / pack, .y_stride = y_stride / pack,
                     .len = ss_cuda_divisor_of(len / pack), .n = n / pack, .pack = pack);
}

/* ---- axes in another order ---- */

/* The axes but one, or all where `without` is n, in packs. */
static ss_cuda_axes axes_without(const ss_axis *a, int n, int without, int pack)
{
    ss_cuda_axes r = {0};

    for (int k = 0; k < n; k++) {
        if (k == without)
            continue;
        r.size[r.n] = ss_cuda_divisor_of(a[k].n);
        r.x[r.n] = a[k].x / pack;
        r.y[r.n++] = a[k].y / pack;
    }
    return r;
}

/* y in order, each value or pack from where it is in x. */
static ss_code gather(ss_device *d, const float *x, float *y, const ss_axis *a, int n,
                      int64_t values, ss_err *e)
{
    int64_t strides = 0; /* a multiple of 4 if all are */
    ss_axis b[SS_MAX_RANK];

    for (int k = 0; k < n; k++) {
        b[k] = a[k];
        strides |= k < n - 1 ? a[k].x : a[k].n;
    }
    const int pack = a[n - 1].x == 1 ? ss_cuda_pack(strides, x, y, NULL) : 1;
    b[n - 1].n /= pack;
    b[n - 1].x *= pack; /* a step is a pack */
    return SS_LAUNCH(d, e, permute, ss_cuda_grid(d, values, SS_THREADS_permute), .x = x, .y = y,
                     .axes = axes_without(b, n, n, pack), .n = values / pack, .pack = pack);
}

/* Planes of y's last ss_axis and x's last, which is `last`, tile by tile; rounded to f unless NULL.
 */
static ss_code turn_planes(ss_device *d, const float *x, float *y, const ss_axis *a, int n,
                           int last, const ss_format *f, ss_err *e)
{
    enum { TILE = 32 };
    const ss_axis across = a[n - 1], down = a[last];
    const int64_t tiles_across = (across.n + TILE - 1) / TILE;
    const int64_t tiles_down = (down.n + TILE - 1) / TILE;
    ss_cuda_grid_size grid = {.x = tiles_across * tiles_down};

    for (int k = 0; k < n - 1; k++)
        if (k != last)
            grid.x *= a[k].n;

    return SS_LAUNCH(d, e, permute_planes, grid, .x = x, .y = y, .across = across.n, .down = down.n,
                     .x_stride = across.x, .y_stride = down.y,
                     .tiles_across = ss_cuda_divisor_of(tiles_across),
                     .tiles_down = ss_cuda_divisor_of(tiles_down),
                     .axes = axes_without(a, n - 1, last, 1), .to = ss_cuda_rounding_of(f));
}

ss_code ss_cuda_permute(ss_device *d, const ss_tensor *x, const int *axes, ss_tensor *y, ss_err *e)
{
    enum { NARROW = 8 }; /* of planes below it most of a tile would be empty */
    const int64_t values = ss_shape_numel(x->shape);
    ss_axis a[SS_MAX_RANK];
    const int n = ss_merge_axes(x, axes, a);
    int last = 0;

    if (!values)
        return SS_OK;
    if (n < 2)
        return copy_whole(d, x->data, y->data, values, e);
    while (a[last].x != 1)
        last++;
    if (last == n - 1 || a[last].n < NARROW || a[n - 1].n < NARROW)
        return gather(d, x->data, y->data, a, n, values, e);
    return turn_planes(d, x->data, y->data, a, n, last, NULL, e);
}

ss_code ss_cuda_transpose(ss_device *d, const float *x, float *y, int64_t n, int64_t a, int64_t b,
                          const ss_format *f, ss_err *e)
{
    const ss_axis axes[] = {{n, a * b, a * b}, {b, 1, a}, {a, b, 1}};

    return turn_planes(d, x, y, axes, 3, 1, f, e);
}
