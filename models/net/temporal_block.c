/* temporal_block.c - see temporal_block.h
 *
 *   h = h + ff_in(norm_in(h))                 [N][F][H W] -> H W rows of F tokens
 *   h = h + attn1(norm1(h))                   each position looks at its other frames
 *   h = h + attn2(norm2(h), context)          and at the text
 *   h = h + ff(norm3(h))
 *
 * As in a spatial block (transformer_block.h) the stream is not normalised.
 */
#include "models/net/temporal_block.h"

#include "models/net/attention.h"
#include "models/net/feed_forward.h"

struct ss_temporal_block {
    ss_module m;
    ss_layer_norm_layer *norm_in, *norm1, *norm2, *norm3;
    ss_feed_forward *ff_in, *ff;
    ss_attention_layer *attn1, *attn2;
};

ss_temporal_block *ss_temporal_block_new(ss_net *n, const ss_module *parent, int index, int heads,
                                         int head, int context)
{
    const int width = heads * head;
    ss_attention_spec attention = {
        .channels = width, .heads = heads, .head = head, .out_scale = 1, .over_frames = true};
    ss_temporal_block *b = ss_net_alloc(n, sizeof *b);

    if (!b)
        return NULL;
    ss_net_module(n, &b->m, parent, "TemporalBasicTransformerBlock",
                  "temporal_transformer_blocks.%d", index);
    b->norm_in = ss_layer_norm_layer_new(n, &b->m, "norm_in", width);
    b->ff_in = ss_feed_forward_new(n, &b->m, "ff_in", width);
    b->norm1 = ss_layer_norm_layer_new(n, &b->m, "norm1", width);
    b->attn1 = ss_attention_layer_new(n, &b->m, "attn1", -1, &attention);
    b->norm2 = ss_layer_norm_layer_new(n, &b->m, "norm2", width);
    attention.context = context;
    b->attn2 = ss_attention_layer_new(n, &b->m, "attn2", -1, &attention);
    b->norm3 = ss_layer_norm_layer_new(n, &b->m, "norm3", width);
    b->ff = ss_feed_forward_new(n, &b->m, "ff", width);
    return b;
}

/* Adds a feed-forward part of the normed stream to *h. */
static void add_feed_forward(ss_ctx *c, const ss_layer_norm_layer *norm, const ss_feed_forward *ff,
                             ss_tensor **h)
{
    ss_tensor *z = ss_layer_norm_layer_run(c, norm, *h);

    ss_set(&z, ss_feed_forward_run(c, ff, z));
    ss_add_to_stream(c, h, z, &ff->m);
}

/* Adds an attention of the normed stream to *h. */
static void add_attention(ss_ctx *c, const ss_layer_norm_layer *norm, const ss_attention_layer *a,
                          const ss_tensor *context, ss_tensor **h)
{
    ss_tensor *z = ss_layer_norm_layer_run(c, norm, *h);

    ss_set(&z, ss_attention_layer_run(c, a, z, context, NULL));
    ss_add_to_stream(c, h, z, ss_attention_layer_module(a));
}

ss_tensor *ss_temporal_block_run(ss_ctx *c, const ss_temporal_block *b, const ss_tensor *x,
                                 const ss_tensor *context)
{
    static const int swap[] = {0, 2, 1, 3}; /* frames and positions */

    ss_enter(c, &b->m, x);
    ss_tensor *h = ss_permute(c, x, swap); /* [N][H W][F][width] */
    add_feed_forward(c, b->norm_in, b->ff_in, &h);
    add_attention(c, b->norm1, b->attn1, NULL, &h);
    add_attention(c, b->norm2, b->attn2, context, &h);
    add_feed_forward(c, b->norm3, b->ff, &h);
    ss_set(&h, ss_permute(c, h, swap));
    return ss_leave(c, &b->m, h);
}
