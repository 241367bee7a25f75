/* hooks.c - see hooks.h: modules entered and left, and what happens there */
#include "kernels/hooks.h"

#include "kernels/call.h"
#include "kernels/ops.h"

#include <assert.h>

void ss_see(ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x)
{
    const ss_at_module *site = ss_at(c, m);

    if (x && site && m->path && site->watch[p])
        c->hooks.see(c->hooks.self, c, m, p, x);
}

void ss_enter(ss_ctx *c, const ss_module *m, const ss_tensor *x)
{
    assert(c->depth < SS_MAX_DEPTH);
    c->stack[c->depth++] = m;
    ss_tape_enter(c, m);
    ss_see(c, m, SS_PORT_INPUT, x);
}

/* Takes y. */
static ss_tensor *apply(ss_ctx *c, ss_tensor *y, const ss_change *change)
{
    if (change->kind == SS_CLAMP)
        ss_set(&y, ss_clamp(c, y, -change->value, change->value));
    else if (change->kind == SS_SCALE)
        ss_set(&y, ss_affine(c, y, change->value, 0));
    else if (y) /* no multiplication, which would keep inf and NaN; and no gradient goes by */
        ss_set(&y, ss_full(c, y->shape, 0));
    return y;
}

ss_tensor *ss_leave(ss_ctx *c, const ss_module *m, ss_tensor *y)
{
    const ss_at_module *site = ss_at(c, m);

    assert(c->depth && c->stack[c->depth - 1] == m);
    if (y && m->limit > 0)
        ss_set(&y, ss_clamp(c, y, -m->limit, m->limit));
    if (y && site) {
        for (int k = 0; k < site->n_changes; k++)
            y = apply(c, y, &c->changes[site->first_change + k]);
        if (c->scope == SS_ROUND_BLOCKS && m->block)
            y = ss_cast_to(c, y, site->format, site->gradient);
        if (c->depth > 1 && !c->stack[c->depth - 2]->promotes)
            y = ss_pass(c, c->stack[c->depth - 2], y);
        ss_see(c, m, SS_PORT_OUTPUT, y);
    }
    ss_tape_leave(c, m);
    c->depth--;
    return y;
}

bool ss_changes_output(const ss_ctx *c, const ss_module *m)
{
    const ss_at_module *site = ss_at(c, m);

    return site && (site->n_changes || (site->format && (c->scope != SS_ROUND_BLOCKS || m->block)));
}

bool ss_needs_output(const ss_ctx *c, const ss_module *m)
{
    const ss_at_module *site = ss_at(c, m);

    return site && (site->watch[SS_PORT_OUTPUT] || ss_changes_output(c, m));
}
