/* video_transformer.c - see video_transformer.h
 *
 *   h = proj_in(norm(x))                       the norm of each frame by itself
 *   h = block(h, context)                      each frame by itself (transformer_block.h)
 *   m = temporal(h + e, context)               each position by itself (temporal_block.h)
 *   h = a mixture of h and m                   these three for each block (blender.h)
 *   y = x + k proj_out(h)                      k is 1 but for a remedy (remedies.h)
 *
 * e says which frame it is: sinusoids of 0, 1, 2..., through two linear layers. One mixer serves
 * all blocks. Source: Blattmann et al. 2023, "Stable Video Diffusion".
 */
#include "models/net/video_transformer.h"

#include "base/mem.h"
#include "kernels/context.h"
#include "models/net/blender.h"
#include "models/net/embeddings.h"
#include "models/net/temporal_block.h"
#include "models/net/transformer_block.h"

enum { GROUPS = 32 }; /* whatever the config says */

struct ss_video_transformer {
    ss_module m;
    ss_module position_sum; /* inner value: h + e */
    ss_group_norm_layer *norm;
    ss_linear_layer *proj_in, *proj_out;
    ss_transformer_block **blocks; /* [depth] */
    ss_temporal_block **temporal;  /* [depth] */
    ss_timestep_embedding *time_pos_embed;
    ss_blender mixer;
    int depth;
    ss_factor factor;
};

ss_video_transformer *ss_video_transformer_new(ss_net *n, const ss_module *parent, int index,
                                               const ss_video_transformer_spec *s)
{
    const int width = s->heads * s->head;
    const ss_transformer_block_spec block = {
        .heads = s->heads, .head = s->head, .context = s->context};
    ss_video_transformer *t = ss_net_alloc(n, sizeof *t);

    if (!t)
        return NULL;
    t->m.block = true;
    t->depth = s->depth;
    ss_net_module(n, &t->m, parent, "TransformerSpatioTemporalModel", "attentions.%d", index);
    t->norm = ss_group_norm_layer_new(n, &t->m, "norm", s->channels, GROUPS, 1e-6f);
    t->proj_in = ss_linear_layer_new(n, &t->m, "proj_in", s->channels, width, true);
    t->blocks = ss_net_alloc(n, (size_t)s->depth * sizeof *t->blocks);
    t->temporal = ss_net_alloc(n, (size_t)s->depth * sizeof *t->temporal);
    for (int i = 0; t->blocks && i < s->depth; i++)
        t->blocks[i] = ss_transformer_block_new(n, &t->m, i, &block);
    for (int i = 0; t->temporal && i < s->depth; i++)
        t->temporal[i] = ss_temporal_block_new(n, &t->m, i, s->heads, s->head, s->context);
    t->time_pos_embed = ss_number_embedding_new(n, &t->m, "time_pos_embed", s->channels,
                                                4 * s->channels, s->channels);
    ss_blender_init(n, &t->mixer, &t->m, false);
    t->proj_out = ss_linear_layer_new(n, &t->m, "proj_out", width, s->channels, true);
    ss_net_inner(n, &t->position_sum, &t->m, SS_INNER_SUM, "position_sum");
    t->factor = ss_factor_new(n, &t->m, "residual_scale", ss_net_remedies(n)->residual);
    return t;
}

/* Embeds the numbers of the frames: [N][F][channels] */
static ss_tensor *embed_frames(ss_ctx *c, const ss_video_transformer *t, ss_shape s)
{
    const ss_sinusoid sinusoid = {.width = (int)s.dim[4], .flip = true};
    const int64_t N = s.dim[0], F = s.dim[1], C = s.dim[4];
    float *numbers = ss_alloc((size_t)(N * F), sizeof *numbers);
    float *values = ss_alloc((size_t)(N * F), (size_t)C * sizeof *values);
    ss_tensor *e = NULL;

    if (numbers && values) {
        for (int64_t i = 0; i < N * F; i++)
            numbers[i] = (float)(i % F);
        ss_sinusoid_fill(&sinusoid, numbers, N * F, values);
        e = ss_upload(c, ss_shape_of(N, F, C), values);
        ss_to_sample_type(c, e);
        ss_set(&e, ss_timestep_embedding_run(c, t->time_pos_embed, e, NULL));
    } else {
        ss_ctx_fail(c, SS_NOMEM, "numbers of frames: out of memory");
    }
    ss_free(numbers);
    ss_free(values);
    return e;
}

/* Adds e [N][F][C] to every position of h [N][F][T][C]. */
static ss_tensor *add_frames(ss_ctx *c, const ss_video_transformer *t, const ss_tensor *h,
                             const ss_tensor *e)
{
    const ss_shape s = ss_shape_get(h);
    ss_tensor *y = ss_reshape(c, h, ss_shape_of(s.dim[0] * s.dim[1], s.dim[2], s.dim[3]));
    ss_tensor *row = ss_reshape(c, e, ss_shape_of(s.dim[0] * s.dim[1], s.dim[3]));

    ss_set(&y, ss_add_channels(c, y, row));
    ss_set(&y, ss_reshape(c, y, s));
    ss_release(row);
    ss_see(c, &t->position_sum, SS_PORT_OUTPUT, y);
    return y;
}

ss_tensor *ss_video_transformer_run(ss_ctx *c, const ss_video_transformer *t, const ss_tensor *x,
                                    const ss_tensor *context)
{
    const ss_shape s = ss_shape_get(x);

    ss_enter(c, &t->m, x);
    ss_tensor *h = ss_group_norm_layer_run(c, t->norm, x, NULL, SS_ACT_NONE);
    ss_set(&h, ss_reshape(c, h, ss_shape_of(s.dim[0], s.dim[1], s.dim[2] * s.dim[3], s.dim[4])));
    ss_set(&h, ss_linear_layer_run(c, t->proj_in, h)); /* [N][F][H W][C] */
    ss_tensor *e = embed_frames(c, t, s);
    for (int i = 0; i < t->depth; i++) {
        h = ss_transformer_block_run(c, t->blocks[i], h, context, NULL);
        ss_tensor *m = add_frames(c, t, h, e);

        ss_set(&m, ss_temporal_block_run(c, t->temporal[i], m, context));
        ss_set(&h, ss_blender_run(c, &t->mixer, h, m));
        ss_release(m);
    }
    ss_release(e);
    ss_set(&h, ss_linear_layer_run(c, t->proj_out, h));
    ss_set(&h, ss_reshape(c, h, s));
    ss_factor_run(c, &t->factor, &h);
    ss_set(&h, ss_add(c, h, x, 1));
    return ss_leave(c, &t->m, h);
}
