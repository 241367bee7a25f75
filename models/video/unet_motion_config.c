/* unet_motion_config.c - see unet_motion_config.h
 *
 * Two options have no effect in the reference, and none here: reverse_motion_num_attention_heads,
 * and what a middle block without motion modules is told of them.
 */
#include "models/video/unet_motion_config.h"

#include "models/net/config_keys.h"
#include "models/net/config_values.h"

#include <string.h>

enum { DEFAULT_FRAMES = 16, MAX_FRAMES = 1 << 12, MAX_DEPTH = 256 };

/* ---- the UNet ---- */

/* Options that UNet2DConditionModel has under the same name. */
static const char *const shared[] = {
    "sample_size",
    "in_channels",
    "out_channels",
    "block_out_channels",
    "layers_per_block",
    "downsample_padding",
    "mid_block_scale_factor",
    "act_fn",
    "norm_num_groups",
    "norm_eps",
    "cross_attention_dim",
    "transformer_layers_per_block",
    "reverse_transformer_layers_per_block",
    "use_linear_projection",
    "addition_embed_type",
    "addition_time_embed_dim",
    "projection_class_embeddings_input_dim",
    "time_cond_proj_dim",
    "remedies",
};

static const ss_block_type down_types[] = {
    {"DownBlockMotion", SS_ATTEND_NONE, SS_RESAMPLE_CONV, false},
    {"CrossAttnDownBlockMotion", SS_ATTEND_TRANSFORMER, SS_RESAMPLE_CONV, false},
};
static const ss_block_type up_types[] = {
    {"UpBlockMotion", SS_ATTEND_NONE, SS_RESAMPLE_CONV, false},
    {"CrossAttnUpBlockMotion", SS_ATTEND_TRANSFORMER, SS_RESAMPLE_CONV, false},
};
static const ss_block_type mid_type = {"UNetMidBlockCrossAttnMotion", SS_ATTEND_TRANSFORMER,
                                       SS_RESAMPLE_CONV, false};

/* Adds block types by the names of UNet2DConditionModel: types has the plain one and the one with
 * attention, plain and cross are their names there. */
static int add_types(ss_json *j, json_t *plain_config, const char *key,
                     const ss_block_type types[2], const char *plain, const char *cross)
{
    const json_t *list = ss_json_get(j, key), *item;
    json_t *out = list ? json_array() : NULL;
    int failed = list && !out;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)list, i, item)
    {
        const char *name = json_string_value(item);
        const bool is_cross = name && strcmp(name, types[1].name) == 0;

        if (!is_cross && !(name && strcmp(name, types[0].name) == 0))
            ss_json_complain(j, SS_UNSUPPORTED, key, "block %zu is neither %s nor %s", i,
                             types[0].name, types[1].name);
        failed |= json_array_append_new(out, json_string(is_cross ? cross : plain));
    }
    return list ? failed | json_object_set_new(plain_config, key, out) : 0;
}

/* Copies FROM's value as TO and counts it as read. */
static int copy(ss_json *j, const char *from, json_t *to, const char *name)
{
    json_t *value = json_object_get(j->root, from);

    ss_json_get(j, from);
    return value ? json_object_set(to, name, value) : 0;
}

/* Reads the part of j that a UNet2DConditionModel has. */
static ss_code read_unet(ss_json *j, ss_unet_config *u, ss_err *e)
{
    ss_json plain = {0};
    json_t *config = json_object();
    int failed = !config;

    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        failed |= copy(j, shared[i], config, shared[i]);
    failed |= copy(j, "num_attention_heads", config, "attention_head_dim");
    failed |=
        add_types(j, config, "down_block_types", down_types, "DownBlock2D", "CrossAttnDownBlock2D");
    failed |= add_types(j, config, "up_block_types", up_types, "UpBlock2D", "CrossAttnUpBlock2D");
    ss_config_expect_null(j, "encoder_hid_dim_type", "image prompts are not supported");
    ss_json_get(j, "encoder_hid_dim"); /* nothing without a type */
    ss_code rc = ss_json_done(j, e);
    if (rc == SS_OK)
        rc = failed ? ss_no_memory(e, j->name) : ss_json_wrap(&plain, j->name, config, e);
    json_decref(config);
    if (rc == SS_OK)
        rc = ss_unet_config_read(&plain, true, u, e);
    ss_json_release(&plain);
    return rc;
}

/* Gives the levels the names of their classes here. */
static void rename_types(ss_unet_config *u)
{
    for (int i = 0; i < u->n_levels; i++) {
        u->down[i].type = &down_types[u->down[i].type->attend == SS_ATTEND_TRANSFORMER];
        u->up[i].type = &up_types[u->up[i].type->attend == SS_ATTEND_TRANSFORMER];
    }
}

/* ---- motion modules ---- */

/* Reads one number, or a list of one for each layer. */
static void read_depth(ss_json *j, const char *key, const json_t *v, int layers, int *depth)
{
    if (json_is_array(v) && json_array_size(v) != (size_t)layers)
        ss_json_complain(j, SS_FORMAT, key,
                         "a level's list has one number for each of its %d layers", layers);
    for (int i = 0; i < layers; i++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, (size_t)i) : v;

        depth[i] = 1;
        if (!one)
            continue;
        if (json_is_integer(one) && json_integer_value(one) >= 1 &&
            json_integer_value(one) <= MAX_DEPTH)
            depth[i] = (int)json_integer_value(one);
        else
            ss_json_complain(j, SS_FORMAT, key, "expected numbers of 1 to %d, or lists of them",
                             MAX_DEPTH);
    }
}

static void read_depths(ss_json *j, ss_unet_motion_config *u)
{
    static const char key[] = "temporal_transformer_layers_per_block",
                      back_key[] = "reverse_temporal_transformer_layers_per_block",
                      mid_key[] = "temporal_transformer_layers_per_mid_block";
    const json_t *v = ss_json_get(j, key), *back = ss_json_get(j, back_key);
    const int n = u->unet.n_levels;

    for (int i = 0; i < n; i++) {
        const json_t *down = ss_config_item(j, key, v, i, n);
        const json_t *up = back ? ss_config_item(j, back_key, back, i, n)
                                : ss_config_item(j, key, v, n - 1 - i, n);

        read_depth(j, key, down, u->unet.down[i].layers, u->down[i].depth);
        if (!back && json_is_array(up))
            ss_json_complain(j, SS_FORMAT, back_key, "a list of lists needs it");
        else
            read_depth(j, back ? back_key : key, up, u->unet.up[i].layers, u->up[i].depth);
    }
    read_depth(j, mid_key, ss_json_get(j, mid_key), 1, u->mid.depth);
}

/* Reads the transformer blocks of the middle, where a key says that they differ. */
static void read_mid_depth(ss_json *j, ss_unet_config *u)
{
    static const char key[] = "transformer_layers_per_mid_block",
                      levels_key[] = "transformer_layers_per_block";
    const json_t *v = ss_json_get(j, key), *all = ss_json_get(j, levels_key);

    if (v)
        read_depth(j, key, v, 1, u->mid.depth);
    else if (json_is_array(json_array_get(all, json_array_size(all) - 1)))
        u->mid.depth[0] = 1; /* as the reference has it */
}

static void set_motion(ss_json *j, ss_block_spec *s, int heads, const ss_animatediff_options *o)
{
    if (s->out % heads)
        ss_json_complain(j, SS_FORMAT, "motion_num_attention_heads",
                         "%d channels do not divide into %d heads", s->out, heads);
    s->after_attention = (ss_motion_spec){
        .kind = &ss_animatediff_kind,
        .list = "motion_modules",
        .channels = s->out,
        .groups = s->groups,
        .heads = heads,
        .head = s->out / heads,
        .options = o,
    };
}

static void set_common(ss_animatediff_options *o, int max_frames, bool per_frame)
{
    o->max_frames = max_frames;
    o->per_frame = per_frame;
}

static void read_motion(ss_json *j, ss_unet_motion_config *u)
{
#define X(name, text) text,
    static const char *const groupnorms[] = {SS_GROUPNORMS(X) NULL};
#undef X
    const int n = u->unet.n_levels;
    int heads[SS_MAX_LEVELS];
    const int max_frames = ss_config_int(j, "motion_max_seq_length", 32, 1, MAX_FRAMES);
    const bool per_frame = ss_json_choice(j, SS_GROUPNORM_KEY, groupnorms, 0) == 1;
    const bool mid = ss_json_bool(j, "use_motion_mid_block", true);

    ss_config_ints(j, "motion_num_attention_heads", n, 8, 1, SS_MAX_CHANNELS, heads);
    ss_json_get(j, "reverse_motion_num_attention_heads");
    if (ss_config_int(j, "mid_block_layers", 1, 1, SS_MAX_LAYERS) != 1)
        ss_json_complain(j, SS_UNSUPPORTED, "mid_block_layers", "only 1 is supported");
    read_depths(j, u);
    read_mid_depth(j, &u->unet);
    for (int i = 0; i < n; i++) {
        set_motion(j, &u->unet.down[i], heads[i], &u->down[i]);
        set_motion(j, &u->unet.up[i], heads[n - 1 - i], &u->up[i]);
        set_common(&u->down[i], max_frames, per_frame);
        set_common(&u->up[i], max_frames, per_frame);
    }
    set_common(&u->mid, max_frames, per_frame);
    if (mid) {
        set_motion(j, &u->unet.mid, heads[n - 1], &u->mid);
        u->unet.mid.type = &mid_type;
    }
    u->unet.frames = max_frames < DEFAULT_FRAMES ? max_frames : DEFAULT_FRAMES;
}

ss_code ss_unet_motion_config_read(ss_json *j, ss_unet_motion_config *u, ss_err *e)
{
    *u = (ss_unet_motion_config){0};
    ss_config_begin(j);
    const ss_code rc = read_unet(j, &u->unet, e);

    if (rc != SS_OK)
        return rc;
    u->unet.class_name = SS_UNET_MOTION;
    u->unet.act_out = SS_ACT_SILU; /* whatever act_fn says */
    rename_types(&u->unet);
    read_motion(j, u);
    return ss_config_end(j, SS_UNET_MOTION, e);
}
