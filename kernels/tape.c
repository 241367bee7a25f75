/* tape.c - see tape.h and node.h
 *
 * The tape is an array of nodes in the order in which they ran, which is a topological order:
 * walked backwards, a node's output has its whole gradient when the node is reached. Each node
 * is released as it is passed, and with it the operands it kept.
 *
 * A dropped block keeps its nodes, but of their operands only those that came from outside;
 * each of the others is named by the node that computed it (from). Before the block's last node
 * is passed, its operations run once more in order, which restores the operands.
 */
#include "kernels/tape.h"

#include "base/mem.h"
#include "kernels/call.h"

#include <assert.h>
#include <string.h>

/* ---- variables ---- */

/* Adds g to the gradient. Takes g, which is NULL after an error. */
static void var_add(ss_ctx *c, ss_var *v, ss_tensor *g)
{
    bool fresh;
    ss_tensor *sum = v->gradient;

    if (!sum || !g) {
        if (g)
            v->gradient = g;
        return;
    }
    ss_tensor *out = ss_writable(c, sum, &fresh); /* others may hold the same gradient */
    ss_code rc = out && !c->shapes_only ? ss_do_add(c, sum, g, 1, out) : SS_OK;
    v->gradient = out;
    if (fresh)
        ss_release(sum);
    ss_release(g);
    if (rc != SS_OK)
        ss_ctx_fail(c, rc, "%s", c->op_err.msg);
}

void ss_tensor_want_gradient(ss_tensor *x, bool on)
{
    if (!x)
        return;
    assert(!x->var || x->var->maker < 0);
    if (on && !x->var) {
        x->var = ss_var_new(x->ctx, x->shape, -1);
    } else if (!on) {
        ss_var_release(x->var);
        x->var = NULL;
    }
}

const ss_tensor *ss_tensor_gradient(const ss_tensor *x)
{
    return x && x->var ? x->var->gradient : NULL;
}

void ss_tensor_zero_gradient(ss_tensor *x)
{
    if (x && x->var)
        ss_set(&x->var->gradient, NULL);
}

/* ---- recording ---- */

ss_code ss_tape_begin(ss_ctx *c, const ss_tape_options *opt, ss_err *e)
{
    ss_tape *t = &c->tape;

    if (!ss_backend_has_gradients(c->be))
        return ss_fail(e, SS_UNSUPPORTED, "device %s computes no gradients", c->be->name);
    if (t->on)
        return ss_fail(e, SS_USAGE, "a tape is recording already");
    t->on = true;
    t->number++;
    t->recompute = opt && opt->recompute;
    t->block = NULL;
    return SS_OK;
}

bool ss_tape_pause(ss_ctx *c, bool pause)
{
    ss_tape *t = &c->tape;
    const bool recorded = t->on && !t->paused;

    t->paused = pause;
    return recorded;
}

static void drop_operands(ss_node *n, unsigned keep)
{
    for (int k = 0; k < SS_MAX_OPERANDS; k++) {
        if (keep >> k & 1)
            continue;
        ss_release((ss_tensor *)n->in[k]);
        n->in[k] = NULL;
    }
}

static void node_release(ss_node *n)
{
    drop_operands(n, 0);
    for (int k = 0; k < SS_MAX_OPERANDS; k++)
        ss_var_release(n->var[k]);
    ss_var_release(n->out);
    ss_free((void *)n->host);
}

void ss_tape_end(ss_ctx *c)
{
    ss_tape *t = &c->tape;

    while (t->n)
        node_release(&t->nodes[--t->n]);
    ss_free(t->nodes);
    t->nodes = NULL;
    t->cap = 0;
    t->on = t->paused = false;
    t->block = NULL;
}

/* The value of a node; in a shapes-only context a tensor without memory. */
static ss_tensor *compute(ss_ctx *c, const ss_node *n)
{
    if (!n->op->forward)
        return ss_tensor_view(c, n->in[0], n->shape);

    ss_tensor *y = ss_tensor_new(c, n->shape);
    ss_code rc = y && !c->shapes_only ? n->op->forward(c, n, y) : SS_OK;

    if (rc == SS_OK && y && n->moves)
        ss_mark(y, n->format);
    if (rc == SS_OK)
        return n->moves ? y : ss_round_to(c, y, n->format);
    ss_release(y);
    return ss_ctx_fail(c, rc, "%s", c->op_err.msg);
}

static bool wants_gradient(const ss_ctx *c, const ss_node *n)
{
    for (int k = 0; k < SS_MAX_OPERANDS; k++)
        if (ss_var_of(c, n->in[k]))
            return true;
    return false;
}

/* Puts a copy of the node that made y on the tape. */
static void record(ss_ctx *c, const ss_node *run, ss_tensor *y)
{
    ss_tape *t = &c->tape;
    ss_node *grown = ss_grow(t->nodes, &t->cap, t->n + 1, sizeof *grown), *n;
    void *host = NULL;

    if (grown)
        t->nodes = grown;
    if (run->host)
        host = ss_alloc(run->host_bytes, 1);
    if (!grown || (run->host && !host)) {
        ss_free(host);
        ss_ctx_fail(c, SS_NOMEM, "a tape: out of memory");
        return;
    }
    y->var = ss_var_new(c, y->shape, (int)t->n);
    if (!y->var) {
        ss_free(host);
        return;
    }
    n = &t->nodes[t->n++];
    *n = *run;
    n->host = run->host ? memcpy(host, run->host, run->host_bytes) : NULL;
    n->stats = NULL;
    n->logits = NULL;
    n->out = ss_var_retain(y->var);
    n->dropped = -1;
    for (int k = 0; k < SS_MAX_OPERANDS; k++) {
        n->var[k] = ss_var_retain(ss_var_of(c, n->in[k]));
        ss_retain(n->in[k]);
    }
    if (!t->block) /* else all are needed until the block is left */
        drop_operands(n, n->op->saves);
}

ss_tensor *ss_node_run(ss_ctx *c, ss_node *n)
{
    n->module = c->depth ? c->stack[c->depth - 1] : NULL;
    ss_node_formats(c, n);
    if (c->tape.on && !n->gradient)
        n->gradient = ss_op_gradient_format(c);

    ss_tensor *y = compute(c, n);
    if (y && c->tape.on && !c->tape.paused && wants_gradient(c, n)) {
        record(c, n, y);
        if (ss_ctx_failed(c))
            ss_set(&y, NULL);
    }
    return y;
}

/* ---- blocks ---- */

void ss_tape_enter(ss_ctx *c, const ss_module *m)
{
    ss_tape *t = &c->tape;

    if (t->on && t->recompute && m->block && !t->block) {
        t->block = m;
        t->first = (int)t->n;
    }
}

void ss_tape_leave(ss_ctx *c, const ss_module *m)
{
    ss_tape *t = &c->tape;

    if (!t->on || t->block != m)
        return;
    t->block = NULL;
    for (size_t i = (size_t)t->first; i < t->n; i++) {
        ss_node *n = &t->nodes[i];
        unsigned outside = 0;

        for (int k = 0; k < SS_MAX_OPERANDS; k++) {
            n->from[k] = n->in[k] && n->var[k] ? n->var[k]->maker : -1;
            if (n->from[k] < t->first)
                n->from[k] = -1;
            if (n->from[k] < 0)
                outside |= 1u << k;
        }
        drop_operands(n, outside);
    }
    if (t->n > (size_t)t->first)
        t->nodes[t->n - 1].dropped = t->first;
}

/* Computes what the nodes [first, n) of the tape need of each other. */
static void recompute(ss_ctx *c, int first)
{
    ss_tape *t = &c->tape;
    const int count = (int)t->n - first;
    ss_node *nodes = t->nodes + first;
    ss_tensor **value = ss_calloc((size_t)count, sizeof *value);
    bool *needed = ss_calloc((size_t)count, sizeof *needed);

    if (!value || !needed) {
        ss_ctx_fail(c, SS_NOMEM, "a tape: out of memory");
        goto out;
    }
    for (int i = 0; i < count; i++)
        for (int k = 0; k < SS_MAX_OPERANDS; k++)
            if (nodes[i].from[k] >= 0)
                needed[nodes[i].from[k] - first] = true;
    for (int i = 0; i < count && !ss_ctx_failed(c); i++) {
        ss_node *n = &nodes[i];

        for (int k = 0; k < SS_MAX_OPERANDS; k++)
            if (n->from[k] >= 0)
                n->in[k] = ss_retain(value[n->from[k] - first]);
        if (needed[i])
            value[i] = compute(c, n);
        drop_operands(n, n->op->saves);
    }
out:
    for (int i = 0; value && i < count; i++)
        ss_release(value[i]);
    ss_free(value);
    ss_free(needed);
}

/* ---- unwinding ---- */

bool ss_tape_reaches(const ss_ctx *c, const ss_tensor *y)
{
    return c->tape.on && ss_var_of(c, y) != NULL;
}

void ss_tape_seed(ss_ctx *c, const ss_tensor *y, const ss_tensor *g, float scale)
{
    ss_var *v = ss_var_of(c, y);

    if (!y || !g || ss_ctx_failed(c))
        return;
    if (!c->tape.on || !v || !ss_shape_equal(y->shape, g->shape)) {
        ss_ctx_fail(c, SS_USAGE, "a gradient was given to a tensor that %s",
                    c->tape.on && v ? "has another shape" : "depends on nothing that wants one");
        return;
    }
    ss_tensor *k = ss_tensor_new(c, g->shape);
    ss_code rc = k && !c->shapes_only ? ss_do_affine(c, g, scale, 0, k) : SS_OK;
    if (rc != SS_OK)
        ss_ctx_fail(c, rc, "%s", c->op_err.msg);
    var_add(c, v, k);
}

/* From the gradient of the node's output to those of its operands. */
static void unwind(ss_ctx *c, ss_node *n)
{
    ss_tensor *dy = n->out->gradient, *dx[SS_MAX_OPERANDS] = {NULL};
    bool asked = false;
    ss_code rc = SS_OK;

    n->out->gradient = NULL;
    if (!dy)
        return;
    dy = ss_round_to(c, dy, n->gradient);
    for (int k = 0; k < SS_MAX_OPERANDS && dy; k++) {
        if (!n->var[k])
            continue;
        if (n->passes >> k & 1) {
            dx[k] = ss_tensor_view(c, dy, n->var[k]->shape);
        } else {
            dx[k] = ss_tensor_new(c, n->var[k]->shape);
            asked = true;
        }
    }
    if (asked && !ss_ctx_failed(c) && !c->shapes_only)
        rc = n->op->backward(c, n, dy, dx);
    if (rc != SS_OK)
        ss_ctx_fail(c, rc, "gradient of %s: %s", n->op->name, c->op_err.msg);
    for (int k = 0; k < SS_MAX_OPERANDS; k++) {
        if (dx[k] && n->var[k]->maker < 0)
            dx[k] = ss_round_to(c, dx[k], n->gradient);
        if (n->var[k])
            var_add(c, n->var[k], dx[k]);
    }
    ss_release(dy);
}

ss_code ss_tape_backward(ss_ctx *c, ss_err *e)
{
    ss_tape *t = &c->tape;

    while (t->n && !ss_ctx_failed(c)) {
        ss_node *n = &t->nodes[t->n - 1];

        c->depth = n->module ? 1 : 0; /* an error names the module */
        c->stack[0] = n->module;
        if (n->dropped >= 0)
            recompute(c, n->dropped);
        if (!ss_ctx_failed(c))
            unwind(c, n);
        node_release(n);
        t->n--;
    }
    c->depth = 0;
    ss_tape_end(c);
    return ss_ctx_check(c, e);
}
