/* adapter_config.c - see adapter_config.h */
#include "models/video/adapter_config.h"

#include "models/net/config_keys.h"
#include "models/net/config_values.h"

#include <stdio.h>
#include <string.h>

enum { MAX_LEVELS = 16, MAX_LAYERS = 64, MAX_FRAMES = 1 << 12, DEFAULT_FRAMES = 32 };

/* ---- the UNet's options ---- */

/* Options of UNet2DConditionModel that UNetMotionModel has under the same name. */
static const char *const kept[] = {
    "sample_size",
    "in_channels",
    "out_channels",
    "block_out_channels",
    "downsample_padding",
    "mid_block_scale_factor",
    "act_fn",
    "norm_num_groups",
    "norm_eps",
    "cross_attention_dim",
    "transformer_layers_per_block",
    "reverse_transformer_layers_per_block",
    "use_linear_projection",
    "encoder_hid_dim",
    "encoder_hid_dim_type",
    "addition_embed_type",
    "addition_time_embed_dim",
    "projection_class_embeddings_input_dim",
    "time_cond_proj_dim",
    "remedies",
};

/* Options that it does not have, and the value by which it computes. */
static const struct {
    const char *key, *value;
} fixed[] = {
    {"center_input_sample", "false"},
    {"flip_sin_to_cos", "true"},
    {"freq_shift", "0"},
    {"mid_block_type", "\"UNetMidBlock2DCrossAttn\""},
    {"only_cross_attention", "false"},
    {"dual_cross_attention", "false"},
    {"class_embed_type", "null"},
    {"num_class_embeds", "null"},
    {"resnet_time_scale_shift", "\"default\""},
    {"time_embedding_type", "\"positional\""},
    {"time_embedding_dim", "null"},
    {"time_embedding_act_fn", "null"},
    {"timestep_post_act", "null"},
    {"conv_in_kernel", "3"},
    {"conv_out_kernel", "3"},
    {"attention_type", "\"default\""},
    {"class_embeddings_concat", "false"},
};

static bool same(const json_t *value, const json_t *want)
{
    if (json_is_number(value) && json_is_number(want))
        return json_number_value(value) == json_number_value(want);
    return json_equal(value, want);
}

/* Refuses a value by which UNetMotionModel does not compute; a list is one for each level. */
static void check_fixed(ss_json *j, const char *key, const char *text)
{
    json_t *want = json_loads(text, JSON_DECODE_ANY, NULL), *value = json_object_get(j->root, key);
    const size_t n = json_is_array(value) ? json_array_size(value) : 1;

    /* null is a value of its own where it removes a part */
    const bool absent = !value || (json_is_null(value) && strcmp(key, "mid_block_type") != 0);
    for (size_t i = 0; !absent && i < n; i++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;

        if (!same(one, want))
            ss_json_complain(j, SS_UNSUPPORTED, key, "UNetMotionModel computes with %s", text);
    }
    json_decref(want);
}

/* Writes the block types by the names that they have in UNetMotionModel. */
static int add_types(ss_json *j, json_t *config, const char *key, const char *plain,
                     const char *cross, const char *motion_plain, const char *motion_cross)
{
    const json_t *types = ss_json_get(j, key), *type;
    json_t *list = json_array();
    size_t i;
    int failed = 0;

    json_array_foreach((json_t *)(uintptr_t)types, i, type)
    {
        const char *name = json_string_value(type);
        const bool is_cross = name && strcmp(name, cross) == 0;

        if (!is_cross && !(name && strcmp(name, plain) == 0))
            ss_json_complain(j, SS_UNSUPPORTED, key, "with motion modules there are %s and %s",
                             plain, cross);
        failed |= json_array_append_new(list, json_string(is_cross ? motion_cross : motion_plain));
    }
    if (!types) {
        json_decref(list);
        return failed;
    }
    return failed | json_object_set_new(config, key, list);
}

/* Copies FROM's value of a key as TO; absent stays absent. */
static int copy(ss_json *j, const char *from, json_t *config, const char *to)
{
    json_t *value = json_object_get(j->root, from);

    return value ? json_object_set(config, to, value) : 0;
}

static int add_unet(ss_json *j, json_t *config)
{
    int failed = json_object_set_new(config, "_class_name", json_string("UNetMotionModel"));

    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        check_fixed(j, fixed[i].key, fixed[i].value);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        failed |= copy(j, kept[i], config, kept[i]);
    failed |= copy(j, "attention_head_dim", config, "num_attention_heads");
    failed |= add_types(j, config, "down_block_types", "DownBlock2D", "CrossAttnDownBlock2D",
                        "DownBlockMotion", "CrossAttnDownBlockMotion");
    failed |= add_types(j, config, "up_block_types", "UpBlock2D", "CrossAttnUpBlock2D",
                        "UpBlockMotion", "CrossAttnUpBlockMotion");
    return failed;
}

/* ---- the adapter's ---- */

/* Channels and residual blocks of each level. */
typedef struct {
    int n, channels[MAX_LEVELS], layers[MAX_LEVELS];
} levels;

static void read_levels(ss_json *j, const char *layers_key, levels *l)
{
    static const int usual[] = {320, 640, 1280, 1280};
    const json_t *v = ss_json_get(j, "block_out_channels");

    l->n = 4;
    if (v) {
        l->n = (int)json_array_size(v);
        if (!json_is_array(v) || l->n < 1 || l->n > MAX_LEVELS) {
            ss_json_complain(j, SS_FORMAT, "block_out_channels", "expected a list of 1 to %d",
                             MAX_LEVELS);
            l->n = 1;
        }
    }
    if (v)
        ss_config_ints(j, "block_out_channels", l->n, 1, 1, SS_MAX_CHANNELS, l->channels);
    else
        memcpy(l->channels, usual, sizeof usual);
    ss_config_ints(j, layers_key, l->n, 2, 1, MAX_LAYERS, l->layers);
}

/* Writes "320, 640" into out. */
static const char *list_text(const int *v, int n, char *out, size_t room)
{
    size_t at = 0;

    *out = '\0';
    for (int i = 0; i < n && at < room; i++)
        at += (size_t)snprintf(out + at, room - at, "%s%d", i ? ", " : "", v[i]);
    return out;
}

/* Complains of the adapter unless it has the UNet's numbers. */
static void check_levels(ss_json *adapter, const char *key, const int *have, int n_have,
                         const int *want, int n_want)
{
    char text[160];

    if (n_have != n_want || memcmp(have, want, (size_t)n_have * sizeof *have) != 0)
        ss_json_complain(adapter, SS_SHAPE, key, "the UNet has %s",
                         list_text(want, n_want, text, sizeof text));
}

static int add_adapter(ss_json *unet, ss_json *j, json_t *config)
{
    static const char *const own[][2] = {
        {"motion_layers_per_block", "layers_per_block"},
        {"motion_num_attention_heads", "motion_num_attention_heads"},
        {"motion_max_seq_length", "motion_max_seq_length"},
        {"use_motion_mid_block", "use_motion_mid_block"},
        {"motion_transformer_layers_per_block", "temporal_transformer_layers_per_block"},
        {"motion_transformer_layers_per_mid_block", "temporal_transformer_layers_per_mid_block"},
    };
    levels a = {0}, u = {0};
    int failed = 0;

    read_levels(j, "motion_layers_per_block", &a);
    read_levels(unet, "layers_per_block", &u);
    check_levels(j, "block_out_channels", a.channels, a.n, u.channels, u.n);
    check_levels(j, "motion_layers_per_block", a.layers, a.n, u.layers, u.n);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        ss_json_get(j, own[i][0]);
        failed |= copy(j, own[i][0], config, own[i][1]);
    }
    /* The norms take the UNet's groups in the reference, too. */
    ss_config_int(j, "motion_norm_num_groups", 32, 1, SS_MAX_CHANNELS);
    if (ss_config_int(j, "motion_mid_block_layers_per_block", 1, 1, MAX_LAYERS) != 1)
        ss_json_complain(j, SS_UNSUPPORTED, "motion_mid_block_layers_per_block",
                         "UNetMotionModel puts one motion module into the middle block");
    ss_config_expect_null(j, "conv_in_channels",
                          "adapters with a first convolution of their own (PIA) are not supported");
    return failed;
}

ss_code ss_adapter_config(ss_json *unet, ss_json *adapter, json_t **out, ss_err *e)
{
    json_t *config = json_object();
    int failed = add_unet(unet, config);

    ss_config_begin(adapter);
    failed |= add_adapter(unet, adapter, config);
    ss_code rc = ss_json_done(unet, e);
    if (rc == SS_OK)
        rc = ss_config_end(adapter, "MotionAdapter", e);
    if (rc == SS_OK && (!config || failed))
        rc = ss_no_memory(e, adapter->name);
    if (rc == SS_OK)
        *out = config;
    else
        json_decref(config);
    return rc;
}

/* ---- an adapter without config.json ---- */

/* Levels, layers and blocks that the names speak of. */
typedef struct {
    int n, layers[MAX_LEVELS], depth;
    int64_t channels[MAX_LEVELS];
    bool mid;
} seen;

static void see(seen *s, const ss_stored_tensor *t)
{
    int level, layer, block, end = 0;

    s->mid |= strncmp(t->name, "mid_block.motion_modules.", 25) == 0;
    if (sscanf(t->name, "down_blocks.%2d.motion_modules.%2d.%n", &level, &layer, &end) != 2 ||
        !end || level < 0 || level >= MAX_LEVELS || layer < 0 || layer >= MAX_LAYERS)
        return;
    s->n = level >= s->n ? level + 1 : s->n;
    s->layers[level] = layer >= s->layers[level] ? layer + 1 : s->layers[level];
    if (strcmp(t->name + end, "norm.weight") == 0 && t->rank == 1)
        s->channels[level] = t->dim[0];
    if (sscanf(t->name + end, "transformer_blocks.%3d.", &block) == 1 && block >= s->depth)
        s->depth = block + 1;
}

ss_code ss_adapter_infer(const ss_stored_tensor *const *list, size_t n, int64_t max_frames,
                         const char *file, json_t **out, ss_err *e)
{
    seen s = {0};
    json_t *channels = json_array(), *layers = json_array();

    for (size_t i = 0; i < n; i++)
        see(&s, list[i]);
    for (int i = 0; i < s.n; i++) {
        json_array_append_new(channels, json_integer(s.channels[i]));
        json_array_append_new(layers, json_integer(s.layers[i]));
    }
    if (!s.n || max_frames > MAX_FRAMES) {
        json_decref(channels);
        json_decref(layers);
        return ss_fail(e, SS_FORMAT, "--adapter: %s: %s", file,
                       s.n ? "its table of positions is not believed"
                           : "no tensor is of a motion module (down_blocks.0.motion_modules.0...)");
    }
    *out = json_pack("{s:s, s:o, s:o, s:i, s:I, s:b}", "_class_name", "MotionAdapter",
                     "block_out_channels", channels, "motion_layers_per_block", layers,
                     "motion_transformer_layers_per_block", s.depth, "motion_max_seq_length",
                     (json_int_t)(max_frames ? max_frames : DEFAULT_FRAMES), "use_motion_mid_block",
                     s.mid);
    return *out ? SS_OK : ss_no_memory(e, file);
}
