/* conv.c - which convolutions and matrix products are ours, and in which way
 *
 * Ours are those that have channels enough to fill vectors: isa_winograd.c where that saves time,
 * else isa_conv.c. Backwards they are those with stride 1, as there the gradient of the picture
 *
 *   dx[y][x][i] = sum over ky, kx, o of w[o][i][ky][kx] dy[y + top - ky][x + left - kx][o]
 *
 * is itself a convolution, of dy with the turned weights and the padding kh - 1 - top. A matrix
 * product is the 1 by 1 convolution of one row of pixels. oneDNN has the others.
 *
 * Under a precision policy, values and weights may be numbers of a format that bf16 holds. Where
 * the processor multiplies bf16, oneDNN does it: products of such numbers are exact either way, and
 * both add in f32, so the results are those of f32 but for the order of the sum.
 */
#include "kernels/cpu/cpu.h"

#include <string.h>

static bool is_ours(int64_t taps, int64_t in, int64_t out)
{
    return taps <= SS_DIRECT_TAPS && in >= 8 && out >= 8;
}

/* True when x and the weights rounded to f may be multiplied as bf16. */
static bool in_bf16(const ss_device *d, const ss_tensor *x, const ss_format *f)
{
    return d->bf16 && f && ss_bf16_holds(f->exp_bits, f->man_bits) && ss_is_in_bf16(x);
}

/* With bf16, oneDNN 2.6.3 computes a wrong gradient of a 1 by 1 convolution with an odd number of
 * outputs (seen with 450 pixels, on a processor with AVX-512 BF16 and without AMX). */
static bool is_wrong_in_bf16(const ss_conv2d_gradient_args *a)
{
    return a->kh * a->kw == 1 && a->out % 2 != 0;
}

/* True when Winograd's way is the faster one. In cycles for a vector of outputs and an input
 * channel, as measured: 10 for each tile of 2 by 2 positions, 40 to transform the weights, and 4.5
 * for each position the direct way. */
static bool suits_winograd(const ss_conv *c)
{
    const int64_t tiles = c->n * ((c->out_h + 1) / 2) * ((c->out_w + 1) / 2);

    return c->kh == 3 && c->kw == 3 && c->stride == 1 && c->in >= 16 && c->out >= 16 &&
           20 * tiles + 80 < 9 * c->n * c->out_h * c->out_w;
}

static float *work_space(ss_device *d, size_t floats, ss_err *e)
{
    float *work = ss_pool_alloc(&d->pool, floats * sizeof(float));

    if (!work)
        ss_fail(e, SS_NOMEM, "convolution: %zu floats of work space", floats);
    return work;
}

/* *done: that all outputs are finite and written. */
static ss_code try_winograd(ss_device *d, const ss_conv *c, int team, bool *done, ss_err *e)
{
    float *work = work_space(d, (size_t)team * d->isa->winograd_floats(c), e);

    if (!work)
        return SS_NOMEM;
    *done = d->isa->winograd(c, work, team);
    ss_pool_free(&d->pool, work);
    return SS_OK;
}

static ss_code direct(ss_device *d, const ss_conv *c, int team, ss_err *e)
{
    float *work = work_space(d, (size_t)team * d->isa->direct_floats(c->kh * c->kw), e);

    if (!work)
        return SS_NOMEM;
    d->isa->direct_conv(c, work, team);
    ss_pool_free(&d->pool, work);
    return SS_OK;
}

/* Fills in the zeros, and runs. */
static ss_code run(ss_device *d, ss_conv *c, ss_err *e)
{
    const int team = ss_cpu_team(d, c->n * c->out_h * c->out_w * c->out * c->in);
    float *zeros = work_space(d, (size_t)c->in, e);
    bool done = false;
    ss_code rc = SS_OK;

    if (!zeros)
        return SS_NOMEM;
    memset(zeros, 0, (size_t)c->in * sizeof *zeros);
    c->zeros = zeros;
    if (suits_winograd(c))
        rc = try_winograd(d, c, team, &done, e);
    if (rc == SS_OK && !done)
        rc = direct(d, c, team, e);
    ss_pool_free(&d->pool, zeros);
    return rc;
}

static ss_conv_weights weights_of(const ss_tensor *w, const ss_format *f, bool turned)
{
    return (ss_conv_weights){.values = w->data, .dtype = w->dtype, .rounded = f, .turned = turned};
}

ss_code ss_cpu_conv2d(ss_device *d, const ss_conv2d_args *a, ss_err *e)
{
    const int64_t *x = a->x->shape.dim, *y = a->y->shape.dim, *w = a->w->shape.dim;
    const bool bf16 = in_bf16(d, a->x, a->weight_format);

    if (bf16 || !is_ours(w[2] * w[3], w[1], w[0]))
        return ss_onednn_conv2d(d, a, bf16, e);
    const float *bias = NULL;

    if (a->bias && !(bias = ss_cpu_param(d, a->bias, a->weight_format, e)))
        return SS_NOMEM;
    ss_conv c = {.n = x[0],
                 .h = x[1],
                 .w = x[2],
                 .in = x[3],
                 .out_h = y[1],
                 .out_w = y[2],
                 .out = y[3],
                 .kh = w[2],
                 .kw = w[3],
                 .stride = a->opt.stride,
                 .top = a->opt.top,
                 .left = a->opt.left,
                 .weights = weights_of(a->w, a->weight_format, false),
                 .x = a->x->data,
                 .bias = bias,
                 .y = a->y->data};

    return run(d, &c, e);
}

ss_code ss_cpu_linear(ss_device *d, const ss_linear_args *a, ss_err *e)
{
    const bool bf16 = in_bf16(d, a->x, a->weight_format);

    if (bf16 || !is_ours(1, a->in, a->out))
        return ss_onednn_linear(d, a, bf16, e);
    const float *bias = NULL;

    if (a->bias && !(bias = ss_cpu_param(d, a->bias, a->weight_format, e)))
        return SS_NOMEM;
    ss_conv c = {.n = 1,
                 .h = 1,
                 .w = a->rows,
                 .in = a->in,
                 .out_h = 1,
                 .out_w = a->rows,
                 .out = a->out,
                 .kh = 1,
                 .kw = 1,
                 .stride = 1,
                 .weights = weights_of(a->w, a->weight_format, false),
                 .x = a->x->data,
                 .bias = bias,
                 .y = a->y->data};

    return run(d, &c, e);
}

ss_code ss_cpu_conv2d_data(ss_device *d, const ss_conv2d_gradient_args *a, ss_tensor *dx, ss_err *e)
{
    const bool bf16 = in_bf16(d, a->dy, a->weight_format) && !is_wrong_in_bf16(a);

    if (bf16 || a->opt.stride != 1 || !is_ours(a->kh * a->kw, a->in, a->out))
        return ss_onednn_conv2d_data(d, a, bf16, dx, e);
    ss_conv c = {.n = a->n,
                 .h = a->out_h,
                 .w = a->out_w,
                 .in = a->out,
                 .out_h = a->h,
                 .out_w = a->width,
                 .out = a->in,
                 .kh = a->kh,
                 .kw = a->kw,
                 .stride = 1,
                 .top = a->kh - 1 - a->opt.top,
                 .left = a->kw - 1 - a->opt.left,
                 .weights = weights_of(a->w, a->weight_format, true),
                 .x = a->dy->data,
                 .y = dx->data};

    return run(d, &c, e);
}
