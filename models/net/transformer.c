/* transformer.c - see transformer.h
 *
 *   h = proj_in(norm(x))                      T = H W tokens, of each frame by itself
 *   h = block(h, context)                     for each block (transformer_block.h)
 *   y = x + k proj_out(h)                     k is 1 but for a remedy (remedies.h)
 */
#include "models/net/transformer.h"

#include "models/net/transformer_block.h"

struct ss_transformer {
    ss_module m;
    ss_group_norm_layer *norm;
    ss_linear_layer *linear_in, *linear_out; /* projections: these two, or the next two */
    ss_conv_layer *conv_in, *conv_out;
    ss_transformer_block **blocks; /* [depth] */
    int depth;
    ss_factor factor;
};

ss_transformer *ss_transformer_new(ss_net *n, const ss_module *parent, int index,
                                   const ss_transformer_spec *s)
{
    const int width = s->heads * s->head;
    const ss_transformer_block_spec block = {.heads = s->heads,
                                             .head = s->head,
                                             .context = s->context,
                                             .only_cross = s->only_cross,
                                             .upcast = s->upcast};
    ss_transformer *t = ss_net_alloc(n, sizeof *t);

    if (!t)
        return NULL;
    t->m.block = true;
    t->depth = s->depth;
    ss_net_module(n, &t->m, parent, "Transformer2DModel", "attentions.%d", index);
    t->norm = ss_group_norm_layer_new(n, &t->m, "norm", s->channels, s->groups, 1e-6f);
    if (s->linear_projection)
        t->linear_in = ss_linear_layer_new(n, &t->m, "proj_in", s->channels, width, true);
    else
        t->conv_in = ss_conv_layer_new(n, &t->m, "proj_in", s->channels, width, 1, ss_conv_same(0));
    t->blocks = ss_net_alloc(n, (size_t)s->depth * sizeof *t->blocks);
    for (int i = 0; t->blocks && i < s->depth; i++)
        t->blocks[i] = ss_transformer_block_new(n, &t->m, i, &block);
    if (s->linear_projection)
        t->linear_out = ss_linear_layer_new(n, &t->m, "proj_out", width, s->channels, true);
    else
        t->conv_out =
            ss_conv_layer_new(n, &t->m, "proj_out", width, s->channels, 1, ss_conv_same(0));
    t->factor = ss_factor_new(n, &t->m, "residual_scale", ss_net_remedies(n)->residual);
    return t;
}

/* The shape of a picture or a video s with other channels. */
static ss_shape with_channels(ss_shape s, int64_t channels)
{
    if (s.rank) /* none after an error */
        s.dim[s.rank - 1] = channels;
    return s;
}

/* The same with its positions as tokens: [N][T][channels], and [N][F][T][channels] of a video. */
static ss_shape with_tokens(ss_shape s, int64_t channels)
{
    return s.rank == 5 ? ss_shape_of(s.dim[0], s.dim[1], s.dim[2] * s.dim[3], channels)
                       : ss_shape_of(s.dim[0], s.dim[1] * s.dim[2], channels);
}

ss_tensor *ss_transformer_run(ss_ctx *c, const ss_transformer *t, const ss_tensor *x,
                              const ss_tensor *context, const ss_tensor *mask)
{
    const ss_shape s = ss_shape_get(x);

    ss_enter(c, &t->m, x);
    ss_tensor *h = ss_group_norm_layer_run(c, t->norm, x, NULL, SS_ACT_NONE); /* [N][H][W][C] */
    if (t->conv_in)
        ss_set(&h, ss_conv_layer_run(c, t->conv_in, h)); /* [N][H][W][width] */
    ss_set(&h, ss_reshape(c, h, with_tokens(s, ss_dim(h, -1))));
    if (t->linear_in)
        ss_set(&h, ss_linear_layer_run(c, t->linear_in, h)); /* [N][T][width] */

    for (int i = 0; i < t->depth; i++)
        h = ss_transformer_block_run(c, t->blocks[i], h, context, mask);

    if (t->linear_out)
        ss_set(&h, ss_linear_layer_run(c, t->linear_out, h)); /* [N][T][C] */
    ss_set(&h, ss_reshape(c, h, with_channels(s, ss_dim(h, -1))));
    if (t->conv_out)
        ss_set(&h, ss_conv_layer_run(c, t->conv_out, h)); /* [N][H][W][C] */
    ss_factor_run(c, &t->factor, &h);
    ss_set(&h, ss_add(c, h, x, 1));
    return ss_leave(c, &t->m, h);
}
