/* conv.c - which convolutions are ours, in which way, and their weights; oneDNN has the others
 *
 * Ours are those that see more than one pixel and have channels enough to fill vectors, on
 * machines without AVX-512: isa_winograd.c where that saves time, else isa_conv.c. Backwards they
 * are those with stride 1, as there the gradient of the picture
 *
 *   dx[y][x][i] = sum over ky, kx, o of w[o][i][ky][kx] dy[y + top - ky][x + left - kx][o]
 *
 * is itself a convolution, of dy with the turned weights and the padding kh - 1 - top.
 */
#include "kernels/cpu/cpu.h"

#include <string.h>

static bool is_ours(const ss_device *d, int64_t kh, int64_t kw, int64_t in, int64_t out)
{
    return d->isa->direct_conv && kh * kw > 1 && kh * kw <= SS_DIRECT_TAPS && in >= 8 && out >= 8;
}

typedef struct {
    const ss_tensor *w; /* [O][I][kh][kw] */
    bool turned;
} pack_job;

static ss_code arrange(void *self, const ss_device *d, const float *plain, float *values, ss_err *e)
{
    const pack_job *j = self;
    const int64_t *dim = j->w->shape.dim;

    (void)e;
    d->isa->direct_pack(plain, dim[0], dim[1], dim[2] * dim[3], j->turned, values,
                        ss_cpu_team(d, ss_shape_numel(j->w->shape)));
    return SS_OK;
}

/* True when Winograd's way is the faster one. In cycles for a vector of outputs and an input
 * channel, as measured: 10 for each tile of 2 by 2 positions, 40 for the weights of each block of
 * tiles, and 4.5 for each position the direct way. */
static bool suits_winograd(const ss_conv *c)
{
    const int64_t tiles = c->n * ((c->out_h + 1) / 2) * ((c->out_w + 1) / 2);
    const int64_t blocks = (tiles + SS_TILE_ROWS - 1) / SS_TILE_ROWS;

    return c->kh == 3 && c->kw == 3 && c->stride == 1 && c->in >= 16 && c->out >= 16 &&
           20 * tiles + 80 * blocks < 9 * c->n * c->out_h * c->out_w;
}

/* *done: that all outputs are finite and written. */
static ss_code try_winograd(ss_device *d, const ss_conv *c, int team, bool *done, ss_err *e)
{
    const size_t bytes = (size_t)team * d->isa->winograd_floats(c->in) * sizeof(float);
    float *work = ss_pool_alloc(&d->pool, bytes);

    if (!work)
        return ss_fail(e, SS_NOMEM, "convolution: %zu bytes of work space", bytes);
    *done = d->isa->winograd(c, work, team);
    ss_pool_free(&d->pool, work);
    return SS_OK;
}

/* Fills in weights and zeros, and runs. */
static ss_code run(ss_device *d, ss_conv *c, const ss_tensor *w, bool turned, const ss_format *f,
                   ss_err *e)
{
    pack_job job = {w, turned};
    const ss_arrangement how = {.id = SS_ARRANGED_DIRECT,
                                .bytes = d->isa->direct_floats(c->out, c->in, c->kh * c->kw) *
                                         sizeof(float),
                                .arrange = arrange,
                                .self = &job};
    const size_t bytes = (size_t)c->in * sizeof(float);
    float *weights, *zeros;
    bool done = false;
    ss_code rc = ss_cpu_weights(d, w, turned, f, &how, &weights, e);

    if (rc != SS_OK)
        return rc;
    zeros = ss_pool_alloc(&d->pool, bytes);
    if (!zeros)
        return ss_fail(e, SS_NOMEM, "convolution: %zu bytes of work space", bytes);
    memset(zeros, 0, bytes);
    c->weights = weights;
    c->zeros = zeros;

    const int team = ss_cpu_team(d, c->n * c->out_h * c->out_w * c->out * c->in);
    if (suits_winograd(c))
        rc = try_winograd(d, c, team, &done, e);
    if (rc == SS_OK && !done)
        d->isa->direct_conv(c, team);
    ss_pool_free(&d->pool, zeros);
    return rc;
}

ss_code ss_cpu_conv2d(ss_device *d, const ss_conv2d_args *a, ss_err *e)
{
    const int64_t *x = a->x->shape.dim, *y = a->y->shape.dim, *w = a->w->shape.dim;
    const float *bias = NULL;

    if (!is_ours(d, w[2], w[3], w[1], w[0]))
        return ss_onednn_conv2d(d, a, e);
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
                 .x = a->x->data,
                 .bias = bias,
                 .y = a->y->data};

    return run(d, &c, a->w, false, a->weight_format, e);
}

ss_code ss_cpu_conv2d_data(ss_device *d, const ss_conv2d_gradient_args *a, ss_tensor *dx, ss_err *e)
{
    if (a->opt.stride != 1 || !is_ours(d, a->kh, a->kw, a->in, a->out))
        return ss_onednn_conv2d_data(d, a, dx, e);
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
                 .x = a->dy->data,
                 .y = dx->data};

    return run(d, &c, a->w, true, a->weight_format, e);
}
