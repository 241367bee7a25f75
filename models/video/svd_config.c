/* svd_config.c - see svd_config.h
 *
 * Norms have 32 groups and activations are SiLU, whatever a file says; epsilon is 1e-5, but 1e-6 in
 * blocks with attention on the way down and in all on the way up.
 */
#include "models/video/svd_config.h"

#include "models/net/config_keys.h"
#include "models/net/config_values.h"
#include "models/unet/unet_layout.h"

#include <string.h>

enum { MAX_FRAMES = 1 << 16 };

static const ss_block_type types[] = {
    {"DownBlockSpatioTemporal", SS_ATTEND_NONE, SS_RESAMPLE_CONV, false},
    {"CrossAttnDownBlockSpatioTemporal", SS_ATTEND_TRANSFORMER, SS_RESAMPLE_CONV, false},
    {"UpBlockSpatioTemporal", SS_ATTEND_NONE, SS_RESAMPLE_CONV, false},
    {"CrossAttnUpBlockSpatioTemporal", SS_ATTEND_TRANSFORMER, SS_RESAMPLE_CONV, false},
    {"UNetMidBlockSpatioTemporal", SS_ATTEND_TRANSFORMER, SS_RESAMPLE_CONV, false},
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

static void read_levels(ss_json *j, ss_unet_config *u, ss_unet_layout *l)
{
    static const int channels[SS_DEFAULT_LEVELS] = {320, 640, 1280, 1280};
    static const char *const down[SS_DEFAULT_LEVELS] = {
        "CrossAttnDownBlockSpatioTemporal", "CrossAttnDownBlockSpatioTemporal",
        "CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"};
    static const char *const up[SS_DEFAULT_LEVELS] = {
        "UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal",
        "CrossAttnUpBlockSpatioTemporal"};

    ss_layout_read_channels(j, l, channels);
    ss_config_ints(j, "layers_per_block", l->n, 2, 1, SS_MAX_LAYERS - 1, l->layers);
    ss_layout_read_types(j, u, "down_block_types", down, l, find_down, l->down);
    ss_layout_read_types(j, u, "up_block_types", up, l, find_up, l->up);
    l->mid = find("UNetMidBlockSpatioTemporal", "Mid");
    l->groups = SS_UNET_GROUPS;
    l->mid_scale = l->out_scale = 1;
    l->downsample_padding = 1;
}

/* The values of each level of the encoder, which the decoder has in the other order. */
typedef struct {
    int heads[SS_MAX_LEVELS], context[SS_MAX_LEVELS];
    const json_t *depth; /* NULL: one block everywhere */
} attentions;

static void read_attentions(ss_json *j, int n, attentions *a)
{
    static const int usual[SS_DEFAULT_LEVELS] = {5, 10, 20, 20};

    ss_config_ints(j, "num_attention_heads", n, 1, 1, SS_MAX_CHANNELS, a->heads);
    if (!ss_json_has(j, "num_attention_heads")) {
        if (n != SS_DEFAULT_LEVELS)
            ss_json_complain(j, SS_FORMAT, "num_attention_heads",
                             "expected a number, or %d: one for each level", n);
        for (int i = 0; i < n; i++)
            a->heads[i] = usual[i % SS_DEFAULT_LEVELS];
    }
    ss_config_ints(j, "cross_attention_dim", n, 1024, 1, SS_MAX_CHANNELS, a->context);
    a->depth = ss_json_get(j, "transformer_layers_per_block");
}

/* Sets what looks at the text, or at the picture that stands for it, in the block of a level. */
static void set_attention(ss_json *j, ss_unet_config *u, const attentions *a, int level,
                          int transformers, ss_block_spec *s)
{
    static const char key[] = "transformer_layers_per_block";
    const int layers = s->layers;

    s->mixed = true;
    if (s->type->attend == SS_ATTEND_NONE)
        return;
    s->heads = a->heads[level];
    s->head = s->out / s->heads;
    if (s->out % s->heads)
        ss_json_complain(j, SS_FORMAT, "num_attention_heads",
                         "%d channels do not divide into %d heads", s->out, s->heads);
    s->context = a->context[level];
    if (u->text_in && u->text_in != s->context)
        ss_json_complain(j, SS_FORMAT, "cross_attention_dim",
                         "one text cannot have width %d and width %d", u->text_in, s->context);
    u->text_in = s->context;
    for (int i = 0; i < layers; i++)
        s->depth[i] = 1;
    s->layers = transformers;
    if (a->depth)
        ss_layout_read_depth(j, key, ss_config_item(j, key, a->depth, level, u->n_levels), s);
    s->layers = layers;
}

static void set_blocks(ss_json *j, ss_unet_config *u)
{
    const int n = u->n_levels;
    attentions a;

    read_attentions(j, n, &a);
    for (int i = 0; i < n; i++) {
        ss_block_spec *down = &u->down[i], *up = &u->up[i];

        set_attention(j, u, &a, i, down->layers, down);
        set_attention(j, u, &a, n - 1 - i, up->layers, up);
        down->eps = down->type->attend == SS_ATTEND_NONE ? 1e-5f : 1e-6f;
        up->eps = 1e-6f;
    }
    set_attention(j, u, &a, n - 1, u->mid.layers - 1, &u->mid);
}

static void read_embeddings(ss_json *j, ss_unet_config *u, int first)
{
    u->sinusoid = u->addition_sinusoid = (ss_sinusoid){.width = first, .flip = true};
    u->time_in = first;
    u->time_dim = 4 * first;
    u->addition = SS_ADD_TIME;
    u->addition_sinusoid.width =
        ss_config_int(j, "addition_time_embed_dim", 256, 2, SS_MAX_CHANNELS);
    u->addition_in =
        ss_config_int(j, "projection_class_embeddings_input_dim", 768, 1, SS_MAX_CHANNELS);
    if (u->addition_in % u->addition_sinusoid.width)
        ss_json_complain(j, SS_FORMAT, "projection_class_embeddings_input_dim",
                         "expected a multiple of addition_time_embed_dim, %d",
                         u->addition_sinusoid.width);
}

ss_code ss_svd_config_read(ss_json *j, ss_unet_config *u, ss_err *e)
{
    ss_unet_layout l = {0};

    *u = (ss_unet_config){.class_name = SS_UNET_SVD,
                          .conditional = true,
                          .eps = 1e-5f,
                          .act = SS_ACT_SILU,
                          .act_out = SS_ACT_SILU,
                          .time_act = SS_ACT_SILU,
                          .groups_out = SS_UNET_GROUPS,
                          .conv_in_kernel = 3,
                          .conv_out_kernel = 3};
    ss_config_begin(j);
    ss_config_sample_size(j, &u->sample_h, &u->sample_w);
    u->in_channels = ss_config_int(j, "in_channels", 8, 1, SS_MAX_CHANNELS);
    u->out_channels = ss_config_int(j, "out_channels", 4, 1, SS_MAX_CHANNELS);
    u->frames = ss_config_int(j, "num_frames", 25, 1, MAX_FRAMES);
    read_levels(j, u, &l);
    read_embeddings(j, u, l.channels[0]);
    ss_layout_apply(u, &l, false);
    set_blocks(j, u);
    ss_remedies_read(j, &u->remedies);
    if (u->remedies.magnitude)
        ss_json_complain(j, SS_UNSUPPORTED, "remedies",
                         "magnitude_preserving is of " SS_UNET_PLAIN);
    return ss_config_end(j, u->class_name, e);
}
