/* animatediff.c - see animatediff.h
 *
 *   h = proj_in(norm(x))              [N][H W][F][C]: the frames of each position are its tokens
 *   h = block(h)                      transformer_block.h, both attentions over the frames; the
 *                                     positions of frames are added after norm1 and after norm2
 *   y = x + proj_out(h)
 */
#include "models/video/animatediff.h"

#include "kernels/context.h"
#include "models/net/transformer_block.h"

typedef struct {
    ss_module m;
    ss_group_norm_layer *norm;
    ss_linear_layer *proj_in, *proj_out;
    ss_transformer_block **blocks; /* [depth] */
    int depth, max_frames;
} animatediff;

#define EPS 1e-6f

static void *make(ss_net *n, const ss_module *parent, int index, const ss_motion_spec *s)
{
    const ss_animatediff_options *o = s->options;
    const int width = s->heads * s->head;
    const ss_transformer_block_spec block = {.heads = s->heads,
                                             .head = s->head,
                                             .double_self = true,
                                             .positions = o->max_frames,
                                             .over_frames = true};
    animatediff *l = ss_net_alloc(n, sizeof *l);

    if (!l)
        return NULL;
    l->m.block = true;
    l->depth = o->depth[index];
    l->max_frames = o->max_frames;
    ss_net_module(n, &l->m, parent, "AnimateDiffTransformer3D", "%s.%d", s->list, index);
    l->norm = ss_group_norm_layer_new(n, &l->m, "norm", s->channels, s->groups, EPS);
    if (l->norm)
        l->norm->joint = !o->per_frame;
    l->proj_in = ss_linear_layer_new(n, &l->m, "proj_in", s->channels, width, true);
    l->blocks = ss_net_alloc(n, (size_t)l->depth * sizeof *l->blocks);
    for (int i = 0; l->blocks && i < l->depth; i++)
        l->blocks[i] = ss_transformer_block_new(n, &l->m, i, &block);
    l->proj_out = ss_linear_layer_new(n, &l->m, "proj_out", width, s->channels, true);
    return l;
}

/* Swaps frames and positions: [N][A][B][C] -> [N][B][A][C] */
static void swap(ss_ctx *c, ss_tensor **h)
{
    static const int axes[] = {0, 2, 1, 3};

    ss_set(h, ss_permute(c, *h, axes));
}

static ss_tensor *run(ss_ctx *c, const void *layer, const ss_tensor *x)
{
    const animatediff *l = layer;
    const ss_shape s = ss_shape_get(x); /* [N][F][H][W][C] */
    const int64_t N = s.dim[0], F = s.dim[1], P = s.dim[2] * s.dim[3];

    if (F > l->max_frames)
        return ss_ctx_fail(c, SS_USAGE,
                           "--frames: the motion modules know the positions of %d frames "
                           "(motion_max_seq_length), not of %lld",
                           l->max_frames, (long long)F);
    ss_enter(c, &l->m, x);
    ss_tensor *h = ss_group_norm_layer_run(c, l->norm, x, NULL, SS_ACT_NONE);
    ss_set(&h, ss_reshape(c, h, ss_shape_of(N, F, P, ss_dim(h, -1))));
    swap(c, &h);
    ss_set(&h, ss_linear_layer_run(c, l->proj_in, h)); /* [N][P][F][width] */
    for (int i = 0; i < l->depth; i++)
        h = ss_transformer_block_run(c, l->blocks[i], h, NULL, NULL);
    ss_set(&h, ss_linear_layer_run(c, l->proj_out, h)); /* [N][P][F][C] */
    swap(c, &h);
    ss_set(&h, ss_reshape(c, h, s));
    ss_set(&h, ss_add(c, h, x, 1));
    return ss_leave(c, &l->m, h);
}

const ss_motion_kind ss_animatediff_kind = {.make = make, .run = run};
