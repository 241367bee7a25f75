/* vae_coder.c - see vae_coder.h
 *
 * Modules are made in the order in which PyTorch lists them: the decoder of pictures has its levels
 * before its middle, the decoder of videos after.
 */
#include "models/vae/vae_coder.h"

#include "models/net/attention.h"
#include "models/net/time_conv.h"
#include "models/net/video_resnet.h"

#define EPS 1e-6f
#define TEMPORAL_EPS 1e-5f

/* A level, or the middle. */
typedef struct {
    ss_module m;
    int layers;
    ss_resnet *resnets[SS_VAE_MAX_LAYERS];             /* these, */
    ss_video_resnet *video_resnets[SS_VAE_MAX_LAYERS]; /* or these */
    int n_attentions;
    ss_attention_layer *attentions[SS_VAE_MAX_LAYERS];
    ss_resampler *down, *up; /* at most one of the two */
} level;

struct ss_vae_coder {
    ss_module m;
    ss_conv_layer *conv_in, *conv_out;
    int n_levels;
    level levels[SS_VAE_MAX_LEVELS], mid;
    bool decoder;
    ss_group_norm_layer *conv_norm_out;
    ss_time_conv *time_conv_out; /* or NULL */
};

static void new_attention(ss_net *n, level *l, int channels, int groups)
{
    const ss_attention_spec s = {
        .channels = channels,
        .heads = 1,
        .head = channels,
        .bias = true,
        .groups = groups,
        .eps = EPS,
        .residual = true,
        .out_scale = 1,
    };
    const int i = l->n_attentions++;

    l->attentions[i] = ss_attention_layer_new(n, &l->m, "attentions", i, &s);
}

static void new_resnet(ss_net *n, level *l, int in, int out, const ss_vae_config *v, bool video)
{
    const ss_resnet_spec s = {
        .in = in,
        .out = out,
        .groups = v->groups,
        .groups_out = v->groups,
        .eps = EPS,
        .act = v->act,
        .out_scale = 1,
    };
    const int i = l->layers++;

    const ss_video_resnet_spec together = {s, TEMPORAL_EPS, true};

    if (video)
        l->video_resnets[i] = ss_video_resnet_new(n, &l->m, i, &together);
    else
        l->resnets[i] = ss_resnet_new(n, &l->m, "resnets", i, &s);
}

/* Makes the residual blocks of a level, and the attentions that go between them. */
static void new_layers(ss_net *n, level *l, int in, int out, int layers, int attentions,
                       const ss_vae_config *v, bool video)
{
    for (int i = 0; i < attentions; i++)
        new_attention(n, l, out, v->groups);
    for (int i = 0; i < layers; i++)
        new_resnet(n, l, i ? out : in, out, v, video);
}

static void new_mid(ss_net *n, ss_vae_coder *k, const ss_vae_config *v, bool video)
{
    const int channels = v->channels[v->n_levels - 1];

    ss_net_module(n, &k->mid.m, &k->m, video ? "MidBlockTemporalDecoder" : "UNetMidBlock2D", "%s",
                  "mid_block");
    new_layers(n, &k->mid, channels, channels, video ? v->layers : 2, v->mid_attention, v, video);
}

static void new_ends(ss_net *n, ss_vae_coder *k, int channels, int out, const ss_vae_config *v)
{
    k->conv_norm_out = ss_group_norm_layer_new(n, &k->m, "conv_norm_out", channels, v->groups, EPS);
    k->conv_out = ss_conv_layer_new(n, &k->m, "conv_out", channels, out, 3, ss_conv_same(1));
    /* Both are blocks for a precision policy by blocks. */
    if (k->conv_in && k->conv_out)
        k->conv_in->m.block = k->conv_out->m.block = true;
}

ss_vae_coder *ss_vae_encoder_new(ss_net *n, const ss_module *network, const ss_vae_config *v)
{
    ss_vae_coder *k = ss_net_alloc(n, sizeof *k);

    if (!k)
        return NULL;
    k->n_levels = v->n_levels;
    ss_net_module(n, &k->m, network, "Encoder", "%s", "encoder");
    k->conv_in =
        ss_conv_layer_new(n, &k->m, "conv_in", v->in_channels, v->channels[0], 3, ss_conv_same(1));
    for (int i = 0; i < v->n_levels; i++) {
        level *l = &k->levels[i];
        const int out = v->channels[i];

        ss_net_module(n, &l->m, &k->m,
                      v->down_attends[i] ? "AttnDownEncoderBlock2D" : "DownEncoderBlock2D",
                      "down_blocks.%d", i);
        new_layers(n, l, v->channels[i ? i - 1 : 0], out, v->layers,
                   v->down_attends[i] ? v->layers : 0, v, false);
        if (i < v->n_levels - 1)
            l->down = ss_downsampler_new(n, &l->m, out, 0);
    }
    new_mid(n, k, v, false);
    new_ends(n, k, v->channels[v->n_levels - 1], 2 * v->latent_channels, v);
    return k;
}

static void new_up_levels(ss_net *n, ss_vae_coder *k, const ss_vae_config *v)
{
    for (int i = 0; i < v->n_levels; i++) {
        level *l = &k->levels[i];
        const int top = v->n_levels - 1, out = v->channels[top - i];

        ss_net_module(n, &l->m, &k->m,
                      v->temporal        ? "UpBlockTemporalDecoder"
                      : v->up_attends[i] ? "AttnUpDecoderBlock2D"
                                         : "UpDecoderBlock2D",
                      "up_blocks.%d", i);
        new_layers(n, l, v->channels[i ? top - i + 1 : top], out, v->layers + 1,
                   v->up_attends[i] ? v->layers + 1 : 0, v, v->temporal);
        if (i < top)
            l->up = ss_upsampler_new(n, &l->m, out);
    }
}

ss_vae_coder *ss_vae_decoder_new(ss_net *n, const ss_module *network, const ss_vae_config *v)
{
    ss_vae_coder *k = ss_net_alloc(n, sizeof *k);

    if (!k)
        return NULL;
    k->decoder = true;
    k->n_levels = v->n_levels;
    ss_net_module(n, &k->m, network, v->temporal ? "TemporalDecoder" : "Decoder", "%s", "decoder");
    k->conv_in = ss_conv_layer_new(n, &k->m, "conv_in", v->latent_channels,
                                   v->channels[v->n_levels - 1], 3, ss_conv_same(1));
    if (v->temporal)
        new_mid(n, k, v, true);
    new_up_levels(n, k, v);
    if (!v->temporal)
        new_mid(n, k, v, false);
    new_ends(n, k, v->channels[0], v->out_channels, v);
    if (v->temporal)
        k->time_conv_out =
            ss_time_conv_new(n, &k->m, "time_conv_out", v->out_channels, v->out_channels);
    return k;
}

static void run_resnet(ss_ctx *c, const level *l, int i, ss_tensor **x)
{
    if (l->video_resnets[i])
        ss_set(x, ss_video_resnet_run(c, l->video_resnets[i], *x, NULL));
    else
        ss_set(x, ss_resnet_run(c, l->resnets[i], *x, NULL));
}

/* Takes x, as the next. */
static ss_tensor *run_level(ss_ctx *c, const level *l, ss_tensor *x)
{
    ss_enter(c, &l->m, x);
    for (int i = 0; i < l->layers; i++) {
        run_resnet(c, l, i, &x);
        if (i < l->n_attentions)
            ss_set(&x, ss_attention_layer_run(c, l->attentions[i], x, NULL, NULL));
    }
    if (l->down)
        ss_set(&x, ss_downsampler_run(c, l->down, x));
    else if (l->up)
        ss_set(&x, ss_upsampler_run(c, l->up, x, 2 * ss_dim(x, -3), 2 * ss_dim(x, -2)));
    return ss_leave(c, &l->m, x);
}

/* The middle has one attention, and the residual blocks after the second do not run: the reference
 * pairs blocks and attentions. */
static ss_tensor *run_mid(ss_ctx *c, const level *l, ss_tensor *x)
{
    ss_enter(c, &l->m, x);
    run_resnet(c, l, 0, &x);
    if (l->layers > 1) {
        if (l->n_attentions)
            ss_set(&x, ss_attention_layer_run(c, l->attentions[0], x, NULL, NULL));
        run_resnet(c, l, 1, &x);
    }
    return ss_leave(c, &l->m, x);
}

ss_tensor *ss_vae_coder_run(ss_ctx *c, const ss_vae_coder *k, const ss_tensor *x)
{
    ss_enter(c, &k->m, x);
    ss_tensor *h = ss_conv_layer_run(c, k->conv_in, x);

    if (k->decoder)
        h = run_mid(c, &k->mid, h);
    for (int i = 0; i < k->n_levels; i++)
        h = run_level(c, &k->levels[i], h);
    if (!k->decoder)
        h = run_mid(c, &k->mid, h);
    ss_set(&h, ss_group_norm_layer_run(c, k->conv_norm_out, h, NULL, SS_ACT_SILU));
    ss_set(&h, ss_conv_layer_run(c, k->conv_out, h));
    if (k->time_conv_out)
        ss_set(&h, ss_time_conv_run(c, k->time_conv_out, h));
    return ss_leave(c, &k->m, h);
}
