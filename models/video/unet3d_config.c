/* unet3d_config.c - see unet3d_config.h
 *
 * `attention_head_dim` is the width of a head, though the reference reads it as their number: it
 * hands its transformers heads and widths in the other order.
 */
#include "models/video/unet3d_config.h"

#include "models/net/config_keys.h"
#include "models/net/config_values.h"
#include "models/unet/unet_layout.h"
#include "models/video/temp_conv.h"
#include "models/video/temp_transformer.h"

#include <string.h>

enum {
    FRAMES = 16,  /* default of the pipelines; the file does not say */
    HEADS_IN = 8, /* of transformer_in */
    MAX_WIDTH = SS_MAX_CHANNELS / HEADS_IN
};

static const ss_block_type types[] = {
    {"DownBlock3D", SS_ATTEND_NONE, SS_RESAMPLE_CONV, false},
    {"CrossAttnDownBlock3D", SS_ATTEND_TRANSFORMER, SS_RESAMPLE_CONV, false},
    {"UpBlock3D", SS_ATTEND_NONE, SS_RESAMPLE_CONV, false},
    {"CrossAttnUpBlock3D", SS_ATTEND_TRANSFORMER, SS_RESAMPLE_CONV, false},
    {"UNetMidBlock3DCrossAttn", SS_ATTEND_TRANSFORMER, SS_RESAMPLE_CONV, false},
};

static const ss_block_type *find(const char *name, const char *direction)
{
    return ss_layout_find_type(types, sizeof types / sizeof *types, name, direction);
}

static const ss_block_type *find_down(const char *name)
{
    return find(name, "Down");
}

static const ss_block_type *find_up(const char *name)
{
    return find(name, "Up");
}

static void read_options(ss_json *j, ss_unet_config *u, ss_unet_layout *l)
{
    ss_config_sample_size(j, &u->sample_h, &u->sample_w);
    u->in_channels = ss_config_int(j, "in_channels", 4, 1, SS_MAX_CHANNELS);
    u->out_channels = ss_config_int(j, "out_channels", 4, 1, SS_MAX_CHANNELS);
    u->eps = (float)ss_config_double(j, "norm_eps", 1e-5, 0, 1);
    u->act = ss_config_act(j, "act_fn", SS_ACT_SILU);
    l->groups = ss_config_int(j, "norm_num_groups", SS_UNET_GROUPS, 1, SS_MAX_CHANNELS);
    if (ss_config_is_null(j, "norm_num_groups"))
        ss_json_complain(j, SS_UNSUPPORTED, "norm_num_groups", "expected a number");
    l->mid_scale = (float)ss_config_double(j, "mid_block_scale_factor", 1, 1e-6, 1e6);
    l->downsample_padding = ss_config_int(j, "downsample_padding", 1, 0, 16);
    l->out_scale = 1;
    ss_config_expect_null(j, "num_attention_heads",
                          "diffusers refuses it too: attention_head_dim has that meaning");
    u->time_cond = ss_config_width(j, "time_cond_proj_dim");
}

static void read_levels(ss_json *j, ss_unet_config *u, ss_unet_layout *l)
{
    static const int channels[SS_DEFAULT_LEVELS] = {320, 640, 1280, 1280};
    static const char *const down[SS_DEFAULT_LEVELS] = {
        "CrossAttnDownBlock3D", "CrossAttnDownBlock3D", "CrossAttnDownBlock3D", "DownBlock3D"};
    static const char *const up[SS_DEFAULT_LEVELS] = {"UpBlock3D", "CrossAttnUpBlock3D",
                                                      "CrossAttnUpBlock3D", "CrossAttnUpBlock3D"};

    ss_layout_read_channels(j, l, channels);
    const int layers = ss_config_int(j, "layers_per_block", 2, 1, SS_MAX_LAYERS - 1);
    for (int i = 0; i < l->n; i++)
        l->layers[i] = layers;
    ss_layout_read_types(j, u, "down_block_types", down, l, find_down, l->down);
    ss_layout_read_types(j, u, "up_block_types", up, l, find_up, l->up);
    l->mid = find("UNetMidBlock3DCrossAttn", "Mid");
}

/* Gives a block its attention to the text and its layers over frames. */
static void set_block(ss_json *j, ss_block_spec *s, int head, int context)
{
    s->after_resnet = (ss_motion_spec){.kind = &ss_motion_temp_conv,
                                       .list = "temp_convs",
                                       .channels = s->out,
                                       .groups = s->groups};
    if (s->type->attend == SS_ATTEND_NONE)
        return;
    s->head = head;
    s->heads = s->out / head;
    if (!s->heads)
        ss_json_complain(j, SS_FORMAT, "attention_head_dim",
                         "a block of %d channels has no head of width %d", s->out, head);
    s->context = context;
    s->linear_projection = true;
    for (int i = 0; i < s->layers; i++)
        s->depth[i] = 1;
    s->after_attention = (ss_motion_spec){.kind = &ss_motion_temp_transformer,
                                          .list = "temp_attentions",
                                          .channels = s->out,
                                          .groups = s->groups,
                                          .heads = s->heads,
                                          .head = s->head};
}

ss_code ss_unet3d_config_read(ss_json *j, ss_unet_config *u, ss_err *e)
{
    ss_unet_layout l = {0};

    *u = (ss_unet_config){.class_name = SS_UNET_3D, .conditional = true, .frames = FRAMES};
    ss_config_begin(j);
    read_options(j, u, &l);
    read_levels(j, u, &l);
    const int first = l.channels[0];
    const int head = ss_config_int(j, "attention_head_dim", 64, 1, MAX_WIDTH);

    u->text_in = ss_config_int(j, "cross_attention_dim", 1024, 1, SS_MAX_CHANNELS);
    u->conv_in_kernel = u->conv_out_kernel = 3;
    u->groups_out = l.groups;
    u->act_out = SS_ACT_SILU; /* whatever act_fn says */
    u->time_act = u->act;
    u->sinusoid = (ss_sinusoid){.width = first, .flip = true};
    u->time_in = first;
    u->time_dim = 4 * first;
    if (first < 2)
        ss_json_complain(j, SS_FORMAT, "block_out_channels",
                         "one channel cannot hold a sinusoid of the timestep");
    ss_layout_apply(u, &l, false);
    for (int i = 0; i < l.n; i++) {
        set_block(j, &u->down[i], head, u->text_in);
        set_block(j, &u->up[i], head, u->text_in);
    }
    set_block(j, &u->mid, head, u->text_in);
    u->motion_in = (ss_motion_spec){.kind = &ss_motion_temp_transformer,
                                    .list = "transformer_in",
                                    .channels = first,
                                    .groups = l.groups,
                                    .heads = HEADS_IN,
                                    .head = head};
    ss_remedies_read(j, &u->remedies);
    if (u->remedies.magnitude)
        ss_json_complain(j, SS_UNSUPPORTED, "remedies",
                         "magnitude_preserving is of " SS_UNET_PLAIN);
    return ss_config_end(j, u->class_name, e);
}
