/* hooks.c - see hooks.h: modules entered and left, and what happens there */
#include "kernels/hooks.h"

#include "base/mem.h"
#include "base/str.h"
#include "kernels/internal.h"
#include "kernels/ops.h"

#include <assert.h>
#include <string.h>

const char *ss_port_name(ss_port p)
{
#define X(name, text) [SS_PORT_##name] = text,
    static const char *const names[] = {SS_PORTS(X)};
#undef X
    return names[p];
}

const char *ss_inner_name(ss_inner k)
{
#define X(name, text) [SS_INNER_##name] = text,
    static const char *const names[] = {SS_INNERS(X)};
#undef X
    return names[k];
}

const char *ss_round_scope_name(ss_round_scope s)
{
#define X(name, text) [SS_ROUND_##name] = text,
    static const char *const names[] = {SS_ROUND_SCOPES(X)};
#undef X
    return names[s];
}

const char *ss_attention_code_name(ss_attention_code k)
{
#define X(name, text) [SS_ATTENTION_##name] = text,
    static const char *const names[] = {SS_ATTENTION_CODES(X)};
#undef X
    return names[k];
}

ss_code ss_round_scope_parse(const char *name, ss_round_scope *s, ss_err *e)
{
    for (int k = 0; k < SS_N_ROUND_SCOPES; k++) {
        *s = (ss_round_scope)k;
        if (strcmp(name, ss_round_scope_name(*s)) == 0)
            return SS_OK;
    }
    return ss_fail(e, SS_USAGE, "'%s' is no code that rounds; known: half, autocast, autocast-cpu",
                   name);
}

ss_code ss_attention_code_parse(const char *name, ss_attention_code *k, ss_err *e)
{
    for (int i = 0; i < SS_N_ATTENTION_CODES; i++) {
        *k = (ss_attention_code)i;
        if (strcmp(name, ss_attention_code_name(*k)) == 0)
            return SS_OK;
    }
    return ss_fail(e, SS_USAGE, "'%s' is no code of attention; known: sdpa, eager, eager-unscaled",
                   name);
}

static ss_code bad_intervention(const char *spec, ss_err *e)
{
    return ss_fail(e, SS_USAGE,
                   "'%s' is not an intervention; known: clamp:V@GLOB, scale:K@GLOB, zero@GLOB, "
                   "cosine-attention@GLOB, cosine-attention:SCALE@GLOB",
                   spec);
}

ss_code ss_intervention_parse(const char *spec, ss_intervention *out, ss_err *e)
{
    static const struct {
        const char *name;
        ss_intervention_kind kind;
        bool needs_value, may_have_value;
    } kinds[] = {
        {"clamp", SS_CLAMP, true, true},
        {"scale", SS_SCALE, true, true},
        {"zero", SS_ZERO, false, false},
        {"cosine-attention", SS_COSINE_ATTENTION, false, true},
    };
    const char *at = strchr(spec, '@');
    char head[64];
    double value = 0;

    if (!at || (size_t)(at - spec) >= sizeof head)
        return bad_intervention(spec, e);
    memcpy(head, spec, (size_t)(at - spec));
    head[at - spec] = '\0';

    char *colon = strchr(head, ':');
    if (colon) {
        *colon = '\0';
        if (!ss_parse_double(colon + 1, &value))
            return ss_fail(e, SS_USAGE, "'%s': '%s' is not a finite number", spec, colon + 1);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(head, kinds[i].name) != 0)
            continue;
        if (colon ? !kinds[i].may_have_value : kinds[i].needs_value)
            return bad_intervention(spec, e);
        if (kinds[i].kind == SS_CLAMP && value < 0)
            return ss_fail(e, SS_USAGE, "'%s': a clamp's limit must not be negative", spec);
        *out = (ss_intervention){kinds[i].kind, (float)value, at + 1};
        return ss_glob_check(at + 1, e);
    }
    return bad_intervention(spec, e);
}

/* True when the glob matches the module or one that contains it. */
static bool covers(const char *glob, const ss_module *const *modules, const ss_module *m)
{
    for (; m; m = m->parent < 0 ? NULL : modules[m->parent]) {
        if (!m->inner && ss_glob_module(glob, m->path))
            return true;
    }
    return false;
}

static ss_code no_match(const char *what, const char *glob, ss_err *e)
{
    return ss_fail(e, SS_USAGE, "%s: no module matches '%s'; `sigmascope inspect` lists them", what,
                   glob);
}

/* f, or NULL where it changes nothing; zeroed stands for fp32. */
static const ss_format *active(const ss_format *f)
{
    return !f->exp_bits || ss_format_is_f32(f) ? NULL : f;
}

static ss_code set_precision(ss_ctx *c, const ss_setup *s, ss_err *e)
{
    const ss_precision *p = s->precision;

    c->formats = ss_calloc((size_t)p->n_rules + 1, 2 * sizeof *c->formats);
    if (!c->formats)
        return ss_fail(e, SS_NOMEM, "out of memory");
    c->n_formats = 2 * (p->n_rules + 1);
    c->scope = p->scope;
    c->attention = p->attention;
    c->torch_norms = p->torch_norms;
    for (int r = -1; r < p->n_rules; r++) { /* -1 is the default, for all */
        ss_format *f = &c->formats[2 * (r + 1)], *g = f + 1;
        bool used = r < 0;

        *f = r < 0 ? p->format : p->rules[r].format;
        *g = r < 0 ? p->gradient : p->rules[r].gradient;
        if (r < 0) {
            c->format = active(f);
            c->gradient = active(g);
        }
        for (int i = 0; i < s->n_modules; i++) {
            if (r >= 0 && !covers(p->rules[r].glob, s->modules, s->modules[i]))
                continue;
            c->sites[i].format = active(f);
            c->sites[i].gradient = active(g);
            used = used || !s->modules[i]->inner;
        }
        if (!used)
            return no_match("precision", p->rules[r].glob, e);
    }
    return SS_OK;
}

static ss_code set_interventions(ss_ctx *c, const ss_setup *s, ss_err *e)
{
    size_t n = 0, cap = 0;

    for (int k = 0; k < s->n_interventions; k++) {
        bool used = false;

        for (int i = 0; i < s->n_modules && !used; i++)
            used = !s->modules[i]->inner &&
                   ss_glob_module(s->interventions[k].glob, s->modules[i]->path);
        if (!used)
            return no_match("intervention", s->interventions[k].glob, e);
    }
    for (int i = 0; i < s->n_modules; i++) {
        ss_site *site = &c->sites[i];

        site->first_change = (int)n;
        for (int k = 0; k < s->n_interventions; k++) {
            const ss_intervention *v = &s->interventions[k];

            if (v->kind == SS_COSINE_ATTENTION) { /* of every attention below a match */
                if (covers(v->glob, s->modules, s->modules[i])) {
                    site->cosine = true;
                    site->cosine_scale = v->value;
                }
                continue;
            }
            if (s->modules[i]->inner || !ss_glob_module(v->glob, s->modules[i]->path))
                continue;
            ss_change *grown = ss_grow(c->changes, &cap, n + 1, sizeof *grown);
            if (!grown)
                return ss_fail(e, SS_NOMEM, "out of memory");
            c->changes = grown;
            c->changes[n++] = (ss_change){i, v->kind, v->value};
        }
        site->n_changes = (int)n - site->first_change;
    }
    return SS_OK;
}

static void forget_setup(ss_ctx *c)
{
    ss_free(c->formats);
    ss_free(c->sites);
    ss_free(c->changes);
    c->formats = NULL;
    c->n_formats = 0;
    c->sites = NULL;
    c->changes = NULL;
    c->format = c->gradient = NULL;
    c->scope = SS_ROUND_HALF;
    c->attention = SS_ATTENTION_SDPA;
    c->torch_norms = false;
    c->hooks = (ss_hooks){0};
    c->n_modules = 0;
}

ss_code ss_ctx_setup(ss_ctx *c, const ss_setup *s, ss_err *e)
{
    ss_code rc = SS_OK;

    if (c->tape.on) /* its nodes point at the formats */
        return ss_fail(e, SS_USAGE, "modules cannot be set up while a tape records");
    forget_setup(c);
    c->sites = ss_calloc((size_t)s->n_modules, sizeof *c->sites);
    if (!c->sites)
        return ss_fail(e, SS_NOMEM, "out of memory");
    c->n_modules = s->n_modules;
    if (s->hooks) {
        c->hooks = *s->hooks;
        for (int i = 0; i < s->n_modules; i++) {
            const ss_module *m = s->modules[i];

            for (ss_port p = 0; p < SS_N_PORTS; p++)
                c->sites[i].watch[p] = c->hooks.wants && c->hooks.wants(c->hooks.self, m, p);
            c->sites[i].watch_attention =
                c->hooks.wants_attention && c->hooks.wants_attention(c->hooks.self, m);
        }
    }
    if (s->precision)
        rc = set_precision(c, s, e);
    if (rc == SS_OK && s->n_interventions)
        rc = set_interventions(c, s, e);
    if (rc != SS_OK)
        forget_setup(c);
    return rc;
}

static const ss_site *site_of(const ss_ctx *c, const ss_module *m)
{
    return m->id < c->n_modules ? &c->sites[m->id] : NULL;
}

const ss_site *ss_current_site(const ss_ctx *c)
{
    return c->depth ? site_of(c, c->stack[c->depth - 1]) : NULL;
}

/* ---- what is rounded ---- */

/* The format that the innermost module's operations work in, or NULL: fp32. */
static const ss_format *working_format(const ss_ctx *c)
{
    const ss_site *site = ss_current_site(c);

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

static bool is_in(const ss_tensor *x, const ss_format *f)
{
    return x->buf->exp_bits == f->exp_bits && x->buf->man_bits == f->man_bits;
}

/* PyTorch's promotion of types: the format that holds all operands, parameters excepted. */
static const ss_format *widest(const ss_ctx *c, const ss_node *n)
{
    const ss_format *f = NULL;

    for (int k = 0; k < SS_MAX_OPERANDS; k++) {
        const ss_tensor *x = n->in[k];

        if (!x || x->parameter)
            continue;
        if (f ? !is_in(x, f) : !(f = format_of(c, x)))
            return NULL;
    }
    return f;
}

void ss_node_formats(const ss_ctx *c, ss_node *n)
{
    const ss_format *f = working_format(c);
    const bool autocast = c->scope != SS_ROUND_HALF;

    n->format = n->weights = NULL;
    if (!f || !n->op->forward || n->op->cast == SS_CAST_NONE)
        return;
    if (n->op->cast == SS_CAST_LOW || !autocast)
        n->format = f;
    else if (n->op->cast == SS_CAST_WIDEST || c->scope == SS_ROUND_AUTOCAST_CPU)
        n->format = widest(c, n);
    /* Nobody keeps the parameters of norms in 8 bits. */
    if (n->op->cast == SS_CAST_LOW || (!autocast && f->exp_bits + f->man_bits >= 15))
        n->weights = f;
    n->moves = n->op->copies && n->format && widest(c, n) == n->format;
}

const ss_format *ss_upload_format(const ss_ctx *c)
{
    return c->scope == SS_ROUND_HALF ? working_format(c) : NULL;
}

const ss_format *ss_op_gradient_format(const ss_ctx *c)
{
    const ss_site *site = ss_current_site(c);

    if (c->scope == SS_ROUND_BLOCKS)
        return NULL;
    return site ? site->gradient : c->gradient;
}

void ss_to_sample_type(ss_ctx *c, ss_tensor *x)
{
    if (x && (c->scope == SS_ROUND_AUTOCAST || c->scope == SS_ROUND_AUTOCAST_CPU))
        x->buf->exp_bits = x->buf->man_bits = 0;
}

bool ss_rounds_here(const ss_ctx *c)
{
    return working_format(c) != NULL;
}

void ss_see(ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x)
{
    const ss_site *site = site_of(c, m);

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

static ss_code zero_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    (void)n;
    return c->be->fill(c->dev, y, 0, &c->op_err);
}

/* Not a multiplication, which would keep inf and NaN. It has no operand: no gradient goes by. */
static ss_tensor *zeros(ss_ctx *c, const ss_tensor *y)
{
    static const ss_op zero = {.name = "zero", .forward = zero_forward};
    ss_node n = {.op = &zero, .shape = y->shape};

    return ss_node_run(c, &n);
}

/* Takes y. */
static ss_tensor *apply(ss_ctx *c, ss_tensor *y, const ss_change *change)
{
    if (change->kind == SS_CLAMP)
        ss_set(&y, ss_clamp(c, y, -change->value, change->value));
    else if (change->kind == SS_SCALE)
        ss_set(&y, ss_affine(c, y, change->value, 0));
    else if (y)
        ss_set(&y, zeros(c, y));
    return y;
}

static ss_code round_forward(ss_ctx *c, const ss_node *n, ss_tensor *y)
{
    return c->be->round(c->dev, n->in[0], n->arg.round, y, &c->op_err);
}

/* Rounds x to f, and later its gradient to g, which passes straight through the rounding of the
 * value (Bengio et al. 2013); either may be NULL. Takes x. */
static ss_tensor *cast(ss_ctx *c, ss_tensor *x, const ss_format *f, const ss_format *g)
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
    const ss_format *f = working_format(c);

    return cast(c, ss_retain(x), x && f && !is_in(x, f) ? f : NULL, NULL);
}

ss_tensor *ss_pass(ss_ctx *c, const ss_module *m, ss_tensor *x)
{
    const ss_site *site = site_of(c, m);

    if (!x || !site || !site->format || c->scope != SS_ROUND_HALF || is_in(x, site->format))
        return x;
    return cast(c, x, site->format, NULL);
}

ss_tensor *ss_leave(ss_ctx *c, const ss_module *m, ss_tensor *y)
{
    const ss_site *site = site_of(c, m);

    assert(c->depth && c->stack[c->depth - 1] == m);
    if (y && m->limit > 0)
        ss_set(&y, ss_clamp(c, y, -m->limit, m->limit));
    if (y && site) {
        for (int k = 0; k < site->n_changes; k++)
            y = apply(c, y, &c->changes[site->first_change + k]);
        if (c->scope == SS_ROUND_BLOCKS && m->block)
            y = cast(c, y, site->format, site->gradient);
        if (c->depth > 1)
            y = ss_pass(c, c->stack[c->depth - 2], y);
        ss_see(c, m, SS_PORT_OUTPUT, y);
    }
    ss_tape_leave(c, m);
    c->depth--;
    return y;
}

bool ss_changes_output(const ss_ctx *c, const ss_module *m)
{
    const ss_site *site = site_of(c, m);

    return site && (site->n_changes || (site->format && (c->scope != SS_ROUND_BLOCKS || m->block)));
}

bool ss_needs_output(const ss_ctx *c, const ss_module *m)
{
    const ss_site *site = site_of(c, m);

    return site && (site->watch[SS_PORT_OUTPUT] || ss_changes_output(c, m));
}
