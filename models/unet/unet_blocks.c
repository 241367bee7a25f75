/* unet_blocks.c - see unet_blocks.h
 *
 *   encoder   for each layer:  x = attention(resnet(x)), push x
 *             x = down(x), push x
 *   middle    x = resnet(x);  for each further layer:  x = resnet(attention(x))
 *   decoder   for each layer:  x = attention(resnet([x, k pop])); k is 1 but for a remedy
 *             x = up(x)
 *
 * Of videos, layers that see frames together stand after residual blocks and attentions (motion.h).
 *
 * NCSN++ (Song et al. 2021) runs a picture beside the network: the encoder halves the input
 * with a FIR filter and adds a projection of it to x; the decoder adds up pictures made of x.
 */
#include "models/unet/unet_blocks.h"

#include "base/mem.h"
#include "kernels/context.h"
#include "models/net/magnitude.h"
#include "models/net/transformer.h"
#include "models/net/video_resnet.h"
#include "models/net/video_transformer.h"

#include <math.h>
#include <string.h>

struct ss_unet_level {
    ss_module m;
    bool magnitude; /* magnitude.h */
    ss_block_spec spec;
    ss_resnet *resnets[SS_MAX_LAYERS]; /* these, or the next */
    ss_video_resnet *video_resnets[SS_MAX_LAYERS];
    ss_factor skips[SS_MAX_LAYERS]; /* decoder: scales the skip before it is concatenated */
    int n_attentions;
    ss_transformer *transformers[SS_MAX_LAYERS]; /* these, or one of the next, or none */
    ss_video_transformer *video_transformers[SS_MAX_LAYERS];
    ss_attention_layer *attentions[SS_MAX_LAYERS];

    ss_motion after_resnet[SS_MAX_LAYERS], after_attention[SS_MAX_LAYERS];

    ss_resampler *conv; /* at most one of these two */
    ss_resnet *resnet;
    ss_conv_layer *skip_conv; /* NCSN++: picture to features, or back */
    ss_module image_sum;      /* inner value of such a decoder: the pictures added up */
    ss_group_norm_layer *skip_norm;
};

enum { IMAGE_CHANNELS = 3 };

static const ss_block_type down_types[] = {
    {"DownBlock2D", SS_ATTEND_NONE, SS_RESAMPLE_CONV, false},
    {"AttnDownBlock2D", SS_ATTEND_SELF, SS_RESAMPLE_CONV, false},
    {"CrossAttnDownBlock2D", SS_ATTEND_TRANSFORMER, SS_RESAMPLE_CONV, false},
    {"ResnetDownsampleBlock2D", SS_ATTEND_NONE, SS_RESAMPLE_RESNET, true},
    {"SimpleCrossAttnDownBlock2D", SS_ATTEND_ADDED, SS_RESAMPLE_RESNET, true},
    {"SkipDownBlock2D", SS_ATTEND_NONE, SS_RESAMPLE_FIR, false},
    {"AttnSkipDownBlock2D", SS_ATTEND_SELF, SS_RESAMPLE_FIR, false},
    {0},
};
static const ss_block_type up_types[] = {
    {"UpBlock2D", SS_ATTEND_NONE, SS_RESAMPLE_CONV, false},
    {"AttnUpBlock2D", SS_ATTEND_SELF, SS_RESAMPLE_CONV, false},
    {"CrossAttnUpBlock2D", SS_ATTEND_TRANSFORMER, SS_RESAMPLE_CONV, false},
    {"ResnetUpsampleBlock2D", SS_ATTEND_NONE, SS_RESAMPLE_RESNET, true},
    {"SimpleCrossAttnUpBlock2D", SS_ATTEND_ADDED, SS_RESAMPLE_RESNET, true},
    {"SkipUpBlock2D", SS_ATTEND_NONE, SS_RESAMPLE_FIR, false},
    {"AttnSkipUpBlock2D", SS_ATTEND_SELF, SS_RESAMPLE_FIR, false},
    {0},
};
static const ss_block_type mid_types[] = {
    {"UNetMidBlock2D", SS_ATTEND_SELF, SS_RESAMPLE_CONV, false},
    {"UNetMidBlock2DCrossAttn", SS_ATTEND_TRANSFORMER, SS_RESAMPLE_CONV, false},
    {"UNetMidBlock2DSimpleCrossAttn", SS_ATTEND_ADDED, SS_RESAMPLE_CONV, false},
    {0},
};

static const ss_block_type *find_type(const ss_block_type *types, const char *name)
{
    static const char old[] = "UNetRes";

    if (strncmp(name, old, strlen(old)) == 0)
        name += strlen(old);
    for (; types->name; types++) {
        if (strcmp(name, types->name) == 0)
            return types;
    }
    return NULL;
}

const ss_block_type *ss_down_block_type(const char *name)
{
    return find_type(down_types, name);
}

const ss_block_type *ss_up_block_type(const char *name)
{
    return find_type(up_types, name);
}

const ss_block_type *ss_mid_block_type(const char *name)
{
    return find_type(mid_types, name);
}

void ss_skips_push(ss_ctx *c, ss_skips *s, const ss_tensor *x)
{
    if (s->n == s->cap) {
        size_t cap = (size_t)s->cap;
        ss_tensor **grown = ss_grow(s->items, &cap, cap + 1, sizeof *grown);

        if (!grown) {
            ss_ctx_fail(c, SS_NOMEM, "skips: out of memory");
            return;
        }
        s->items = grown;
        s->cap = (int)cap;
    }
    s->items[s->n++] = ss_retain(x);
}

/* Returns the last skip, the caller's. */
static ss_tensor *pop_skip(ss_ctx *c, ss_skips *s)
{
    if (s->n == 0)
        return ss_ctx_fail(c, SS_SHAPE, "the decoder asks for more skips than the encoder made");
    return s->items[--s->n];
}

/* Returns the last skip, which stays there; NULL when there is none. */
static const ss_tensor *next_skip(const ss_skips *s)
{
    return s->n ? s->items[s->n - 1] : NULL;
}

void ss_skips_release(ss_skips *s)
{
    while (s->n)
        ss_release(s->items[--s->n]);
    ss_free(s->items);
    *s = (ss_skips){0};
}

int ss_unet_quarter_groups(int channels)
{
    return channels / 4 < SS_UNET_GROUPS ? channels / 4 : SS_UNET_GROUPS;
}

/* Returns the groups of a norm; NCSN++ has a quarter of the channels, at most 32. */
static int groups_of(const ss_block_spec *s, int channels)
{
    return s->groups ? s->groups : ss_unet_quarter_groups(channels);
}

static ss_resnet_spec resnet_spec(const ss_block_spec *s, int in, int out)
{
    return (ss_resnet_spec){
        .in = in,
        .out = out,
        .temb = s->temb,
        .groups = groups_of(s, in),
        .groups_out = groups_of(s, out),
        .eps = s->eps,
        .act = s->act,
        .scale_shift = s->scale_shift,
        .skip_time_act = s->skip_time_act,
        .out_scale = s->out_scale,
    };
}

/* Makes residual block i. */
static void new_resnet(ss_net *n, ss_unet_level *b, int i, const ss_resnet_spec *r)
{
    const ss_video_resnet_spec mixed = {.spatial = *r, .temporal_eps = r->eps};

    if (b->spec.mixed)
        b->video_resnets[i] = ss_video_resnet_new(n, &b->m, i, &mixed);
    else
        b->resnets[i] = ss_resnet_new(n, &b->m, "resnets", i, r);
}

/* Returns the module of residual block i; NULL after an error. */
static const ss_module *resnet_module(const ss_unet_level *b, int i)
{
    return b->video_resnets[i] ? ss_video_resnet_module(b->video_resnets[i])
           : b->resnets[i]     ? ss_resnet_module(b->resnets[i])
                               : NULL;
}

/* Makes the block's attentions. There are as many as residual blocks, except in a middle block and
 * in AttnSkipUpBlock2D, which has one. */
static void new_attentions(ss_net *n, ss_unet_level *b, int count)
{
    const ss_block_spec *s = &b->spec;
    const bool added = s->type->attend == SS_ATTEND_ADDED;

    if (s->type->attend == SS_ATTEND_NONE || !s->attends)
        return;
    b->n_attentions = count;
    for (int i = 0; i < count; i++) {
        if (s->mixed) {
            const ss_video_transformer_spec t = {s->out, s->heads, s->head, s->depth[i],
                                                 s->context};

            b->video_transformers[i] = ss_video_transformer_new(n, &b->m, i, &t);
        } else if (s->type->attend == SS_ATTEND_TRANSFORMER) {
            const ss_transformer_spec t = {
                .channels = s->out,
                .heads = s->heads,
                .head = s->head,
                .depth = s->depth[i],
                .context = s->context,
                .groups = s->groups,
                .linear_projection = s->linear_projection,
                .only_cross = s->only_cross,
                .upcast = s->upcast_attention,
            };
            b->transformers[i] = ss_transformer_new(n, &b->m, i, &t);
        } else {
            const ss_attention_spec a = {
                .channels = s->out,
                .heads = s->heads,
                .head = s->head,
                .context = added ? s->context : 0,
                .added = added,
                .only_cross = added && s->only_cross,
                .bias = true,
                .groups = s->attention_groups,
                .eps =
                    added ? 1e-5f : s->eps, /* the reference does not set that of the added form */
                .norm_cross = added ? s->norm_cross : SS_NORM_CROSS_NONE,
                .residual = true,
                .out_scale = added ? 1 : s->out_scale,
            };
            b->attentions[i] = ss_attention_layer_new(n, &b->m, "attentions", i, &a);
        }
    }
}

/* Makes the motion layers of `resnets` residual blocks and `attentions` places for an attention. */
static void new_motion(ss_net *n, ss_unet_level *b, int resnets, int attentions)
{
    const ss_block_spec *s = &b->spec;

    for (int i = 0; i < resnets; i++)
        b->after_resnet[i] = ss_motion_new(n, &b->m, i, &s->after_resnet);
    for (int i = 0; i < attentions; i++)
        b->after_attention[i] = ss_motion_new(n, &b->m, i, &s->after_attention);
}

static ss_unet_level *level_new(ss_net *n, const ss_block_spec *s)
{
    ss_unet_level *b = ss_net_alloc(n, sizeof *b);

    if (b) {
        b->spec = *s;
        b->magnitude = ss_net_remedies(n)->magnitude;
    }
    return b;
}

ss_unet_level *ss_down_block_new(ss_net *n, const ss_module *parent, int index,
                                 const ss_block_spec *s)
{
    const bool fir = s->resampling == SS_RESAMPLE_FIR;
    ss_unet_level *b = level_new(n, s);

    if (!b)
        return NULL;
    ss_net_module(n, &b->m, parent, s->type->name, "down_blocks.%d", index);
    new_attentions(n, b, s->layers);
    for (int i = 0; i < s->layers; i++) {
        ss_resnet_spec r = resnet_spec(s, i ? s->out : s->in, s->out);

        r.encoder = true;
        new_resnet(n, b, i, &r);
    }
    new_motion(n, b, s->layers, s->layers);
    if (!s->resamples)
        return b;
    if (s->resampling == SS_RESAMPLE_CONV) {
        b->conv = ss_downsampler_new(n, &b->m, s->out, s->downsample_padding);
        return b;
    }
    ss_resnet_spec r = resnet_spec(s, s->out, s->out);
    r.direction = SS_HALVE;
    r.encoder = true;
    r.fir = r.shortcut = fir;
    if (fir) {
        b->resnet = ss_resnet_new(n, &b->m, "resnet_down", -1, &r);
        b->skip_conv =
            ss_conv_layer_new(n, &b->m, "skip_conv", IMAGE_CHANNELS, s->out, 1, ss_conv_same(0));
    } else {
        b->resnet = ss_resnet_new(n, &b->m, "downsamplers", 0, &r);
    }
    return b;
}

ss_unet_level *ss_up_block_new(ss_net *n, const ss_module *parent, int index,
                               const ss_block_spec *s)
{
    const bool fir = s->resampling == SS_RESAMPLE_FIR;
    ss_unet_level *b = level_new(n, s);

    if (!b)
        return NULL;
    ss_net_module(n, &b->m, parent, s->type->name, "up_blocks.%d", index);
    new_attentions(n, b, fir ? 1 : s->layers);
    for (int i = 0; i < s->layers; i++) {
        const int before = i ? s->out : s->in, skip = i == s->layers - 1 ? s->skip : s->out;
        ss_resnet_spec r = resnet_spec(s, before + skip, s->out);

        /* A bracket is missing in the reference's formula here, and checkpoints are trained with
         * it. */
        if (!s->groups && s->type->attend == SS_ATTEND_SELF)
            r.groups = ss_unet_quarter_groups(4 * before + skip);
        new_resnet(n, b, i, &r);
        if (resnet_module(b, i))
            b->skips[i] =
                ss_factor_new(n, resnet_module(b, i), "skip_scale", ss_net_remedies(n)->skip);
    }
    new_motion(n, b, s->layers, s->layers);
    if (!s->resamples)
        return b;
    if (s->resampling == SS_RESAMPLE_CONV) {
        b->conv = ss_upsampler_new(n, &b->m, s->out);
        return b;
    }
    ss_resnet_spec r = resnet_spec(s, s->out, s->out);
    r.direction = SS_DOUBLE;
    r.fir = r.shortcut = fir;
    if (fir) {
        b->resnet = ss_resnet_new(n, &b->m, "resnet_up", -1, &r);
        b->skip_conv =
            ss_conv_layer_new(n, &b->m, "skip_conv", s->out, IMAGE_CHANNELS, 3, ss_conv_same(1));
        ss_net_inner(n, &b->image_sum, &b->m, SS_INNER_SUM, "image_sum");
        b->skip_norm =
            ss_group_norm_layer_new(n, &b->m, "skip_norm", s->out, groups_of(s, s->out), s->eps);
    } else {
        b->resnet = ss_resnet_new(n, &b->m, "upsamplers", 0, &r);
    }
    return b;
}

ss_unet_level *ss_mid_block_new(ss_net *n, const ss_module *parent, const ss_block_spec *s)
{
    ss_unet_level *b = level_new(n, s);

    if (!b)
        return NULL;
    ss_net_module(n, &b->m, parent, s->type->name, "mid_block");
    new_attentions(n, b, s->layers - 1);
    for (int i = 0; i < s->layers; i++) {
        const ss_resnet_spec r = resnet_spec(s, s->out, s->out);

        new_resnet(n, b, i, &r);
    }
    new_motion(n, b, s->layers, s->after_attention.after_last ? s->layers : s->layers - 1);
    return b;
}

/* Applies attention i to x, if the block has one. */
static void attend(ss_ctx *c, const ss_unet_level *b, int i, ss_tensor **x, const ss_steering *with)
{
    if (i >= b->n_attentions)
        return;
    if (b->video_transformers[i])
        ss_set(x, ss_video_transformer_run(c, b->video_transformers[i], *x, with->context));
    else if (b->transformers[i])
        ss_set(x, ss_transformer_run(c, b->transformers[i], *x, with->context, with->mask));
    else if (b->spec.type->attend == SS_ATTEND_ADDED)
        ss_set(x, ss_attention_layer_run(c, b->attentions[i], *x, with->context, with->mask));
    else
        ss_set(x, ss_attention_layer_run(c, b->attentions[i], *x, NULL, NULL));
}

/* Halves the picture and adds its projection to x. */
static void add_image(ss_ctx *c, const ss_unet_level *b, ss_tensor **x, ss_tensor **image)
{
    ss_set(image, ss_fir(c, *image, SS_HALVE)); /* [N][H/2][W/2][3] */
    ss_tensor *features = ss_conv_layer_run(c, b->skip_conv, *image);
    ss_set(x, ss_add(c, features, *x, 1));
    ss_release(features);
}

/* Runs residual block i on *x. */
static void run_resnet(ss_ctx *c, const ss_unet_level *b, int i, ss_tensor **x,
                       const ss_steering *with)
{
    ss_set(x, b->video_resnets[i] ? ss_video_resnet_run(c, b->video_resnets[i], *x, with->temb)
                                  : ss_resnet_run(c, b->resnets[i], *x, with->temb));
    ss_motion_run(c, &b->after_resnet[i], x);
}

ss_tensor *ss_down_block_run(ss_ctx *c, const ss_unet_level *b, ss_tensor *x,
                             const ss_steering *with, ss_skips *skips, ss_tensor **image)
{
    ss_enter(c, &b->m, x);
    for (int i = 0; i < b->spec.layers; i++) {
        run_resnet(c, b, i, &x, with);
        attend(c, b, i, &x, with);
        ss_motion_run(c, &b->after_attention[i], &x);
        ss_skips_push(c, skips, x);
    }
    if (b->conv)
        ss_set(&x, ss_downsampler_run(c, b->conv, x));
    else if (b->resnet)
        ss_set(&x, ss_resnet_run(c, b->resnet, x, with->temb));
    if (b->skip_conv)
        add_image(c, b, &x, image);
    if (b->spec.resamples)
        ss_skips_push(c, skips, x);
    return ss_leave(c, &b->m, x);
}

/* Doubles the picture so far and adds what this level sees of it. */
static void draw_image(ss_ctx *c, const ss_unet_level *b, const ss_tensor *x, ss_tensor **image)
{
    if (*image)
        ss_set(image, ss_fir(c, *image, SS_DOUBLE));
    if (!b->skip_conv)
        return;
    ss_tensor *more = ss_group_norm_layer_run(c, b->skip_norm, x, NULL, SS_ACT_SILU);
    ss_set(&more, ss_conv_layer_run(c, b->skip_conv, more)); /* [N][H][W][3] */
    if (*image) {
        ss_set(&more, ss_add(c, *image, more, 1));
        ss_see(c, &b->image_sum, SS_PORT_OUTPUT, more);
    }
    ss_set(image, more);
}

ss_tensor *ss_up_block_run(ss_ctx *c, const ss_unet_level *b, ss_tensor *x, const ss_steering *with,
                           ss_skips *skips, ss_tensor **image)
{
    const bool fir = b->spec.resampling == SS_RESAMPLE_FIR;

    ss_enter(c, &b->m, x);
    for (int i = 0; i < b->spec.layers; i++) {
        ss_tensor *skip = pop_skip(c, skips); /* [N][H][W][skip] */

        ss_factor_run(c, &b->skips[i], &skip);
        ss_see(c, resnet_module(b, i), SS_PORT_SKIP, skip);
        ss_set(&x, b->magnitude ? ss_mp_concat(c, x, skip)
                                : ss_concat(c, x, skip, -1)); /* [N][H][W][in+skip] */
        ss_release(skip);
        run_resnet(c, b, i, &x, with); /* [N][H][W][out] */
        if (!fir)
            attend(c, b, i, &x, with);
        ss_motion_run(c, &b->after_attention[i], &x);
    }
    if (fir) {
        attend(c, b, 0, &x, with);
        draw_image(c, b, x, image);
    }
    if (b->conv) {
        /* Upsampling goes to the size of the next skip: twice ours, or one less where halving
         * rounded up. */
        const ss_tensor *next = next_skip(skips);

        ss_set(&x, ss_upsampler_run(c, b->conv, x, ss_dim(next, -3), ss_dim(next, -2)));
    } else if (b->resnet) {
        ss_set(&x, ss_resnet_run(c, b->resnet, x, with->temb));
    }
    return ss_leave(c, &b->m, x);
}

ss_tensor *ss_mid_block_run(ss_ctx *c, const ss_unet_level *b, ss_tensor *x,
                            const ss_steering *with)
{
    ss_enter(c, &b->m, x);
    run_resnet(c, b, 0, &x, with);
    for (int i = 1; i < b->spec.layers; i++) {
        attend(c, b, i - 1, &x, with);
        ss_motion_run(c, &b->after_attention[i - 1], &x);
        run_resnet(c, b, i, &x, with);
    }
    ss_motion_run(c, &b->after_attention[b->spec.layers - 1], &x);
    return ss_leave(c, &b->m, x);
}
