/* transformer_block.c - see transformer_block.h
 *
 *   h = h + attn1(norm1(h))                   self-attention
 *   h = h + attn2(norm2(h), context)          cross-attention, or self-attention once more
 *   h = h + ff(norm3(h))                      ff(z) = net.2(geglu(net.0.proj(z)))
 *
 * With positions, pos_embed adds pe to what norm1 and norm2 give:
 *
 *   pe[t][2i] = sin(t f_i), pe[t][2i+1] = cos(t f_i), f_i = exp(-2i ln(10000) / width)
 *
 * The residual stream h is not normalised: it may grow from block to block, and the port
 * `residual` of attn1, attn2 and ff shows it after each addition.
 */
#include "models/net/transformer_block.h"

#include "models/net/attention.h"
#include "models/net/feed_forward.h"
#include "models/net/positions.h"

struct ss_transformer_block {
    ss_module m;
    ss_layer_norm_layer *norm1, *norm2, *norm3;
    ss_attention_layer *attn1, *attn2;
    ss_feed_forward *ff;
    ss_positions *pos_embed; /* or NULL */
    bool only_cross, double_self;
};

ss_transformer_block *ss_transformer_block_new(ss_net *n, const ss_module *parent, int index,
                                               const ss_transformer_block_spec *s)
{
    const int width = s->heads * s->head;
    ss_attention_spec attention = {.channels = width,
                                   .heads = s->heads,
                                   .head = s->head,
                                   .out_scale = 1,
                                   .upcast = s->upcast,
                                   .over_frames = s->over_frames};
    ss_transformer_block *b = ss_net_alloc(n, sizeof *b);

    if (!b)
        return NULL;
    b->only_cross = s->only_cross;
    b->double_self = s->double_self;
    ss_net_module(n, &b->m, parent, "BasicTransformerBlock", "transformer_blocks.%d", index);
    if (s->positions)
        b->pos_embed = ss_positions_new(n, &b->m, "pos_embed", s->positions, width);
    b->norm1 = ss_layer_norm_layer_new(n, &b->m, "norm1", width);
    attention.context = s->only_cross ? s->context : 0;
    b->attn1 = ss_attention_layer_new(n, &b->m, "attn1", -1, &attention);
    b->norm2 = ss_layer_norm_layer_new(n, &b->m, "norm2", width);
    attention.context = s->double_self ? 0 : s->context;
    b->attn2 = ss_attention_layer_new(n, &b->m, "attn2", -1, &attention);
    b->norm3 = ss_layer_norm_layer_new(n, &b->m, "norm3", width);
    b->ff = ss_feed_forward_new(n, &b->m, "ff", width);
    return b;
}

ss_tensor *ss_transformer_block_run(ss_ctx *c, const ss_transformer_block *b, ss_tensor *h,
                                    const ss_tensor *context, const ss_tensor *mask)
{
    ss_tensor *z;

    ss_enter(c, &b->m, h);
    z = ss_layer_norm_layer_run(c, b->norm1, h);
    if (b->pos_embed)
        ss_set(&z, ss_positions_run(c, b->pos_embed, z));
    /* The mask of the context does not reach attn1, cross or not, as in the reference. */
    ss_set(&z, ss_attention_layer_run(c, b->attn1, z, b->only_cross ? context : NULL, NULL));
    ss_add_to_stream(c, &h, z, ss_attention_layer_module(b->attn1));

    z = ss_layer_norm_layer_run(c, b->norm2, h);
    if (b->pos_embed)
        ss_set(&z, ss_positions_run(c, b->pos_embed, z));
    ss_set(&z, ss_attention_layer_run(c, b->attn2, z, b->double_self ? NULL : context,
                                      b->double_self ? NULL : mask));
    ss_add_to_stream(c, &h, z, ss_attention_layer_module(b->attn2));

    z = ss_layer_norm_layer_run(c, b->norm3, h);
    ss_set(&z, ss_feed_forward_run(c, b->ff, z));
    ss_add_to_stream(c, &h, z, &b->ff->m);
    return ss_leave(c, &b->m, h);
}
