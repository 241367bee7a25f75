/* cast.c - values and gradients that go from one format to another (hooks.h) */
#include "kernels/call.h"

static ss_code round_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return ss_do_round(c, n->in[0], n->arg.round, y);
}

ss_tensor *ss_cast_to(ss_ctx *c, ss_tensor *x, const ss_format *f, const ss_format *g)
{
    static const ss_op round = {.name = "rounding", .forward = round_forward, .cast = SS_CAST_NONE},
                       same = {.name = "rounding of the gradient"};

    if (!x || !(f || g))
        return x;
    if (!ss_var_of(c, x))
        return ss_round_to(c, x, f);
    ss_node n = {.op = f ? &round : &same,
                 .in = {x},
                 .shape = x->shape,
                 .passes = 1,
                 .arg.round = f,
                 .gradient = g};
    ss_set(&x, ss_node_run(c, &n));
    if (x && f)
        ss_mark(x, f);
    return x;
}

ss_tensor *ss_lower(ss_ctx *c, const ss_tensor *x)
{
    const ss_format *f = ss_working_format(c);

    return ss_cast_to(c, ss_retain(x), x && f && !ss_is_in(x, f) ? f : NULL, NULL);
}

ss_tensor *ss_pass(ss_ctx *c, const ss_module *m, ss_tensor *x)
{
    const ss_at_module *site = ss_at(c, m);

    if (!x || !site || !site->format || c->scope != SS_ROUND_HALF || ss_is_in(x, site->format))
        return x;
    return ss_cast_to(c, x, site->format, NULL);
}
