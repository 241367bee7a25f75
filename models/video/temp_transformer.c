/* temp_transformer.c - see temp_transformer.h
 *
 *   h = proj_in(norm(x))          [N][F][H][W][C] -> H W rows of F tokens
 *   h = block(h)                  both attentions over a row's frames (transformer_block.h)
 *   y = x + k proj_out(h)         k is 1 but for a remedy (remedies.h)
 *
 * The norm has its moments over all frames. Nothing tells the block which frame is which: with its
 * frames in another order, the answer is the same in that order.
 */
#include "models/video/temp_transformer.h"

#include "models/net/transformer_block.h"

typedef struct {
    ss_module m;
    ss_group_norm_layer *norm;
    ss_linear_layer *proj_in, *proj_out;
    ss_transformer_block *block;
    ss_factor factor;
} temp_transformer;

static void *make(ss_net *n, const ss_module *parent, int index, const ss_motion_spec *s)
{
    const int width = s->heads * s->head;
    const ss_transformer_block_spec block = {
        .heads = s->heads, .head = s->head, .double_self = true, .over_frames = true};
    temp_transformer *t = ss_net_alloc(n, sizeof *t);

    if (!t)
        return NULL;
    t->m.block = true;
    if (index < 0)
        ss_net_module(n, &t->m, parent, "TransformerTemporalModel", "%s", s->list);
    else
        ss_net_module(n, &t->m, parent, "TransformerTemporalModel", "%s.%d", s->list, index);
    t->norm = ss_group_norm_layer_new(n, &t->m, "norm", s->channels, s->groups, 1e-6f);
    if (t->norm)
        t->norm->joint = true;
    t->proj_in = ss_linear_layer_new(n, &t->m, "proj_in", s->channels, width, true);
    t->block = ss_transformer_block_new(n, &t->m, 0, &block);
    t->proj_out = ss_linear_layer_new(n, &t->m, "proj_out", width, s->channels, true);
    t->factor = ss_factor_new(n, &t->m, "residual_scale", ss_net_remedies(n)->residual);
    return t;
}

static ss_tensor *run(ss_ctx *c, const void *layer, const ss_tensor *x)
{
    static const int swap[] = {0, 2, 1, 3}; /* frames and positions */
    const temp_transformer *t = layer;
    const ss_shape s = ss_shape_get(x);

    ss_enter(c, &t->m, x);
    ss_tensor *h = ss_group_norm_layer_run(c, t->norm, x, NULL, SS_ACT_NONE);
    ss_set(&h, ss_reshape(c, h, ss_shape_of(s.dim[0], s.dim[1], s.dim[2] * s.dim[3], s.dim[4])));
    ss_set(&h, ss_permute(c, h, swap));                /* [N][H W][F][C] */
    ss_set(&h, ss_linear_layer_run(c, t->proj_in, h)); /* [N][H W][F][width] */
    h = ss_transformer_block_run(c, t->block, h, NULL, NULL);
    ss_set(&h, ss_linear_layer_run(c, t->proj_out, h)); /* [N][H W][F][C] */
    ss_set(&h, ss_permute(c, h, swap));
    ss_set(&h, ss_reshape(c, h, s));
    ss_factor_run(c, &t->factor, &h);
    ss_set(&h, ss_add(c, h, x, 1));
    return ss_leave(c, &t->m, h);
}

const ss_motion_kind ss_motion_temp_transformer = {make, run};
