/* policy.c - what is rounded under a precision policy (hooks.h), and to which format */
#include "kernels/internal.h"

#include <math.h>

const ss_at_module *ss_at(const ss_ctx *c, const ss_module *m)
{
    return m->id < c->n_modules ? &c->sites[m->id] : NULL;
}

const ss_at_module *ss_at_innermost(const ss_ctx *c)
{
    return c->depth ? ss_at(c, c->stack[c->depth - 1]) : NULL;
}

const ss_format *ss_working_format(const ss_ctx *c)
{
    const ss_at_module *site = ss_at_innermost(c);

    if (c->scope == SS_ROUND_BLOCKS)
        return NULL;
    return site ? site->format : c->format;
}

/* The policy's format that holds x, because its values were rounded to it; NULL: fp32. */
static const ss_format *format_of(const ss_ctx *c, const ss_tensor *x)
{
    for (int i = 0; i < c->n_formats && x->buf->exp_bits; i++)
        if (c->formats[i].exp_bits == x->buf->exp_bits &&
            c->formats[i].man_bits == x->buf->man_bits)
            return &c->formats[i];
    return NULL;
}

/* PyTorch's promotion of types: the format that holds all operands, parameters excepted. */
static const ss_format *widest(const ss_ctx *c, const ss_node *n)
{
    const ss_format *f = NULL;

    for (int k = 0; k < SS_MAX_OPERANDS; k++) {
        const ss_tensor *x = n->in[k];

        if (!x || x->parameter)
            continue;
        if (f ? !ss_is_in(x, f) : !(f = format_of(c, x)))
            return NULL;
    }
    return f;
}

/* True inside of a module whose operations are as wide as their operands. */
static bool promotes(const ss_ctx *c)
{
    return c->depth && c->stack[c->depth - 1]->promotes;
}

void ss_node_formats(const ss_ctx *c, ss_node *n)
{
    const ss_format *f = ss_working_format(c);
    const bool autocast = c->scope != SS_ROUND_HALF;

    n->format = n->weights = NULL;
    if (!f || !n->op->forward || n->op->cast == SS_CAST_NONE)
        return;
    if (n->op->cast == SS_CAST_LOW || !(autocast || promotes(c)))
        n->format = f;
    else if (!autocast || n->op->cast == SS_CAST_WIDEST ||
             (n->op->cast == SS_CAST_FP32 && c->scope == SS_ROUND_AUTOCAST_CPU))
        n->format = widest(c, n);
    /* Nobody keeps the parameters of norms in 8 bits. */
    if (n->op->cast == SS_CAST_LOW || (!autocast && f->exp_bits + f->man_bits >= 15))
        n->weights = f;
    n->moves = n->op->copies && n->format && widest(c, n) == n->format;
}

const ss_format *ss_upload_format(const ss_ctx *c)
{
    return c->scope == SS_ROUND_HALF ? ss_working_format(c) : NULL;
}

const ss_format *ss_op_gradient_format(const ss_ctx *c)
{
    const ss_at_module *site = ss_at_innermost(c);

    if (c->scope == SS_ROUND_BLOCKS)
        return NULL;
    return site ? site->gradient : c->gradient;
}

float ss_hidden_logit(const ss_ctx *c)
{
    const ss_format *f = ss_upload_format(c);

    return f ? -(float)f->max : -INFINITY;
}

bool ss_tensor_is_in(const ss_tensor *x, int exp_bits, int man_bits)
{
    return x && x->buf->exp_bits == exp_bits && x->buf->man_bits == man_bits;
}

void ss_to_sample_type(ss_ctx *c, ss_tensor *x)
{
    if (x && (c->scope == SS_ROUND_AUTOCAST || c->scope == SS_ROUND_AUTOCAST_CPU))
        x->buf->exp_bits = x->buf->man_bits = 0;
}

bool ss_rounds_here(const ss_ctx *c)
{
    return ss_working_format(c) != NULL;
}
