/* isa_conv_weights.c - the gradient of a convolution's weights
 *
 *   dw[o][i][ky][kx] = sum over n, y, x of dy[n][y][x][o] x[n][y s + ky - top][x s + kx - left][i]
 *
 * For one tap (ky, kx) this is a sum of outer products over the positions that see the picture.
 * Positions go in blocks whose dy and x fit the nearest cache; within a block each tile of
 * (tap, o, i) sums up in registers. Threads share the tiles, so every sum runs over the
 * positions in the same order whatever their number. oneDNN, which splits the positions among
 * threads, does not keep the bits, which is why this is ours.
 *
 * Channels that are no multiple of a tile are padded with zeros first.
 *
 * Where isa_winograd_weights.c is faster, it goes first; infinities and NaN are left to this.
 */
#include "base/mem.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_product.h"

#include <omp.h>

typedef struct {
    const ss_conv2d_gradient_args *a;
    int64_t O, I;                   /* padded */
    int64_t ob, ib;                 /* tiles of output and of input channels */
    const float *x, *dy;            /* [n][h][width][I], [n][out_h][out_w][O] */
    float *dw;                      /* [kh kw][O][I] */
    int64_t samples, rows, columns; /* of a block of positions */
} plan;

/* x [rows][C] -> [rows][C_pad], padded with zeros. */
static void pad_rows(const ss_device *d, const float *x, int64_t rows, int64_t C, int64_t C_pad,
                     float *to)
{
#pragma omp parallel for num_threads(ss_cpu_team(d, rows *C_pad)) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        memcpy(to + r * C_pad, x + r * C, (size_t)C * sizeof *to);
        memset(to + r * C_pad + C, 0, (size_t)(C_pad - C) * sizeof *to);
    }
}

/* Blocks of some 32 KiB: columns of one row, then whole rows, then whole samples. */
static void choose_block(plan *p)
{
    const ss_conv2d_gradient_args *a = p->a;
    const int64_t most = 8192 / (p->O + p->I) + 1;

    p->columns = min_i64(a->out_w, most < 32 ? 32 : most);
    p->rows = p->columns < a->out_w ? 1 : min_i64(a->out_h, most / p->columns + 1);
    p->samples = p->rows < a->out_h ? 1 : most / (p->rows * p->columns) + 1;
}

/* Adds a block of positions, from (n, y, x) on, to one tile. */
static void add_block(const plan *p, int64_t unit, int64_t n, int64_t y, int64_t x)
{
    const ss_conv2d_gradient_args *a = p->a;
    const int64_t stride = a->opt.stride;
    const int64_t o = unit % p->ob * T_ROWS, i = unit / p->ob % p->ib, tap = unit / p->ob / p->ib;
    const int64_t ky = tap / a->kw, kx = tap % a->kw;
    int64_t y1 = min_i64(y + p->rows, a->out_h), x1 = min_i64(x + p->columns, a->out_w);
    int64_t done = 0;
    int width = tile_width(p->I / VL);

    for (int64_t t = 0; t < i; t++) { /* tiles are of up to three widths: find the i-th */
        done += width;
        width = tile_width(p->I / VL - done);
    }
    keep_inside(stride, ky - a->opt.top, a->h, &y, &y1);
    keep_inside(stride, kx - a->opt.left, a->width, &x, &x1);
    if (y >= y1 || x >= x1)
        return;

    const positions at = {
        .samples = min_i64(p->samples, a->n - n),
        .rows = y1 - y,
        .columns = x1 - x,
        .a_sample = a->out_h * a->out_w * p->O,
        .a_row = a->out_w * p->O,
        .a_column = p->O,
        .b_sample = a->h * a->width * p->I,
        .b_row = stride * a->width * p->I,
        .b_column = stride * p->I,
    };
    const int64_t sy = y * stride + ky - a->opt.top, sx = x * stride + kx - a->opt.left;
    outer_product(&at, p->dy + ((n * a->out_h + y) * a->out_w + x) * p->O + o,
                  p->x + ((n * a->h + sy) * a->width + sx) * p->I + done * VL, width,
                  p->dw + (tap * p->O + o) * p->I + done * VL, p->I);
}

/* Where isa_winograd_weights.c is faster, as measured. */
static bool suits_winograd(const ss_conv2d_gradient_args *a)
{
    return a->kh == 3 && a->kw == 3 && a->opt.stride == 1 && a->in >= 16 && a->out >= 16;
}

/* *done: that dw is written and finite. */
static ss_code try_winograd(ss_device *d, const ss_conv2d_gradient_args *a, int team, float *dw,
                            bool *done, ss_err *e)
{
    ss_conv c = {.n = a->n,
                 .h = a->h,
                 .w = a->width,
                 .in = a->in,
                 .out_h = a->out_h,
                 .out_w = a->out_w,
                 .out = a->out,
                 .top = a->opt.top,
                 .left = a->opt.left,
                 .x = a->x->data};
    const int64_t work = round_up(ISA(winograd_weights_floats)(&c), 16);
    const size_t bytes = (size_t)(work + a->in) * sizeof(float);
    float *scratch = ss_pool_alloc(&d->pool, bytes);

    if (!scratch)
        return ss_fail(e, SS_NOMEM, "gradient of weights: %zu bytes of work space", bytes);
    memset(scratch + work, 0, (size_t)a->in * sizeof *scratch);
    c.zeros = scratch + work;
    *done = ISA(winograd_weights)(&c, a->dy->data, dw, scratch, team);
    ss_pool_free(&d->pool, scratch);
    return SS_OK;
}

static ss_code direct(ss_device *d, const ss_conv2d_gradient_args *a, int team, float *dw,
                      ss_err *e)
{
    const int64_t taps = a->kh * a->kw, x_rows = a->n * a->h * a->width;
    const int64_t dy_rows = a->n * a->out_h * a->out_w;
    plan p = {.a = a, .O = round_up(a->out, T_ROWS), .I = round_up(a->in, VL)};

    p.x = a->x->data;
    p.dy = a->dy->data;
    p.ob = p.O / T_ROWS;
    for (int64_t done = 0; done < p.I / VL; p.ib++)
        done += tile_width(p.I / VL - done);
    choose_block(&p);

    const int64_t n_dw = taps * p.O * p.I, n_x = p.I > a->in ? x_rows * p.I : 0;
    const int64_t n_dy = p.O > a->out ? dy_rows * p.O : 0;
    const size_t bytes = (size_t)(round_up(n_dw, 16) + round_up(n_x, 16) + n_dy) * sizeof(float);
    float *scratch = ss_pool_alloc(&d->pool, bytes);
    if (!scratch)
        return ss_fail(e, SS_NOMEM, "gradient of weights: %zu bytes of work space", bytes);
    p.dw = scratch;
    memset(p.dw, 0, (size_t)n_dw * sizeof *p.dw);
    if (n_x) {
        pad_rows(d, a->x->data, x_rows, a->in, p.I, scratch + round_up(n_dw, 16));
        p.x = scratch + round_up(n_dw, 16);
    }
    if (n_dy) {
        float *padded = scratch + round_up(n_dw, 16) + round_up(n_x, 16);

        pad_rows(d, a->dy->data, dy_rows, a->out, p.O, padded);
        p.dy = padded;
    }

    const int64_t units = taps * p.ob * p.ib;
#pragma omp parallel num_threads(team)
    {
        const int64_t all = omp_get_num_threads(), me = omp_get_thread_num();
        const int64_t first = units * me / all, last = units * (me + 1) / all;

        for (int64_t n = 0; n < a->n; n += p.samples)
            for (int64_t y = 0; y < a->out_h; y += p.rows)
                for (int64_t x = 0; x < a->out_w; x += p.columns)
                    for (int64_t u = first; u < last; u++)
                        add_block(&p, u, n, y, x);
    }
#pragma omp parallel for num_threads(ss_cpu_team(d, n_dw)) schedule(static)
    for (int64_t o = 0; o < a->out; o++)
        for (int64_t i = 0; i < a->in; i++)
            for (int64_t t = 0; t < taps; t++)
                dw[(o * a->in + i) * taps + t] = p.dw[(t * p.O + o) * p.I + i];
    ss_pool_free(&d->pool, scratch);
    return SS_OK;
}

ss_code ISA(back_conv2d_weights)(ss_device *d, const ss_conv2d_gradient_args *a, ss_tensor *dw,
                                 ss_err *e)
{
    const int team = ss_cpu_team(d, a->n * a->out_h * a->out_w * a->out * a->in / 16);
    bool done = false;
    ss_code rc = SS_OK;

    if (suits_winograd(a))
        rc = try_winograd(d, a, team, dw->data, &done, e);
    return rc != SS_OK || done ? rc : direct(d, a, team, dw->data, e);
}
