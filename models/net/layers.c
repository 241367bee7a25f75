/* layers.c - see layers.h */
#include "models/net/layers.h"

#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/tape.h"
#include "models/net/magnitude.h"

#include <math.h>

ss_conv_layer *ss_conv_layer_new(ss_net *n, const ss_module *parent, const char *name, int in,
                                 int out, int kernel, ss_conv2d_opt opt)
{
    ss_conv_layer *l = ss_net_alloc(n, sizeof *l);

    if (!l)
        return NULL;
    ss_net_module(n, &l->m, parent, "Conv2d", "%s", name);
    l->weight = ss_net_weight(n, &l->m, "weight", ss_shape_of(out, in, kernel, kernel));
    if (!ss_net_remedies(n)->magnitude)
        l->bias = ss_net_weight(n, &l->m, "bias", ss_shape_of(out));
    l->kernel = kernel;
    l->opt = opt;
    return l;
}

void ss_conv_layer_add_gain(ss_net *n, ss_conv_layer *l)
{
    if (l)
        l->gain = ss_net_weight(n, &l->m, "gain", ss_shape_of(1));
}

/* Returns the weights that a product is made of, normalised where need be. */
static ss_tensor *product_weight(ss_ctx *c, const ss_weight *w)
{
    return w->normalised ? ss_mp_weight(c, w, false) : ss_retain(w->tensor);
}

ss_tensor *ss_conv_layer_run(ss_ctx *c, const ss_conv_layer *l, const ss_tensor *x)
{
    const ss_tensor *b = ss_operand(l->bias);

    ss_enter(c, &l->m, x);
    ss_tensor *w = product_weight(c, l->weight), *y;
    /* A 1x1 convolution of channels-last pictures is a matrix product. */
    if (l->kernel == 1 && l->opt.stride <= 1 && !l->opt.top)
        y = ss_linear(c, x, w, b);
    else
        y = ss_conv2d(c, x, w, b, l->opt);
    ss_release(w);
    if (l->gain)
        ss_set(&y, ss_gain(c, y, l->gain->tensor));
    return ss_leave(c, &l->m, y);
}

ss_linear_layer *ss_linear_layer_new(ss_net *n, const ss_module *parent, const char *name, int in,
                                     int out, bool bias)
{
    ss_linear_layer *l = ss_net_alloc(n, sizeof *l);

    if (!l)
        return NULL;
    ss_net_module(n, &l->m, parent, "Linear", "%s", name);
    l->weight = ss_net_weight(n, &l->m, "weight", ss_shape_of(out, in));
    l->bias = bias && !ss_net_remedies(n)->magnitude
                  ? ss_net_weight(n, &l->m, "bias", ss_shape_of(out))
                  : NULL;
    return l;
}

void ss_linear_layer_add_gain(ss_net *n, ss_linear_layer *l)
{
    if (l)
        l->gain = ss_net_weight(n, &l->m, "gain", ss_shape_of(1));
}

ss_tensor *ss_linear_layer_run(ss_ctx *c, const ss_linear_layer *l, const ss_tensor *x)
{
    ss_enter(c, &l->m, x);
    ss_tensor *w = product_weight(c, l->weight);
    ss_tensor *y = ss_linear(c, x, w, ss_operand(l->bias));
    ss_release(w);
    if (l->gain)
        ss_set(&y, ss_gain(c, y, l->gain->tensor));
    return ss_leave(c, &l->m, y);
}

ss_factor ss_factor_new(ss_net *n, const ss_module *m, const char *name, ss_factor_spec spec)
{
    return (ss_factor){.value = spec.value,
                       .weight = spec.learned ? ss_net_weight(n, m, name, ss_shape_of(1)) : NULL};
}

ss_tensor *ss_divided_sum(ss_ctx *c, const ss_module *sum, const ss_tensor *a, const ss_tensor *b,
                          float divisor)
{
    const float factor = 1 / divisor;

    if (!sum->path || !(ss_needs_output(c, sum) || ss_rounds_here(c)))
        return ss_add(c, a, b, factor);
    ss_tensor *y = ss_add(c, a, b, 1);

    ss_see(c, sum, SS_PORT_OUTPUT, y);
    if (divisor != 1)
        ss_set(&y, ss_affine(c, y, factor, 0));
    return y;
}

void ss_factor_run(ss_ctx *c, const ss_factor *f, ss_tensor **x)
{
    if (f->weight)
        ss_set(x, ss_gain(c, *x, f->weight->tensor));
    else if (f->value > 0)
        ss_set(x, ss_affine(c, *x, f->value, 0));
}

/* By doubling: such tensors are small, and no host memory is needed. */
ss_tensor *ss_repeat_samples(ss_ctx *c, ss_tensor *x, int64_t R)
{
    ss_shape s = ss_shape_get(x);
    const int64_t N = s.dim[0], each = N ? ss_shape_numel(s) / N : 0;

    if (R == 1 || !x)
        return x;
    ss_set(&x, ss_reshape(c, x, ss_shape_of(N, 1, each)));
    while (x && ss_dim(x, 1) < R)
        ss_set(&x, ss_concat(c, x, x, 1));
    ss_set(&x, ss_slice(c, x, 1, 0, R));
    s.dim[0] = N * R;
    ss_set(&x, ss_reshape(c, x, s));
    return x;
}

ss_group_norm_layer *ss_group_norm_layer_new(ss_net *n, const ss_module *parent, const char *name,
                                             int channels, int groups, float eps)
{
    ss_group_norm_layer *l = ss_net_alloc(n, sizeof *l);

    if (!l)
        return NULL;
    ss_net_module(n, &l->m, parent, "GroupNorm", "%s", name);
    if (groups < 1 || channels % groups)
        ss_net_fail(n, SS_FORMAT, "%s: %d channels do not divide into %d groups", l->m.path,
                    channels, groups);
    l->weight = ss_net_weight(n, &l->m, "weight", ss_shape_of(channels));
    l->bias = ss_net_weight(n, &l->m, "bias", ss_shape_of(channels));
    l->groups = groups;
    l->eps = eps;
    return l;
}

void ss_group_norm_layer_modulate(ss_net *n, ss_group_norm_layer *l, const ss_module *owner)
{
    if (!l)
        return;
    ss_net_inner(n, &l->scaled, owner, SS_INNER_MODULATED, "norm2_scaled");
    ss_net_inner(n, &l->shifted, owner, SS_INNER_MODULATED, "norm2_shifted");
}

/* Computes y (1 + scale) + shift in two steps, as PyTorch stores it. Takes y. */
static ss_tensor *modulate(ss_ctx *c, const ss_group_norm_layer *l, ss_tensor *y,
                           const ss_tensor *mod)
{
    const int64_t C = ss_dim(y, -1);
    ss_tensor *scale = ss_slice(c, mod, 1, 0, C), *shift = ss_slice(c, mod, 1, C, 2 * C);

    ss_set(&y, ss_modulate(c, y, scale));
    ss_see(c, &l->scaled, SS_PORT_OUTPUT, y);
    ss_set(&y, ss_add_channels(c, y, shift));
    ss_see(c, &l->shifted, SS_PORT_OUTPUT, y);
    ss_release(scale);
    ss_release(shift);
    return y;
}

/* Computes ss_group_norm; of a video that is not seen together each frame by itself. */
static ss_tensor *norm_frames(ss_ctx *c, const ss_group_norm_layer *l, const ss_tensor *x,
                              const ss_tensor *mod, ss_act act, ss_tensor **plain)
{
    const ss_tensor *gamma = ss_operand(l->weight), *beta = ss_operand(l->bias);
    const ss_shape s = ss_shape_get(x);

    if (s.rank != 5 || l->joint)
        return ss_group_norm(c, x, gamma, beta, mod, l->groups, l->eps, act, plain);
    ss_tensor *frames =
        ss_reshape(c, x, ss_shape_of(s.dim[0] * s.dim[1], s.dim[2], s.dim[3], s.dim[4]));
    ss_tensor *each = ss_repeat_samples(c, ss_retain(mod), s.dim[1]);
    ss_tensor *y = ss_group_norm(c, frames, gamma, beta, each, l->groups, l->eps, act, plain);

    ss_release(frames);
    ss_release(each);
    ss_set(&y, ss_reshape(c, y, s));
    if (plain)
        ss_set(plain, ss_reshape(c, *plain, s));
    return y;
}

ss_tensor *ss_group_norm_layer_run(ss_ctx *c, const ss_group_norm_layer *l, const ss_tensor *x,
                                   const ss_tensor *mod, ss_act act)
{
    const bool inner = mod && l->scaled.path &&
                       (ss_needs_output(c, &l->scaled) || ss_needs_output(c, &l->shifted));
    const bool looked_at = inner || ss_needs_output(c, &l->m);
    const bool changed = ss_changes_output(c, &l->m) || ss_rounds_here(c);
    ss_tensor *y, *plain;

    ss_enter(c, &l->m, x);
    if ((act == SS_ACT_NONE && !mod) || (!looked_at && !changed))
        return ss_leave(c, &l->m, norm_frames(c, l, x, mod, act, NULL));
    if (!changed) {
        y = norm_frames(c, l, x, mod, act, &plain);
        plain = ss_leave(c, &l->m, plain); /* hooks see it; it goes no further */
        if (inner && !ss_see_modulated(c, &l->scaled, &l->shifted, plain, mod)) {
            const bool recorded = ss_tape_pause(c, true);

            plain = modulate(c, l, plain, mod);
            ss_tape_pause(c, !recorded);
        }
        ss_release(plain);
        return y;
    }
    y = ss_leave(c, &l->m, norm_frames(c, l, x, NULL, SS_ACT_NONE, NULL));
    if (mod)
        y = modulate(c, l, y, mod);
    ss_set(&y, ss_activate(c, y, act));
    return y;
}

ss_layer_norm_layer *ss_layer_norm_layer_new(ss_net *n, const ss_module *parent, const char *name,
                                             int channels)
{
    ss_layer_norm_layer *l = ss_net_alloc(n, sizeof *l);

    if (!l)
        return NULL;
    ss_net_module(n, &l->m, parent, "LayerNorm", "%s", name);
    l->weight = ss_net_weight(n, &l->m, "weight", ss_shape_of(channels));
    l->bias = ss_net_weight(n, &l->m, "bias", ss_shape_of(channels));
    l->eps = 1e-5f;
    return l;
}

ss_tensor *ss_layer_norm_layer_run(ss_ctx *c, const ss_layer_norm_layer *l, const ss_tensor *x)
{
    ss_enter(c, &l->m, x);
    return ss_leave(c, &l->m,
                    ss_layer_norm(c, x, ss_operand(l->weight), ss_operand(l->bias), l->eps));
}

ss_embedding_layer *ss_embedding_layer_new(ss_net *n, const ss_module *parent, const char *name,
                                           int rows, int width)
{
    ss_embedding_layer *l = ss_net_alloc(n, sizeof *l);

    if (!l)
        return NULL;
    ss_net_module(n, &l->m, parent, "Embedding", "%s", name);
    l->weight = ss_net_weight(n, &l->m, "weight", ss_shape_of(rows, width));
    return l;
}

ss_tensor *ss_embedding_layer_rows(ss_ctx *c, const ss_embedding_layer *l, const int64_t *ids,
                                   int64_t count)
{
    ss_enter(c, &l->m, NULL);
    ss_tensor *table =
        l->weight->normalised ? ss_mp_weight(c, l->weight, true) : ss_retain(l->weight->tensor);
    ss_tensor *y = ss_leave(c, &l->m, ss_embedding(c, table, ids, count));
    ss_release(table);
    return y;
}

ss_tensor *ss_embedding_layer_run(ss_ctx *c, const ss_embedding_layer *l, const float *ids,
                                  int64_t count)
{
    int64_t *rows = ss_alloc((size_t)count, sizeof *rows);

    if (!rows)
        return ss_ctx_fail(c, SS_NOMEM, "ids of an embedding: out of memory");
    /* a row that does not exist is -1, which the operation refuses by number */
    for (int64_t i = 0; i < count; i++)
        rows[i] = ids[i] >= 0 && ids[i] < 1e15f ? (int64_t)llroundf(ids[i]) : -1;
    ss_tensor *y = ss_embedding_layer_rows(c, l, rows, count);
    ss_free(rows);
    return y;
}
