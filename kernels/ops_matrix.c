/* ops_matrix.c - convolution, matrix product, attention; see operand.h for the skeleton */
#include "kernels/call.h"
#include "kernels/operand.h"
#include "kernels/ops.h"

#include <math.h>

/* ---- convolution and matrix product ---- */

static ss_code conv2d_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    const ss_conv2d_args a = {n->in[0], n->in[1], n->in[2], n->arg.conv, n->weights, y};

    return ss_do_conv2d(c, &a);
}

/* A matrix product of rows is the 1x1 convolution of one row of pixels. */
static ss_conv2d_gradient_args gradient_args(const ss_node *n, const ss_tensor *dy)
{
    const ss_tensor *x = n->in[0], *w = n->in[1];

    if (n->arg.conv.stride)
        return (ss_conv2d_gradient_args){
            .x = x,
            .w = w,
            .dy = dy,
            .n = ss_dim(x, 0),
            .h = ss_dim(x, 1),
            .width = ss_dim(x, 2),
            .in = ss_dim(x, 3),
            .out = ss_dim(dy, 3),
            .out_h = ss_dim(dy, 1),
            .out_w = ss_dim(dy, 2),
            .kh = ss_dim(w, 2),
            .kw = ss_dim(w, 3),
            .opt = n->arg.conv,
            .weight_format = n->weights,
        };
    return (ss_conv2d_gradient_args){
        .x = x,
        .w = w,
        .dy = dy,
        .n = 1,
        .h = 1,
        .width = rows_of(x),
        .in = ss_dim(x, -1),
        .out = ss_dim(dy, -1),
        .out_h = 1,
        .out_w = rows_of(x),
        .kh = 1,
        .kw = 1,
        .opt.stride = 1,
        .weight_format = n->weights,
    };
}

/* dx = dy convolved with the turned w,   dw = x correlated with dy,   db = sum of dy.
 * Needs x and w. */
static ss_code conv2d_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                               ss_tensor *const dx[])
{
    const ss_conv2d_gradient_args a = gradient_args(n, dy);
    const int64_t flops = 2 * ss_shape_numel(dy->shape) * a.in * a.kh * a.kw;
    ss_code rc = SS_OK;

    c->usage.flops += flops * ((dx[0] != NULL) + (dx[1] != NULL));
    if (dx[0])
        rc = ss_back_conv2d_data(c, &a, dx[0]);
    if (rc == SS_OK && dx[1])
        rc = ss_back_conv2d_weights(c, &a, dx[1]);
    if (rc == SS_OK && dx[2])
        rc = ss_back_sum_rows(c, dy, 1, dx[2]);
    return rc;
}

static int at_least_0(int padding)
{
    return padding > 0 ? padding : 0;
}

/* x without what negative padding cuts off, which backends then do not meet. */
static ss_tensor *crop(ss_ctx *c, const ss_tensor *x, ss_conv2d_opt opt)
{
    ss_tensor *rows =
        ss_slice(c, x, 1, at_least_0(-opt.top), ss_dim(x, 1) - at_least_0(-opt.bottom));
    ss_tensor *y =
        ss_slice(c, rows, 2, at_least_0(-opt.left), ss_dim(x, 2) - at_least_0(-opt.right));

    ss_release(rows);
    return y;
}

/* [O][I][kh][kw], or [O][I][kh][kw][1] of a convolution that has three dimensions in PyTorch. */
static bool is_conv2d_weight(const ss_tensor *w)
{
    return w->shape.rank == 4 || (w->shape.rank == 5 && ss_dim(w, 4) == 1);
}

ss_tensor *ss_conv2d(ss_ctx *c, const ss_tensor *x, const ss_tensor *w, const ss_tensor *bias,
                     ss_conv2d_opt opt)
{
    if (!ready(c, x) || !ready(c, w))
        return NULL;
    if (x->shape.rank == 5) {
        ss_tensor *pictures = ss_frames_to_batch(c, x), *y = ss_conv2d(c, pictures, w, bias, opt);

        ss_release(pictures);
        return ss_batch_to_frames(c, y, x);
    }
    if (!opt.stride)
        opt.stride = 1;
    int64_t kh = ss_dim(w, 2), kw = ss_dim(w, 3), out = ss_dim(w, 0), in = ss_dim(w, 1);
    int64_t h = ss_dim(x, 1) + opt.top + opt.bottom - kh;
    int64_t v = ss_dim(x, 2) + opt.left + opt.right - kw;
    if (x->shape.rank != 4 || !is_conv2d_weight(w) || ss_dim(x, 3) != in || !fits(bias, out))
        return ss_ctx_fail(c, SS_SHAPE, "conv2d: input %s does not fit weights %s", TEXT(x),
                           TEXT(w));
    if (h < 0 || v < 0)
        return ss_ctx_fail(c, SS_SHAPE, "conv2d: input %s is smaller than the kernel %lldx%lld",
                           TEXT(x), (long long)kh, (long long)kw);
    if (opt.top < 0 || opt.left < 0 || opt.bottom < 0 || opt.right < 0) {
        ss_tensor *part = crop(c, x, opt);
        ss_tensor *y =
            ss_conv2d(c, part, w, bias,
                      (ss_conv2d_opt){opt.stride, at_least_0(opt.top), at_least_0(opt.left),
                                      at_least_0(opt.bottom), at_least_0(opt.right)});

        ss_release(part);
        return y;
    }

    static const ss_op op = {.name = "conv2d",
                             .forward = conv2d_forward,
                             .backward = conv2d_backward,
                             .saves = SAVES(0) | SAVES(1),
                             .cast = SS_CAST_LOW};
    ss_tensor *low = ss_lower(c, x);
    ss_node n = {.op = &op,
                 .in = {low, w, bias},
                 .shape = ss_shape_of(ss_dim(x, 0), h / opt.stride + 1, v / opt.stride + 1, out),
                 .arg.conv = opt};
    c->usage.flops += 2 * ss_shape_numel(n.shape) * in * kh * kw;
    ss_tensor *y = low ? ss_node_run(c, &n) : NULL;
    ss_release(low);
    return y;
}

static ss_code linear_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    const ss_linear_args a = {.x = n->in[0],
                              .w = n->in[1],
                              .bias = n->in[2],
                              .rows = rows_of(y),
                              .in = ss_dim(n->in[0], -1),
                              .out = ss_dim(y, -1),
                              .weight_format = n->weights,
                              .y = y};

    return ss_do_linear(c, &a);
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

    static const ss_op op = {.name = "linear",
                             .forward = linear_forward,
                             .backward = conv2d_backward,
                             .saves = SAVES(0) | SAVES(1),
                             .cast = SS_CAST_LOW};
    ss_tensor *low = ss_lower(c, x);
    ss_node n = {.op = &op, .in = {low, w, bias}, .shape = x->shape};
    n.shape.dim[n.shape.rank - 1] = out;
    c->usage.flops += 2 * rows_of(x) * in * out;
    ss_tensor *y = low ? ss_node_run(c, &n) : NULL;
    ss_release(low);
    return y;
}

/* ---- attention ---- */

static ss_attention_args attention_args(const ss_node *n)
{
    const ss_tensor *q = n->in[0], *k = n->in[1];

    return (ss_attention_args){.q = q,
                               .k = k,
                               .v = n->in[2],
                               .mask = n->in[3],
                               .bias = n->in[4],
                               .n = ss_dim(q, 0),
                               .queries = ss_dim(q, 1),
                               .keys = ss_dim(k, 1),
                               .heads = n->arg.attention.heads,
                               .width = (int)(ss_dim(q, 2) / n->arg.attention.heads),
                               .scale = n->arg.attention.scale,
                               .cosine = n->arg.attention.cosine,
                               .rounding = n->format,
                               .code = n->arg.attention.code,
                               .stats = n->stats,
                               .logits = n->logits,
                               .frames = n->arg.attention.of_frames,
                               .frame_mass = n->frame_mass};
}

static ss_code attention_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    ss_attention_args a = attention_args(n);

    a.y = y;
    return ss_do_attention(c, &a);
}

/* With P = softmax(L):  dV = P^T dY,  dP = dY V^T,  dL = P (dP - rowsum(P dP)),
 *                       dQ = scale dL K,  dK = scale dL^T Q.
 * Needs q, k, v, mask and bias: P is computed again from them, some rows at a time. No gradient
 * comes to the last two. */
static ss_code attention_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                                  ss_tensor *const dx[])
{
    const ss_attention_gradient_args a = {.forward = attention_args(n),
                                          .dy = dy,
                                          .rounding = n->gradient,
                                          .dq = dx[0],
                                          .dk = dx[1],
                                          .dv = dx[2]};
    const ss_attention_args *f = &a.forward;

    c->usage.flops += 10 * f->n * f->queries * f->keys * f->heads * f->width;
    return ss_back_attention(c, &a);
}

static ss_attention_code code_of(const ss_ctx *c, const ss_attention_opt *opt)
{
    switch (opt->stored) {
    case SS_LOGITS_AS_CODED: /* no code that scales within the product takes a bias */
        return opt->bias && c->attention == SS_ATTENTION_EAGER ? SS_ATTENTION_EAGER_UNSCALED
                                                               : c->attention;
    case SS_LOGITS_UPCAST: /* autocast casts q.float() and k.float() back */
        return c->scope == SS_ROUND_HALF ? SS_ATTENTION_SDPA : c->attention;
    case SS_LOGITS_STORED: return SS_ATTENTION_EAGER;
    }
    return c->attention;
}

static const ss_module *if_watched(const ss_ctx *c, const ss_module *inner)
{
    return ss_watches(c, inner) ? inner : NULL;
}

/* Runs the node, and asks for what is seen on the way. */
static ss_tensor *run_watched(ss_ctx *c, ss_node *n, const ss_attention_watchers *w)
{
    if (!c->shapes_only && !ss_ask_attention(c, w, n))
        return NULL;
    ss_tensor *y = ss_node_run(c, n);
    if (y && c->shapes_only)
        ss_announce_attention(c, w, n);
    return y;
}

/* bias [heads or 1][T][keys], or none */
static bool fits_logits(const ss_tensor *bias, int64_t heads, int64_t T, int64_t keys)
{
    return !bias || (bias->shape.rank == 3 && (ss_dim(bias, 0) == 1 || ss_dim(bias, 0) == heads) &&
                     ss_dim(bias, 1) == T && ss_dim(bias, 2) == keys);
}

ss_tensor *ss_attention(ss_ctx *c, const ss_tensor *q, const ss_tensor *k, const ss_tensor *v,
                        const ss_tensor *mask, const ss_attention_opt *opt)
{
    const int heads = opt->heads;

    if (!ready(c, q) || !ready(c, k) || !ready(c, v))
        return NULL;
    int64_t N = ss_dim(q, 0), keys = ss_dim(k, 1), width = ss_dim(q, 2);
    if (q->shape.rank != 3 || k->shape.rank != 3 || !ss_shape_equal(k->shape, v->shape) ||
        ss_dim(k, 0) != N || ss_dim(k, 2) != width || heads < 1 || width % heads || keys < 1 ||
        !fits(mask, N * keys) || (opt->frames && N % opt->frames))
        return ss_ctx_fail(c, SS_SHAPE,
                           "attention: queries %s, keys %s, values %s do not fit %d "
                           "heads",
                           TEXT(q), TEXT(k), TEXT(v), heads);

    if (!fits_logits(opt->bias, heads, ss_dim(q, 1), keys))
        return ss_ctx_fail(c, SS_SHAPE, "attention: bias %s does not fit %d heads of %lld by %lld",
                           TEXT(opt->bias), heads, (long long)ss_dim(q, 1), (long long)keys);

    if (opt->of_frames < 0 || (opt->of_frames && (ss_dim(q, 1) != keys || keys % opt->of_frames)))
        return ss_ctx_fail(c, SS_SHAPE, "attention: queries %s and keys %s are not of %d frames",
                           TEXT(q), TEXT(k), opt->of_frames);

    static const ss_op op = {.name = "attention",
                             .forward = attention_forward,
                             .backward = attention_backward,
                             .saves = SAVES(0) | SAVES(1) | SAVES(2) | SAVES(3) | SAVES(4),
                             .cast = SS_CAST_LOW};
    ss_tensor *low[] = {ss_lower(c, q), ss_lower(c, k), ss_lower(c, v)}, *y = NULL;
    ss_node n = {.op = &op,
                 .in = {low[0], low[1], low[2], mask, opt->bias},
                 .shape = q->shape,
                 .arg.attention = {.heads = heads,
                                   .scale = opt->scale,
                                   .cosine = opt->cosine,
                                   .code = code_of(c, opt),
                                   .of_frames = opt->of_frames}};
    const ss_at_module *site = ss_at_innermost(c);
    const ss_attention_watchers watchers = {
        site && site->watch_attention ? c->stack[c->depth - 1] : NULL,
        {if_watched(c, opt->logits), if_watched(c, opt->unscaled),
         if_watched(c, opt->probabilities)},
        opt->frames ? opt->frames : 1};
    const bool watched =
        watchers.module || watchers.inner[0] || watchers.inner[1] || watchers.inner[2];

    if (site && site->cosine) {
        n.arg.attention.cosine = true;
        n.arg.attention.scale =
            site->cosine_scale > 0 ? site->cosine_scale : sqrtf((float)(width / heads));
    }
    c->usage.flops += 4 * N * ss_dim(q, 1) * keys * width;
    if (!ss_ctx_failed(c) && watched)
        y = run_watched(c, &n, &watchers);
    else if (!ss_ctx_failed(c))
        y = ss_node_run(c, &n);
    for (int i = 0; i < 3; i++)
        ss_release(low[i]);
    return y;
}
