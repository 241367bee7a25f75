/* ops_norm.c - group norm, layer norm, RMS norm and unit RMS; see operand.h for the skeleton */
#include "kernels/call.h"
#include "kernels/operand.h"
#include "kernels/ops.h"

static ss_group_norm_args group_norm_args(const ss_node *n)
{
    const ss_tensor *x = n->in[0];
    const int64_t samples = ss_dim(x, 0);

    return (ss_group_norm_args){.x = x,
                                .gamma = n->in[1],
                                .beta = n->in[2],
                                .mod = n->in[3],
                                .n = samples,
                                .positions = samples ? rows_of(x) / samples : 0,
                                .channels = ss_dim(x, -1),
                                .groups = n->arg.norm.groups,
                                .eps = n->arg.norm.eps,
                                .act = n->arg.norm.act,
                                .weight_format = n->weights,
                                .torch = n->arg.norm.torch};
}

static ss_code group_norm_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    ss_group_norm_args a = group_norm_args(n);

    a.y = y;
    a.plain = n->arg.norm.plain;
    return ss_do_group_norm(c, &a);
}

/* With h = (x - mean) / std, z = h a + b, a = gamma (1 + scale), dz = dy act'(z), means over
 * the group:
 *   dx = (a dz - mean(a dz) - h mean(a dz h)) / std
 *   dgamma = sum (1 + scale) dz h,  dbeta = sum (1 + scale) dz,
 *   dscale = sum dz (h gamma + beta),  dshift = sum dz
 * Needs x and the parameters: mean and std are computed again from x, which costs a pass over
 * it and no memory. */
static ss_code group_norm_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                                   ss_tensor *const dx[])
{
    const ss_norm_gradients d = {dy, dx[0], dx[1], dx[2], dx[3]};
    const ss_group_norm_args a = group_norm_args(n);

    return ss_back_group_norm(c, &a, &d);
}

ss_tensor *ss_group_norm(ss_ctx *c, const ss_tensor *x, const ss_tensor *gamma,
                         const ss_tensor *beta, const ss_tensor *mod, int groups, float eps,
                         ss_act act, ss_tensor **plain)
{
    ss_tensor *both = NULL;

    if (plain)
        *plain = NULL;
    if (!ready(c, x))
        return NULL;
    int64_t n = ss_dim(x, 0), channels = ss_dim(x, -1);
    if (x->shape.rank < 2 || groups < 1 || channels % groups || !fits(gamma, channels) ||
        !fits(beta, channels) || !fits(mod, 2 * channels * n))
        return ss_ctx_fail(c, SS_SHAPE,
                           "group norm: input %s does not fit %d groups, or the "
                           "parameters are not of its channels",
                           TEXT(x), groups);

    static const ss_op op = {.name = "group norm",
                             .forward = group_norm_forward,
                             .backward = group_norm_backward,
                             .saves = SAVES(0) | SAVES(1) | SAVES(2) | SAVES(3),
                             .cast = SS_CAST_FP32};
    if (plain && c->tape.on) /* where each output is an operation's */
        *plain = ss_group_norm(c, x, gamma, beta, NULL, groups, eps, SS_ACT_NONE, NULL);
    else if (plain)
        *plain = both = ss_tensor_new(c, x->shape);
    if (plain && !*plain)
        return NULL;
    ss_node node = {.op = &op,
                    .in = {x, gamma, beta, mod},
                    .shape = x->shape,
                    .arg.norm = {groups, eps, act, both, c->torch_norms}};
    ss_tensor *y = ss_node_run(c, &node);
    if (!y && plain)
        ss_set(plain, NULL);
    return y;
}

static ss_layer_norm_args layer_norm_args(const ss_node *n)
{
    return (ss_layer_norm_args){.x = n->in[0],
                                .gamma = n->in[1],
                                .beta = n->in[2],
                                .rows = rows_of(n->in[0]),
                                .channels = ss_dim(n->in[0], -1),
                                .eps = n->arg.norm.eps,
                                .weight_format = n->weights,
                                .torch = n->arg.norm.torch,
                                .rms = n->arg.norm.rms,
                                .stored = n->arg.norm.rms ? n->weights : NULL};
}

static ss_code layer_norm_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    ss_layer_norm_args a = layer_norm_args(n);

    a.y = y;
    return ss_do_layer_norm(c, &a);
}

/* Computes the gradient as group norm's, with each row a group; of RMS norm without the mean of
 * dz. Needs x and gamma. */
static ss_code layer_norm_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                                   ss_tensor *const dx[])
{
    const ss_norm_gradients d = {dy, dx[0], dx[1], dx[2], NULL};
    const ss_layer_norm_args a = layer_norm_args(n);

    return ss_back_layer_norm(c, &a, &d);
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

    static const ss_op op = {.name = "layer norm",
                             .forward = layer_norm_forward,
                             .backward = layer_norm_backward,
                             .saves = SAVES(0) | SAVES(1),
                             .cast = SS_CAST_FP32};
    ss_node n = {.op = &op,
                 .in = {x, gamma, beta},
                 .shape = x->shape,
                 .arg.norm = {.eps = eps, .torch = c->torch_norms}};
    return ss_node_run(c, &n);
}

ss_tensor *ss_rms_norm(ss_ctx *c, const ss_tensor *x, const ss_tensor *gamma, float eps)
{
    if (!ready(c, x))
        return NULL;
    if (x->shape.rank < 1 || !fits(gamma, ss_dim(x, -1)))
        return ss_ctx_fail(c, SS_SHAPE, "RMS norm: %lld factors are not of the channels of %s",
                           gamma ? (long long)ss_shape_numel(gamma->shape) : 0, TEXT(x));

    static const ss_op op = {.name = "RMS norm",
                             .forward = layer_norm_forward,
                             .backward = layer_norm_backward,
                             .saves = SAVES(0) | SAVES(1),
                             .cast = SS_CAST_OWN_FP32};
    ss_node n = {.op = &op,
                 .in = {x, gamma},
                 .shape = x->shape,
                 .arg.norm = {.eps = eps, .torch = c->torch_norms, .rms = true}};
    return ss_node_run(c, &n);
}

static ss_code unit_rms_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_unit_rms(c, n->in[0], n->arg.unit.row, n->arg.unit.scale, y);
}

/* With r = rms(x), u = eps + r, over n values: dx = scale / u (dy - x sum(dy x) / (u n r)); the
 * second term is 0 where r is. Needs x. */
static ss_code unit_rms_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                                 ss_tensor *const dx[])
{
    return ss_back_unit_rms(c, n->in[0], n->arg.unit.row, n->arg.unit.scale, dy, dx[0]);
}

ss_tensor *ss_unit_rms(ss_ctx *c, const ss_tensor *x, int64_t row, float scale)
{
    static const ss_op op = {.name = "unit RMS",
                             .forward = unit_rms_forward,
                             .backward = unit_rms_backward,
                             .saves = SAVES(0)};

    if (!ready(c, x))
        return NULL;
    if (row < 1 || ss_shape_numel(x->shape) % row)
        return ss_ctx_fail(c, SS_SHAPE, "unit RMS: %s does not divide into rows of %lld", TEXT(x),
                           (long long)row);
    ss_node n = {.op = &op, .in = {x}, .shape = x->shape, .arg.unit = {row, scale}};
    return ss_node_run(c, &n);
}
