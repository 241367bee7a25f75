/* transformer.c - see transformer.h
 *
 *   h = proj_in(norm(x))                      T = H W tokens
 *   h = h + attn1(norm1(h))                   self-attention
 *   h = h + attn2(norm2(h), context)          cross-attention      (for each block)
 *   h = h + ff(norm3(h))                      ff(z) = net.2(geglu(net.0.proj(z)))
 *   y = x + k proj_out(h)                     k is 1 but for a remedy (remedies.h)
 *
 * The residual stream h is not normalised: it may grow from block to block, and the port
 * `residual` of attn1, attn2 and ff shows it after each addition.
 */
#include "models/net/transformer.h"

#include "models/net/attention.h"

/* FeedForward with GEGLU: [N][T][width] -> [N][T][width] through 4 width */
typedef struct {
    ss_module m, geglu; /* "ff", "ff.net.0" */
    ss_linear_layer *proj, *out;
} feed_forward;

typedef struct {
    ss_module m;
    ss_layer_norm_layer *norm1, *norm2, *norm3;
    ss_attention_layer *attn1, *attn2;
    feed_forward *ff;
    bool only_cross;
} block;

struct ss_transformer {
    ss_module m;
    ss_group_norm_layer *norm;
    ss_linear_layer *linear_in, *linear_out; /* projections: these two, or the next two */
    ss_conv_layer *conv_in, *conv_out;
    block **blocks; /* [depth] */
    int depth;
    ss_factor factor;
};

static feed_forward *feed_forward_new(ss_net *n, const ss_module *parent, int width)
{
    feed_forward *f = ss_net_alloc(n, sizeof *f);

    if (!f)
        return NULL;
    ss_net_module(n, &f->m, parent, "FeedForward", "ff");
    ss_net_module(n, &f->geglu, &f->m, "GEGLU", "net.0");
    f->proj = ss_linear_layer_new(n, &f->geglu, "proj", width, 8 * width, true);
    f->out = ss_linear_layer_new(n, &f->m, "net.2", 4 * width, width, true);
    return f;
}

static ss_tensor *feed_forward_run(ss_ctx *c, const feed_forward *f, const ss_tensor *x)
{
    ss_enter(c, &f->m, x);
    ss_enter(c, &f->geglu, x);
    ss_tensor *h = ss_linear_layer_run(c, f->proj, x); /* [N][T][8 width]: values and gates */
    ss_set(&h, ss_geglu(c, h));                        /* [N][T][4 width] */
    h = ss_leave(c, &f->geglu, h);
    ss_set(&h, ss_linear_layer_run(c, f->out, h)); /* [N][T][width] */
    return ss_leave(c, &f->m, h);
}

static block *block_new(ss_net *n, const ss_module *parent, int index, const ss_transformer_spec *s)
{
    const int width = s->heads * s->head;
    ss_attention_spec attention = {
        .channels = width, .heads = s->heads, .head = s->head, .out_scale = 1, .upcast = s->upcast};
    block *b = ss_net_alloc(n, sizeof *b);

    if (!b)
        return NULL;
    b->only_cross = s->only_cross;
    ss_net_module(n, &b->m, parent, "BasicTransformerBlock", "transformer_blocks.%d", index);
    b->norm1 = ss_layer_norm_layer_new(n, &b->m, "norm1", width);
    attention.context = s->only_cross ? s->context : 0;
    b->attn1 = ss_attention_layer_new(n, &b->m, "attn1", -1, &attention);
    b->norm2 = ss_layer_norm_layer_new(n, &b->m, "norm2", width);
    attention.context = s->context;
    b->attn2 = ss_attention_layer_new(n, &b->m, "attn2", -1, &attention);
    b->norm3 = ss_layer_norm_layer_new(n, &b->m, "norm3", width);
    b->ff = feed_forward_new(n, &b->m, width);
    return b;
}

/* Adds branch to *h; hooks see the sum at the module that the branch came from. Takes branch. */
static void add_to_stream(ss_ctx *c, ss_tensor **h, ss_tensor *branch, const ss_module *from)
{
    ss_set(h, ss_add(c, branch, *h, 1));
    ss_release(branch);
    ss_see(c, from, SS_PORT_RESIDUAL, *h);
}

/* Runs one block; takes h [N][T][width]. */
static ss_tensor *block_run(ss_ctx *c, const block *b, ss_tensor *h, const ss_tensor *context,
                            const ss_tensor *mask)
{
    ss_tensor *z;

    ss_enter(c, &b->m, h);
    z = ss_layer_norm_layer_run(c, b->norm1, h);
    /* The mask of the context does not reach attn1, cross or not, as in the reference. */
    ss_set(&z, ss_attention_layer_run(c, b->attn1, z, b->only_cross ? context : NULL, NULL));
    add_to_stream(c, &h, z, ss_attention_layer_module(b->attn1));

    z = ss_layer_norm_layer_run(c, b->norm2, h);
    ss_set(&z, ss_attention_layer_run(c, b->attn2, z, context, mask));
    add_to_stream(c, &h, z, ss_attention_layer_module(b->attn2));

    z = ss_layer_norm_layer_run(c, b->norm3, h);
    ss_set(&z, feed_forward_run(c, b->ff, z));
    add_to_stream(c, &h, z, &b->ff->m);
    return ss_leave(c, &b->m, h);
}

ss_transformer *ss_transformer_new(ss_net *n, const ss_module *parent, int index,
                                   const ss_transformer_spec *s)
{
    const int width = s->heads * s->head;
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
        t->blocks[i] = block_new(n, &t->m, i, s);
    if (s->linear_projection)
        t->linear_out = ss_linear_layer_new(n, &t->m, "proj_out", width, s->channels, true);
    else
        t->conv_out =
            ss_conv_layer_new(n, &t->m, "proj_out", width, s->channels, 1, ss_conv_same(0));
    t->factor = ss_factor_new(n, &t->m, "residual_scale", ss_net_remedies(n)->residual);
    return t;
}

ss_tensor *ss_transformer_run(ss_ctx *c, const ss_transformer *t, const ss_tensor *x,
                              const ss_tensor *context, const ss_tensor *mask)
{
    const int64_t N = ss_dim(x, 0), H = ss_dim(x, 1), W = ss_dim(x, 2);

    ss_enter(c, &t->m, x);
    ss_tensor *h = ss_group_norm_layer_run(c, t->norm, x, NULL, SS_ACT_NONE); /* [N][H][W][C] */
    if (t->conv_in)
        ss_set(&h, ss_conv_layer_run(c, t->conv_in, h)); /* [N][H][W][width] */
    ss_set(&h, ss_reshape(c, h, ss_shape_of(N, H * W, ss_dim(h, -1))));
    if (t->linear_in)
        ss_set(&h, ss_linear_layer_run(c, t->linear_in, h)); /* [N][T][width] */

    for (int i = 0; i < t->depth; i++)
        h = block_run(c, t->blocks[i], h, context, mask);

    if (t->linear_out)
        ss_set(&h, ss_linear_layer_run(c, t->linear_out, h)); /* [N][T][C] */
    ss_set(&h, ss_reshape(c, h, ss_shape_of(N, H, W, ss_dim(h, -1))));
    if (t->conv_out)
        ss_set(&h, ss_conv_layer_run(c, t->conv_out, h)); /* [N][H][W][C] */
    ss_factor_run(c, &t->factor, &h);
    ss_set(&h, ss_add(c, h, x, 1));
    return ss_leave(c, &t->m, h);
}
