/* attention.c - see attention.h
 *
 *   q = to_q(h), k = to_k(s), v = to_v(s)         h = norm(x), s = context or h
 *   y = to_out(softmax(q k^T / sqrt(head)) v)     head by head (Vaswani et al. 2017)
 *   y = (k y + x) / out_scale                     with a residual; k is 1 but for a remedy
 *
 * Another remedy has the logits scale cos(q, k).
 *
 * The statistics of attention carry this module's path: the operation runs while no module
 * inside this one is entered.
 */
#include "models/net/attention.h"

#include "kernels/context.h"
#include "models/net/magnitude.h"

#include <math.h>

struct ss_attention_layer {
    ss_module m;
    ss_group_norm_layer *group_norm;       /* or NULL */
    ss_group_norm_layer *norm_cross_group; /* at most one of these two */
    ss_layer_norm_layer *norm_cross_layer;
    ss_linear_layer *to_q, *to_k, *to_v, *add_k_proj, *add_v_proj, *to_out;
    int heads;
    float scale;
    bool cosine, magnitude;
    ss_factor factor; /* scales the branch before it is added to the residual */
    ss_attention_inner inner;
    ss_module residual_sum; /* inner value; path NULL: there is none */
    bool residual, upcast, over_frames;
    float out_scale;
};

enum { CROSS_GROUPS = 32 };

static void new_projections(ss_net *n, ss_attention_layer *a, const ss_attention_spec *s)
{
    const int inner = s->heads * s->head, from = s->context && !s->added ? s->context : s->channels;

    if (s->norm_cross == SS_NORM_CROSS_LAYER)
        a->norm_cross_layer = ss_layer_norm_layer_new(n, &a->m, "norm_cross", s->context);
    else if (s->norm_cross == SS_NORM_CROSS_GROUP)
        a->norm_cross_group =
            ss_group_norm_layer_new(n, &a->m, "norm_cross", s->context, CROSS_GROUPS, 1e-5f);
    a->to_q = ss_linear_layer_new(n, &a->m, "to_q", s->channels, inner, s->bias);
    if (!s->only_cross) {
        a->to_k = ss_linear_layer_new(n, &a->m, "to_k", from, inner, s->bias);
        a->to_v = ss_linear_layer_new(n, &a->m, "to_v", from, inner, s->bias);
    }
    if (s->added) {
        a->add_k_proj = ss_linear_layer_new(n, &a->m, "add_k_proj", s->context, inner, true);
        a->add_v_proj = ss_linear_layer_new(n, &a->m, "add_v_proj", s->context, inner, true);
    }
    a->to_out = ss_linear_layer_new(n, &a->m, "to_out.0", inner, s->channels, true);
}

void ss_attention_inner_new(ss_net *n, ss_attention_inner *v, const ss_module *owner,
                            ss_stored_logits stored)
{
    const ss_inner kinds[] = {[SS_LOGITS_AS_CODED] = SS_INNER_LOGITS,
                              [SS_LOGITS_UPCAST] = SS_INNER_UPCAST,
                              [SS_LOGITS_STORED] = SS_INNER_PRODUCT};

    if (stored == SS_LOGITS_AS_CODED)
        ss_net_inner(n, &v->unscaled, owner, SS_INNER_UNSCALED, "logits_unscaled");
    ss_net_inner(n, &v->logits, owner, kinds[stored], "logits");
    ss_net_inner(n, &v->probabilities, owner, SS_INNER_PROBABILITIES, "probabilities");
}

float ss_attention_scale(const ss_net *n, double width, bool *cosine)
{
    const ss_remedies *r = ss_net_remedies(n);

    *cosine = r->cosine;
    if (!r->cosine)
        return (float)(1 / sqrt(width));
    return r->cosine_scale > 0 ? r->cosine_scale : (float)sqrt(width);
}

ss_attention_layer *ss_attention_layer_new(ss_net *n, const ss_module *parent, const char *name,
                                           int index, const ss_attention_spec *s)
{
    ss_attention_layer *a = ss_net_alloc(n, sizeof *a);

    if (!a)
        return NULL;
    a->m.block = index >= 0; /* attn1 and attn2 are parts of a transformer block */
    if (index >= 0)
        ss_net_module(n, &a->m, parent, "Attention", "%s.%d", name, index);
    else
        ss_net_module(n, &a->m, parent, "Attention", "%s", name);
    if (s->heads < 1 || s->head < 1)
        ss_net_fail(n, SS_FORMAT, "%s: %d heads of width %d are not possible", a->m.path, s->heads,
                    s->head);
    a->heads = s->heads;
    a->scale = ss_attention_scale(n, s->head, &a->cosine);
    a->residual = s->residual;
    a->out_scale = s->out_scale;
    a->magnitude = ss_net_remedies(n)->magnitude;
    if (s->groups && !a->magnitude)
        a->group_norm =
            ss_group_norm_layer_new(n, &a->m, "group_norm", s->channels, s->groups, s->eps);
    new_projections(n, a, s);
    a->upcast = s->upcast;
    a->over_frames = s->over_frames;
    ss_attention_inner_new(n, &a->inner, &a->m, s->upcast ? SS_LOGITS_UPCAST : SS_LOGITS_AS_CODED);
    if (s->residual && s->out_scale != 1 && !a->magnitude)
        ss_net_inner(n, &a->residual_sum, &a->m, SS_INNER_SUM, "residual_sum");
    if (s->residual)
        a->factor = ss_factor_new(n, &a->m, "residual_scale", ss_net_remedies(n)->residual);
    return a;
}

const ss_module *ss_attention_layer_module(const ss_attention_layer *a)
{
    return &a->m;
}

static ss_tensor *normed_context(ss_ctx *c, const ss_attention_layer *a, const ss_tensor *context)
{
    if (a->norm_cross_layer)
        return ss_layer_norm_layer_run(c, a->norm_cross_layer, context);
    if (a->norm_cross_group)
        return ss_group_norm_layer_run(c, a->norm_cross_group, context, NULL, SS_ACT_NONE);
    return ss_retain(context);
}

/* Makes [N R][T][C] of the rows [N][R][T][C]; what is there once for a sample is repeated. */
static void to_rows(ss_ctx *c, ss_tensor **x, int64_t R)
{
    const ss_shape s = ss_shape_get(*x);

    if (s.rank == 4)
        ss_set(x, ss_reshape(c, *x, ss_shape_of(s.dim[0] * s.dim[1], s.dim[2], s.dim[3])));
    else if (*x)
        *x = ss_repeat_samples(c, *x, R);
}

/* Projects to the keys (or values) of the context, and after them those of x itself where there are
 * such; [N R][S + T][inner]. */
static ss_tensor *project_both(ss_ctx *c, const ss_linear_layer *added, const ss_linear_layer *own,
                               const ss_tensor *context, const ss_tensor *h, int64_t R)
{
    ss_tensor *k = ss_linear_layer_run(c, added, context); /* [N][S][inner] */

    to_rows(c, &k, R);
    if (own) {
        ss_tensor *k2 = ss_linear_layer_run(c, own, h); /* [N][R][T][inner] */

        to_rows(c, &k2, R);
        ss_set(&k, ss_concat(c, k, k2, 1));
        ss_release(k2);
    }
    return k;
}

/* Extends the mask of the context so that nothing is masked among x's own tokens. */
static ss_tensor *pad_mask(ss_ctx *c, const ss_tensor *mask, int64_t own)
{
    ss_tensor *zeros = ss_slice(c, mask, 1, 0, 1), *wide = NULL;

    /* [N][1] * 0 -> [N][own] by doubling: masks are small and this needs no host memory */
    ss_set(&zeros, ss_affine(c, zeros, 0, 0));
    while (zeros && ss_dim(zeros, 1) < own)
        ss_set(&zeros, ss_concat(c, zeros, zeros, 1));
    ss_set(&zeros, ss_slice(c, zeros, 1, 0, own));
    wide = ss_concat(c, mask, zeros, 1);
    ss_release(zeros);
    return wide;
}

/* Normalises x and makes tokens of its positions: [N][T][C], and [N][R][T][C] of R rows that do not
 * see each other, as the frames of a video. */
static ss_tensor *tokens(ss_ctx *c, const ss_attention_layer *a, const ss_tensor *x,
                         const ss_shape *seen)
{
    const bool video = ss_shape_get(x).rank == 5; /* a norm sees its frames one by one */
    ss_tensor *h = video ? ss_retain(x) : ss_reshape(c, x, *seen);

    if (a->group_norm)
        ss_set(&h, ss_group_norm_layer_run(c, a->group_norm, h, NULL, SS_ACT_NONE));
    if (video)
        ss_set(&h, ss_reshape(c, h, *seen));
    return h;
}

/* The shape of x as tokens: a layer of its own takes pictures and videos, a part of a transformer
 * block tokens, or rows of them. */
static ss_shape token_shape(const ss_attention_layer *a, const ss_tensor *x)
{
    const ss_shape s = ss_shape_get(x);

    if (s.rank == 5)
        return ss_shape_of(s.dim[0], s.dim[1], s.dim[2] * s.dim[3], s.dim[4]);
    if (s.rank == 4 && a->m.block)
        return ss_shape_of(s.dim[0], s.dim[1] * s.dim[2], s.dim[3]);
    return s;
}

ss_tensor *ss_attention_layer_run(ss_ctx *c, const ss_attention_layer *a, const ss_tensor *x,
                                  const ss_tensor *context, const ss_tensor *mask)
{
    const ss_shape seen = token_shape(a, x); /* [N][T][C] or [N][R][T][C] */
    const int64_t N = seen.dim[0], T = seen.rank > 1 ? seen.dim[seen.rank - 2] : 0;
    int64_t R = seen.rank == 4 ? seen.dim[1] : 1;
    ss_tensor *k, *v, *keep = ss_retain(mask);

    ss_enter(c, &a->m, x);
    ss_tensor *h = tokens(c, a, x, &seen);
    ss_tensor *q = ss_linear_layer_run(c, a->to_q, h); /* [N][R][T][inner] */
    ss_shape out = ss_shape_get(q);
    if (a->add_k_proj) {
        /* without a context x stands for it, past both norms */
        ss_tensor *s = context ? normed_context(c, a, context) : ss_reshape(c, x, seen);

        k = project_both(c, a->add_k_proj, a->to_k, s, h, R);
        v = project_both(c, a->add_v_proj, a->to_v, s, h, R);
        if (mask && a->to_k)
            ss_set(&keep, pad_mask(c, mask, T));
        if (mask)
            keep = ss_repeat_samples(c, keep, R);
        ss_release(s);
    } else {
        k = ss_linear_layer_run(c, a->to_k, context ? context : h);
        v = ss_linear_layer_run(c, a->to_v, context ? context : h);
    }
    ss_release(h);
    if (a->magnitude) { /* the norm is of each head */
        const int64_t width = ss_dim(q, -1) / a->heads;

        ss_set(&q, ss_mp_pixel(c, q, width));
        ss_set(&k, ss_mp_pixel(c, k, width));
        ss_set(&v, ss_mp_pixel(c, v, width));
    }

    if (context && !a->add_k_proj && R > 1) { /* all rows look at one context, as one row */
        ss_set(&q, ss_reshape(c, q, ss_shape_of(N, R * T, ss_dim(q, -1))));
        R = 1;
    } else {
        to_rows(c, &q, R);
        to_rows(c, &k, R);
        to_rows(c, &v, R);
    }
    const ss_attention_opt opt = {
        .heads = a->heads,
        .frames = (int)R,
        .of_frames = a->over_frames && !context ? (int)T : 0,
        .scale = a->scale,
        .cosine = a->cosine,
        .stored = a->upcast ? SS_LOGITS_UPCAST : SS_LOGITS_AS_CODED,
        .logits = &a->inner.logits,
        .unscaled = a->upcast ? NULL : &a->inner.unscaled,
        .probabilities = &a->inner.probabilities,
    };
    ss_tensor *y = ss_attention(c, q, k, v, keep, &opt);
    ss_release(q);
    ss_release(k);
    ss_release(v);
    ss_release(keep);
    ss_set(&y, ss_reshape(c, y, out));
    ss_set(&y, ss_linear_layer_run(c, a->to_out, y)); /* [N][R][T][C] */
    ss_set(&y, ss_reshape(c, y, ss_shape_get(x)));
    ss_factor_run(c, &a->factor, &y);
    if (a->magnitude)
        ss_set(&y, ss_mp_sum(c, x, y, 0.3));
    else if (a->residual)
        ss_set(&y, ss_divided_sum(c, &a->residual_sum, y, x, a->out_scale));
    return ss_leave(c, &a->m, y);
}
