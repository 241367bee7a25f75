/* ops.c - every operation: checks shapes, makes the output, calls the backend, rounds
 *
 * The skeleton, the same for each:
 *
 *   if (!ready(c, x)) return NULL;               an earlier error, or a NULL input
 *   if (<shapes do not fit>) return ss_ctx_fail(c, SS_SHAPE, ...);
 *   y = ss_tensor_new(c, <output shape>);
 *   return RUN(c, y, c->be->op(c->dev, ..., &c->op_err));
 */
#include "kernels/ops.h"

#include "base/mem.h"
#include "kernels/internal.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Calls the backend unless there is nothing to compute, and finishes the output. */
#define RUN(c, y, call) finish(c, y, !(y) || (c)->shapes_only ? SS_OK : (call))

/* Shapes in messages: TEXT(x) is good until the end of the statement. */
#define TEXT(x) ss_shape_text((x)->shape, (char[96]){0}, 96)

static bool ready(const ss_ctx *c, const ss_tensor *x)
{
    assert(x || ss_ctx_failed(c)); /* a NULL nobody complained about is our bug */
    return x && !ss_ctx_failed(c);
}

ss_tensor *ss_round_to(ss_ctx *c, ss_tensor *y, const ss_format *f)
{
    bool fresh;

    if (!y || !f)
        return y;
    ss_tensor *out = ss_writable(c, y, &fresh);
    ss_code rc = out && !c->shapes_only ? c->be->round(c->dev, y, f, out, &c->op_err) : SS_OK;
    if (fresh)
        ss_release(y);
    if (rc == SS_OK)
        return out;
    ss_release(out);
    return ss_ctx_fail(c, rc, "%s", c->op_err.msg);
}

static ss_tensor *finish(ss_ctx *c, ss_tensor *y, ss_code rc)
{
    if (rc == SS_OK)
        return ss_round_to(c, y, ss_op_format(c));
    ss_release(y);
    return ss_ctx_fail(c, rc, "%s", c->op_err.msg);
}

/* All dimensions but the last together. */
static int64_t rows_of(const ss_tensor *x)
{
    int64_t last = ss_dim(x, -1);

    return last ? ss_shape_numel(x->shape) / last : 0;
}

/* A vector parameter of n values, or none. */
static bool fits(const ss_tensor *v, int64_t n)
{
    return !v || ss_shape_numel(v->shape) == n;
}

ss_tensor *ss_conv2d(ss_ctx *c, const ss_tensor *x, const ss_tensor *w, const ss_tensor *bias,
                     ss_conv2d_opt opt)
{
    if (!ready(c, x) || !ready(c, w))
        return NULL;
    if (!opt.stride)
        opt.stride = 1;
    int64_t kh = ss_dim(w, 2), kw = ss_dim(w, 3), out = ss_dim(w, 0), in = ss_dim(w, 1);
    int64_t h = ss_dim(x, 1) + opt.top + opt.bottom - kh;
    int64_t v = ss_dim(x, 2) + opt.left + opt.right - kw;
    if (x->shape.rank != 4 || w->shape.rank != 4 || ss_dim(x, 3) != in || !fits(bias, out))
        return ss_ctx_fail(c, SS_SHAPE, "conv2d: input %s does not fit weights %s", TEXT(x),
                           TEXT(w));
    if (h < 0 || v < 0)
        return ss_ctx_fail(c, SS_SHAPE, "conv2d: input %s is smaller than the kernel %lldx%lld",
                           TEXT(x), (long long)kh, (long long)kw);

    ss_tensor *y =
        ss_tensor_new(c, ss_shape_of(ss_dim(x, 0), h / opt.stride + 1, v / opt.stride + 1, out));
    if (y)
        c->usage.flops += 2 * ss_shape_numel(y->shape) * in * kh * kw;
    ss_conv2d_args a = {x, w, bias, opt, ss_op_format(c), y};
    return RUN(c, y, c->be->conv2d(c->dev, &a, &c->op_err));
}

ss_tensor *ss_linear(ss_ctx *c, const ss_tensor *x, const ss_tensor *w, const ss_tensor *bias)
{
    if (!ready(c, x) || !ready(c, w))
        return NULL;
    int64_t out = ss_dim(w, 0), in = ss_dim(w, 1);
    if (x->shape.rank < 1 || w->shape.rank < 2 || ss_dim(x, -1) != in ||
        ss_shape_numel(w->shape) != out * in || !fits(bias, out))
        return ss_ctx_fail(c, SS_SHAPE, "linear: input %s does not fit weights %s", TEXT(x),
                           TEXT(w));

    ss_shape s = x->shape;
    s.dim[s.rank - 1] = out;
    ss_tensor *y = ss_tensor_new(c, s);
    ss_linear_args a = {x, w, bias, rows_of(x), in, out, ss_op_format(c), y};
    c->usage.flops += 2 * a.rows * in * out;
    return RUN(c, y, c->be->linear(c->dev, &a, &c->op_err));
}

ss_tensor *ss_activate(ss_ctx *c, const ss_tensor *x, ss_act act)
{
    if (!ready(c, x))
        return NULL;
    if (act == SS_ACT_NONE)
        return ss_retain(x);
    ss_tensor *y = ss_tensor_new(c, x->shape);
    return RUN(c, y, c->be->activate(c->dev, x, act, y, &c->op_err));
}

ss_tensor *ss_group_norm(ss_ctx *c, const ss_tensor *x, const ss_tensor *gamma,
                         const ss_tensor *beta, const ss_tensor *mod, int groups, float eps,
                         ss_act act)
{
    if (!ready(c, x))
        return NULL;
    int64_t n = ss_dim(x, 0), channels = ss_dim(x, -1);
    if (x->shape.rank < 2 || groups < 1 || channels % groups || !fits(gamma, channels) ||
        !fits(beta, channels) || !fits(mod, 2 * channels * n))
        return ss_ctx_fail(c, SS_SHAPE,
                           "group norm: input %s does not fit %d groups, or the "
                           "parameters are not of its channels",
                           TEXT(x), groups);

    ss_tensor *y = ss_tensor_new(c, x->shape);
    ss_group_norm_args a = {x,        gamma,  beta, mod, n, n ? rows_of(x) / n : 0,
                            channels, groups, eps,  act, y};
    return RUN(c, y, c->be->group_norm(c->dev, &a, &c->op_err));
}

ss_tensor *ss_layer_norm(ss_ctx *c, const ss_tensor *x, const ss_tensor *gamma,
                         const ss_tensor *beta, float eps)
{
    if (!ready(c, x))
        return NULL;
    int64_t channels = ss_dim(x, -1);
    if (x->shape.rank < 1 || !fits(gamma, channels) || !fits(beta, channels))
        return ss_ctx_fail(c, SS_SHAPE, "layer norm: parameters are not of the %lld channels of %s",
                           (long long)channels, TEXT(x));

    ss_tensor *y = ss_tensor_new(c, x->shape);
    ss_layer_norm_args a = {x, gamma, beta, rows_of(x), channels, eps, y};
    return RUN(c, y, c->be->layer_norm(c->dev, &a, &c->op_err));
}

ss_tensor *ss_geglu(ss_ctx *c, const ss_tensor *x)
{
    if (!ready(c, x))
        return NULL;
    if (x->shape.rank < 1 || ss_dim(x, -1) % 2)
        return ss_ctx_fail(c, SS_SHAPE, "geglu: %s has no two halves", TEXT(x));
    ss_shape s = x->shape;
    s.dim[s.rank - 1] /= 2;
    ss_tensor *y = ss_tensor_new(c, s);
    return RUN(c, y, c->be->geglu(c->dev, x, y, &c->op_err));
}

ss_tensor *ss_attention(ss_ctx *c, const ss_tensor *q, const ss_tensor *k, const ss_tensor *v,
                        const ss_tensor *mask, int heads, float scale)
{
    if (!ready(c, q) || !ready(c, k) || !ready(c, v))
        return NULL;
    int64_t n = ss_dim(q, 0), keys = ss_dim(k, 1), width = ss_dim(q, 2);
    if (q->shape.rank != 3 || k->shape.rank != 3 || !ss_shape_equal(k->shape, v->shape) ||
        ss_dim(k, 0) != n || ss_dim(k, 2) != width || heads < 1 || width % heads || keys < 1 ||
        !fits(mask, n * keys))
        return ss_ctx_fail(c, SS_SHAPE,
                           "attention: queries %s, keys %s, values %s do not fit %d "
                           "heads",
                           TEXT(q), TEXT(k), TEXT(v), heads);

    const ss_site *site = ss_current_site(c);
    bool watched = site && site->watch_attention;
    ss_attention_args a = {.q = q,
                           .k = k,
                           .v = v,
                           .mask = mask,
                           .n = n,
                           .queries = ss_dim(q, 1),
                           .keys = keys,
                           .heads = heads,
                           .width = (int)(width / heads),
                           .scale = scale,
                           .rounding = ss_op_format(c)};
    if (site && site->cosine) {
        a.cosine = true;
        a.scale = site->cosine_scale > 0 ? site->cosine_scale : sqrtf((float)a.width);
    }
    if (watched && !c->shapes_only) {
        a.stats = ss_calloc((size_t)(n * heads), sizeof *a.stats);
        if (!a.stats)
            return ss_ctx_fail(c, SS_NOMEM, "out of memory");
    }
    c->usage.flops += 4 * n * a.queries * keys * width;
    a.y = ss_tensor_new(c, q->shape);
    ss_tensor *y = RUN(c, a.y, c->be->attention(c->dev, &a, &c->op_err));
    if (y && watched)
        c->hooks.see_attention(c->hooks.self, c, c->stack[c->depth - 1], a.stats, (int)n, heads,
                               keys);
    ss_free(a.stats);
    return y;
}

ss_tensor *ss_add(ss_ctx *c, const ss_tensor *a, const ss_tensor *b, float scale)
{
    if (!ready(c, a) || !ready(c, b))
        return NULL;
    if (!ss_shape_equal(a->shape, b->shape))
        return ss_ctx_fail(c, SS_SHAPE, "add: %s and %s differ", TEXT(a), TEXT(b));
    ss_tensor *y = ss_tensor_new(c, a->shape);
    return RUN(c, y, c->be->add(c->dev, a, b, scale, y, &c->op_err));
}

ss_tensor *ss_affine(ss_ctx *c, const ss_tensor *x, float mul, float add)
{
    if (!ready(c, x))
        return NULL;
    ss_tensor *y = ss_tensor_new(c, x->shape);
    return RUN(c, y, c->be->affine(c->dev, x, mul, add, y, &c->op_err));
}

ss_tensor *ss_scale_samples(ss_ctx *c, const ss_tensor *x, const float *k)
{
    if (!ready(c, x))
        return NULL;
    ss_tensor *y = ss_tensor_new(c, x->shape);
    return RUN(c, y, c->be->scale_samples(c->dev, x, k, y, &c->op_err));
}

ss_tensor *ss_add_channels(ss_ctx *c, const ss_tensor *x, const ss_tensor *e)
{
    if (!ready(c, x) || !ready(c, e))
        return NULL;
    if (x->shape.rank < 2 || !fits(e, ss_dim(x, 0) * ss_dim(x, -1)))
        return ss_ctx_fail(c, SS_SHAPE, "add channels: %s does not fit %s", TEXT(e), TEXT(x));
    ss_tensor *y = ss_tensor_new(c, x->shape);
    return RUN(c, y, c->be->add_channels(c->dev, x, e, y, &c->op_err));
}

ss_tensor *ss_modulate(ss_ctx *c, const ss_tensor *x, const ss_tensor *mod)
{
    if (!ready(c, x) || !ready(c, mod))
        return NULL;
    if (x->shape.rank < 2 || !fits(mod, 2 * ss_dim(x, 0) * ss_dim(x, -1)))
        return ss_ctx_fail(c, SS_SHAPE, "modulate: %s does not fit %s", TEXT(mod), TEXT(x));
    ss_tensor *y = ss_tensor_new(c, x->shape);
    return RUN(c, y, c->be->modulate(c->dev, x, mod, y, &c->op_err));
}

ss_tensor *ss_clamp(ss_ctx *c, const ss_tensor *x, float lo, float hi)
{
    if (!ready(c, x))
        return NULL;
    ss_tensor *y = ss_tensor_new(c, x->shape);
    return RUN(c, y, c->be->clamp(c->dev, x, lo, hi, y, &c->op_err));
}

/* Splits a shape at an axis: how many slabs there are before it, and how many values one
 * step along it is. */
static void around_axis(ss_shape s, int axis, int64_t *outer, int64_t *inner)
{
    *outer = *inner = 1;
    for (int i = 0; i < s.rank; i++) {
        if (i < axis)
            *outer *= s.dim[i];
        else if (i > axis)
            *inner *= s.dim[i];
    }
}

ss_tensor *ss_concat(ss_ctx *c, const ss_tensor *a, const ss_tensor *b, int axis)
{
    int64_t outer, inner;

    if (!ready(c, a) || !ready(c, b))
        return NULL;
    if (axis < 0)
        axis += a->shape.rank;
    ss_shape s = a->shape, t = b->shape;
    bool fit = axis >= 0 && axis < s.rank && s.rank == t.rank;
    if (fit) {
        t.dim[axis] = s.dim[axis];
        fit = ss_shape_equal(s, t);
    }
    if (!fit)
        return ss_ctx_fail(c, SS_SHAPE, "concat: %s and %s differ beside axis %d", TEXT(a), TEXT(b),
                           axis);
    around_axis(s, axis, &outer, &inner);
    s.dim[axis] += ss_dim(b, axis);

    int64_t la = ss_dim(a, axis) * inner, lb = ss_dim(b, axis) * inner;
    ss_tensor *y = ss_tensor_new(c, s);
    ss_code rc = SS_OK;
    if (y && !c->shapes_only) {
        rc = c->be->copy_rows(c->dev, a, 0, la, y, 0, la + lb, outer, la, &c->op_err);
        if (rc == SS_OK)
            rc = c->be->copy_rows(c->dev, b, 0, lb, y, la, la + lb, outer, lb, &c->op_err);
    }
    return finish(c, y, rc);
}

ss_tensor *ss_slice(ss_ctx *c, const ss_tensor *x, int axis, int64_t from, int64_t to)
{
    int64_t outer, inner;

    if (!ready(c, x))
        return NULL;
    if (axis < 0)
        axis += x->shape.rank;
    if (axis < 0 || axis >= x->shape.rank || from < 0 || to < from || to > ss_dim(x, axis))
        return ss_ctx_fail(c, SS_SHAPE, "slice: %s has no [%lld,%lld) along axis %d", TEXT(x),
                           (long long)from, (long long)to, axis);
    ss_shape s = x->shape;
    around_axis(s, axis, &outer, &inner);
    s.dim[axis] = to - from;

    ss_tensor *y = ss_tensor_new(c, s);
    int64_t len = (to - from) * inner;
    return RUN(c, y,
               c->be->copy_rows(c->dev, x, from * inner, ss_dim(x, axis) * inner, y, 0, len, outer,
                                len, &c->op_err));
}

ss_tensor *ss_upsample_nearest(ss_ctx *c, const ss_tensor *x, int64_t h, int64_t w)
{
    if (!ready(c, x))
        return NULL;
    if (x->shape.rank != 4 || h < 1 || w < 1 || ss_shape_numel(x->shape) == 0)
        return ss_ctx_fail(c, SS_SHAPE, "upsample: %s to %lldx%lld is not possible", TEXT(x),
                           (long long)h, (long long)w);
    ss_tensor *y = ss_tensor_new(c, ss_shape_of(ss_dim(x, 0), h, w, ss_dim(x, 3)));
    return RUN(c, y, c->be->upsample_nearest(c->dev, x, y, &c->op_err));
}

ss_tensor *ss_avg_pool2(ss_ctx *c, const ss_tensor *x)
{
    if (!ready(c, x))
        return NULL;
    if (x->shape.rank != 4 || ss_dim(x, 1) < 2 || ss_dim(x, 2) < 2)
        return ss_ctx_fail(c, SS_SHAPE, "average pool: %s is smaller than 2x2", TEXT(x));
    ss_tensor *y = ss_tensor_new(
        c, ss_shape_of(ss_dim(x, 0), ss_dim(x, 1) / 2, ss_dim(x, 2) / 2, ss_dim(x, 3)));
    return RUN(c, y, c->be->avg_pool2(c->dev, x, y, &c->op_err));
}

ss_tensor *ss_fir_resample(ss_ctx *c, const ss_tensor *x, const float *kernel, int n, int up,
                           int down, int pad0, int pad1)
{
    if (!ready(c, x))
        return NULL;
    int64_t h = ss_dim(x, 1) * up + pad0 + pad1 - n, w = ss_dim(x, 2) * up + pad0 + pad1 - n;
    if (x->shape.rank != 4 || n < 1 || n > 8 || up < 1 || down < 1 || h < 0 || w < 0)
        return ss_ctx_fail(c, SS_SHAPE, "fir resample: %s is too small for %d taps", TEXT(x), n);
    ss_tensor *y =
        ss_tensor_new(c, ss_shape_of(ss_dim(x, 0), h / down + 1, w / down + 1, ss_dim(x, 3)));
    ss_fir_args a = {x, kernel, n, up, down, pad0, pad1, y};
    return RUN(c, y, c->be->fir_resample(c->dev, &a, &c->op_err));
}

ss_tensor *ss_mean_tokens(ss_ctx *c, const ss_tensor *x)
{
    if (!ready(c, x))
        return NULL;
    if (x->shape.rank != 3 || ss_dim(x, 1) < 1)
        return ss_ctx_fail(c, SS_SHAPE, "mean over tokens: %s is no [N,T,C]", TEXT(x));
    ss_tensor *y = ss_tensor_new(c, ss_shape_of(ss_dim(x, 0), 1, ss_dim(x, 2)));
    return RUN(c, y, c->be->mean_tokens(c->dev, x, y, &c->op_err));
}

ss_tensor *ss_embedding(ss_ctx *c, const ss_tensor *table, const int64_t *ids, int64_t n)
{
    if (!ready(c, table))
        return NULL;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= ss_dim(table, 0))
            return ss_ctx_fail(c, SS_USAGE, "index %lld is outside of the %lld rows of the table",
                               (long long)ids[i], (long long)ss_dim(table, 0));
    }
    ss_tensor *y = ss_tensor_new(c, ss_shape_of(n, ss_dim(table, 1)));
    return RUN(c, y, c->be->embedding(c->dev, table, ids, y, &c->op_err));
}
