/* ops_value.c - operations that treat each value, or each channel, by itself; see operand.h for
 * the skeleton */
#include "kernels/call.h"
#include "kernels/operand.h"
#include "kernels/ops.h"

static ss_code activate_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_activate(c, n->in[0], n->arg.act, y);
}

/* dx = dy act'(x). Needs x: the value of an act does not determine its slope. */
static ss_code activate_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                                 ss_tensor *const dx[])
{
    return ss_back_activate(c, n->in[0], n->arg.act, dy, dx[0]);
}

ss_tensor *ss_activate(ss_ctx *c, const ss_tensor *x, ss_act act)
{
    static const ss_op ops[] = {{.name = "activation",
                                 .forward = activate_forward,
                                 .backward = activate_backward,
                                 .saves = SAVES(0)},
                                {.name = "activation with pow",
                                 .forward = activate_forward,
                                 .backward = activate_backward,
                                 .saves = SAVES(0),
                                 .cast = SS_CAST_FP32}};

    if (!ready(c, x))
        return NULL;
    if (act == SS_ACT_NONE)
        return ss_retain(x);
    ss_node n = {.op = &ops[act == SS_ACT_GELU_NEW], .in = {x}, .shape = x->shape, .arg.act = act};
    return ss_node_run(c, &n);
}

static ss_code geglu_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_geglu(c, n->in[0], y);
}

/* y = v gelu(g):  dv = dy gelu(g),  dg = dy v gelu'(g). Needs x = [v, g]. */
static ss_code geglu_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                              ss_tensor *const dx[])
{
    return ss_back_geglu(c, n->in[0], dy, dx[0]);
}

ss_tensor *ss_geglu(ss_ctx *c, const ss_tensor *x)
{
    static const ss_op op = {
        .name = "geglu", .forward = geglu_forward, .backward = geglu_backward, .saves = SAVES(0)};

    if (!ready(c, x))
        return NULL;
    if (x->shape.rank < 1 || ss_dim(x, -1) % 2)
        return ss_ctx_fail(c, SS_SHAPE, "geglu: %s has no two halves", TEXT(x));
    ss_node n = {.op = &op, .in = {x}, .shape = x->shape};
    n.shape.dim[n.shape.rank - 1] /= 2;
    return ss_node_run(c, &n);
}

static ss_code add_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_add(c, n->in[0], n->in[1], n->arg.affine.mul, y);
}

/* dy * mul, to each operand. Needs nothing. */
static ss_code affine_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                               ss_tensor *const dx[])
{
    ss_code rc = SS_OK;

    for (int k = 0; k < 2 && rc == SS_OK; k++)
        if (dx[k])
            rc = ss_do_affine(c, dy, n->arg.affine.mul, 0, dx[k]);
    return rc;
}

ss_tensor *ss_add(ss_ctx *c, const ss_tensor *a, const ss_tensor *b, float scale)
{
    static const ss_op op = {.name = "add", .forward = add_forward, .backward = affine_backward};

    if (!ready(c, a) || !ready(c, b))
        return NULL;
    if (!ss_shape_equal(a->shape, b->shape))
        return ss_ctx_fail(c, SS_SHAPE, "add: %s and %s differ", TEXT(a), TEXT(b));
    if (scale != 1 && ss_rounds_here(c)) {
        ss_tensor *y = ss_add(c, a, b, 1);

        ss_set(&y, ss_affine(c, y, scale, 0));
        return y;
    }
    ss_node n = {.op = &op,
                 .in = {a, b},
                 .shape = a->shape,
                 .passes = scale == 1 ? 3 : 0,
                 .arg.affine.mul = scale};
    return ss_node_run(c, &n);
}

static ss_code multiply_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_multiply(c, n->in[0], n->in[1], y);
}

/* da = dy b,  db = dy a. Needs both. */
static ss_code multiply_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                                 ss_tensor *const dx[])
{
    ss_code rc = SS_OK;

    for (int k = 0; k < 2 && rc == SS_OK; k++)
        if (dx[k])
            rc = ss_do_multiply(c, dy, n->in[1 - k], dx[k]);
    return rc;
}

ss_tensor *ss_multiply(ss_ctx *c, const ss_tensor *a, const ss_tensor *b)
{
    static const ss_op op = {.name = "multiply",
                             .forward = multiply_forward,
                             .backward = multiply_backward,
                             .saves = SAVES(0) | SAVES(1)};

    if (!ready(c, a) || !ready(c, b))
        return NULL;
    if (!ss_shape_equal(a->shape, b->shape))
        return ss_ctx_fail(c, SS_SHAPE, "multiply: %s and %s differ", TEXT(a), TEXT(b));
    ss_node n = {.op = &op, .in = {a, b}, .shape = a->shape};
    return ss_node_run(c, &n);
}

static ss_code affine_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_affine(c, n->in[0], n->arg.affine.mul, n->arg.affine.add, y);
}

ss_tensor *ss_affine(ss_ctx *c, const ss_tensor *x, float mul, float add)
{
    static const ss_op op = {
        .name = "affine", .forward = affine_forward, .backward = affine_backward};

    if (!ready(c, x))
        return NULL;
    ss_node n = {.op = &op, .in = {x}, .shape = x->shape, .arg.affine = {mul, add}};
    return ss_node_run(c, &n);
}

static ss_code scale_samples_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_scale_samples(c, n->in[0], n->host, y);
}

/* dx = dy k. Needs nothing. */
static ss_code scale_samples_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                                      ss_tensor *const dx[])
{
    return ss_do_scale_samples(c, dy, n->host, dx[0]);
}

ss_tensor *ss_scale_samples(ss_ctx *c, const ss_tensor *x, const float *k)
{
    static const ss_op op = {.name = "scale samples",
                             .forward = scale_samples_forward,
                             .backward = scale_samples_backward,
                             .cast = SS_CAST_NONE} /* k is fp32, and so is the product */;

    if (!ready(c, x))
        return NULL;
    ss_node n = {.op = &op,
                 .in = {x},
                 .shape = x->shape,
                 .host = k,
                 .host_bytes = (size_t)ss_dim(x, 0) * sizeof *k};
    return ss_node_run(c, &n);
}

static ss_code add_channels_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_add_channels(c, n->in[0], n->in[1], y);
}

/* dx = dy,  de = sum of dy over the positions. Needs nothing. */
static ss_code add_channels_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                                     ss_tensor *const dx[])
{
    (void)n;
    return dx[1] ? ss_back_sum_rows(c, dy, ss_dim(dy, 0), dx[1]) : SS_OK;
}

ss_tensor *ss_add_channels(ss_ctx *c, const ss_tensor *x, const ss_tensor *e)
{
    if (!ready(c, x) || !ready(c, e))
        return NULL;
    if (x->shape.rank < 2 || !fits(e, ss_dim(x, 0) * ss_dim(x, -1)))
        return ss_ctx_fail(c, SS_SHAPE, "add channels: %s does not fit %s", TEXT(e), TEXT(x));
    static const ss_op op = {
        .name = "add channels", .forward = add_channels_forward, .backward = add_channels_backward};
    ss_node n = {.op = &op, .in = {x, e}, .shape = x->shape, .passes = 1};
    return ss_node_run(c, &n);
}

static ss_code modulate_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_modulate(c, n->in[0], n->in[1], y);
}

/* dx = dy (1 + scale),  dscale = sum of dy x,  dshift = sum of dy. Needs x and mod. */
static ss_code modulate_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                                 ss_tensor *const dx[])
{
    return ss_back_modulate(c, n->in[0], n->in[1], dy, dx[0], dx[1]);
}

ss_tensor *ss_modulate(ss_ctx *c, const ss_tensor *x, const ss_tensor *mod)
{
    if (!ready(c, x) || !ready(c, mod))
        return NULL;
    if (x->shape.rank < 2 || mod->shape.rank != 2 || ss_dim(mod, 0) != ss_dim(x, 0) ||
        (ss_dim(mod, 1) != 2 * ss_dim(x, -1) && ss_dim(mod, 1) != ss_dim(x, -1)))
        return ss_ctx_fail(c, SS_SHAPE, "modulate: %s does not fit %s", TEXT(mod), TEXT(x));
    static const ss_op op = {.name = "modulate",
                             .forward = modulate_forward,
                             .backward = modulate_backward,
                             .saves = SAVES(0) | SAVES(1)};
    ss_node n = {.op = &op, .in = {x, mod}, .shape = x->shape};
    return ss_node_run(c, &n);
}

static ss_code gain_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_gain(c, n->in[0], n->in[1], y);
}

/* dx = g dy,  dg = sum of dy x. Needs x and g. */
static ss_code gain_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                             ss_tensor *const dx[])
{
    ss_code rc = SS_OK;

    if (dx[0])
        rc = ss_do_gain(c, dy, n->in[1], dx[0]);
    if (rc == SS_OK && dx[1])
        rc = ss_back_dot(c, n->in[0], dy, dx[1]);
    return rc;
}

ss_tensor *ss_gain(ss_ctx *c, const ss_tensor *x, const ss_tensor *g)
{
    static const ss_op op = {.name = "gain",
                             .forward = gain_forward,
                             .backward = gain_backward,
                             .saves = SAVES(0) | SAVES(1)};

    if (!ready(c, x) || !ready(c, g))
        return NULL;
    if (ss_shape_numel(g->shape) != 1)
        return ss_ctx_fail(c, SS_SHAPE, "gain: %s is not one value", TEXT(g));
    ss_node n = {.op = &op, .in = {x, g}, .shape = x->shape};
    return ss_node_run(c, &n);
}

static ss_code clamp_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_clamp(c, n->in[0], n->arg.clamp.lo, n->arg.clamp.hi, y);
}

/* dx = dy where lo <= x <= hi, else 0. Needs x: y does not tell a limit from beyond it. */
static ss_code clamp_backward(ss_ctx *c, const ss_node *n, const ss_tensor *dy,
                              ss_tensor *const dx[])
{
    return ss_back_clamp(c, n->in[0], n->arg.clamp.lo, n->arg.clamp.hi, dy, dx[0]);
}

ss_tensor *ss_clamp(ss_ctx *c, const ss_tensor *x, float lo, float hi)
{
    static const ss_op op = {
        .name = "clamp", .forward = clamp_forward, .backward = clamp_backward, .saves = SAVES(0)};

    if (!ready(c, x))
        return NULL;
    ss_node n = {.op = &op, .in = {x}, .shape = x->shape, .arg.clamp = {lo, hi}};
    return ss_node_run(c, &n);
}
