/* unet_config.c - see unet_config.h
 *
 * A few names in these files do not mean what they say. `attention_head_dim` of a conditional
 * network is the number of heads where a transformer is used, and the width of a head in the
 * other attentions; there the decoder's levels read that list in the encoder's order. Published
 * checkpoints were trained with it, so it is kept.
 */
#include "models/unet/unet_config.h"

#include "models/net/config_keys.h"
#include "models/net/config_values.h"
#include "models/unet/unet_layout.h"
#include "models/unet/unet_motion.h"

#include <math.h>
#include <string.h>

enum { MAX_KERNEL = 31 };

/* Splits the channels into heads: by their width, or by their number. */
static void set_heads(ss_block_spec *s, int head_dim)
{
    if (s->type->attend == SS_ATTEND_TRANSFORMER) {
        s->heads = head_dim;
        s->head = s->out / head_dim;
    } else {
        s->head = head_dim;
        s->heads = s->out / head_dim;
    }
}

/* ---- embeddings ---- */

static void read_time(ss_json *j, ss_unet_config *u, int first)
{
    static const char *const kinds[] = {"positional", "fourier", "learned", NULL};
    const double shift = ss_config_double(j, "freq_shift", 0, -1e6, 1e6);
    const bool flip = ss_json_bool(j, "flip_sin_to_cos", true);

    u->time = (ss_time_kind)ss_json_choice(j, "time_embedding_type", kinds, SS_TIME_POSITIONAL);
    u->time_dim = ss_config_width(j, "time_embedding_dim");
    if (!u->time_dim)
        u->time_dim = first * (u->conditional && u->time == SS_TIME_FOURIER ? 2 : 4);
    u->time_in = first;
    u->sinusoid = (ss_sinusoid){first, shift, flip};
    if (u->time == SS_TIME_POSITIONAL && first / 2 == shift)
        ss_json_complain(j, SS_FORMAT, "freq_shift", "it divides by zero with %d channels", first);

    if (u->time == SS_TIME_FOURIER) {
        u->time_in = u->conditional ? u->time_dim : 2 * first;
        u->sinusoid.flip = u->conditional && flip;
        u->fourier_log = u->divide_by_time = !u->conditional;
        if (u->time_in % 2)
            ss_json_complain(j, SS_FORMAT, "time_embedding_dim", "expected an even number");
    }
    if (u->time == SS_TIME_LEARNED && u->conditional)
        ss_json_complain(j, SS_UNSUPPORTED, "time_embedding_type",
                         "supported: positional, fourier");
}

static void read_class(ss_json *j, ss_unet_config *u, ss_act timestep_act)
{
    static const char *const kinds[] = {"timestep", "identity", "projection", "simple_projection",
                                        NULL};
    const char *const plain_kinds[] = {kinds[0], kinds[1], NULL};
    static const ss_class_kind kind_of[] = {SS_CLASS_TIMESTEP, SS_CLASS_IDENTITY,
                                            SS_CLASS_PROJECTION, SS_CLASS_SIMPLE};
    const int kind =
        ss_json_choice(j, "class_embed_type", u->conditional ? kinds : plain_kinds, -1);

    u->n_classes = ss_config_int(j, "num_class_embeds", 0, 1, 1 << 24);
    u->class_kind = kind >= 0 ? kind_of[kind] : u->n_classes ? SS_CLASS_TABLE : SS_CLASS_NONE;
    u->class_act = u->class_kind == SS_CLASS_TIMESTEP ? timestep_act : SS_ACT_SILU;
    if (u->class_kind == SS_CLASS_IDENTITY)
        u->class_in = u->time_dim;
}

static void read_addition(ss_json *j, ss_unet_config *u, int projection_in, int text_width)
{
    static const char *const kinds[] = {"text", "text_time", NULL};

    u->addition =
        (ss_addition_kind)(ss_json_choice(j, "addition_embed_type", kinds, -1) + SS_ADD_TEXT);
    u->addition_heads = ss_config_int(j, "addition_embed_type_num_heads", 64, 1, SS_MAX_CHANNELS);
    u->addition_sinusoid = u->sinusoid;
    u->addition_sinusoid.width = ss_config_width(j, "addition_time_embed_dim");
    u->addition_in = projection_in;
    if (u->addition == SS_ADD_TEXT && !text_width)
        ss_json_complain(j, SS_UNSUPPORTED, "addition_embed_type",
                         "the text has one width: cross_attention_dim or encoder_hid_dim must be "
                         "one number");
    if (u->addition == SS_ADD_TEXT_TIME && !u->addition_sinusoid.width)
        ss_json_complain(j, SS_FORMAT, "addition_time_embed_dim", "text_time needs it");
    if (u->addition == SS_ADD_TEXT_TIME && !projection_in)
        ss_json_complain(j, SS_FORMAT, "projection_class_embeddings_input_dim",
                         "text_time needs it");
}

/* ---- options of both classes ---- */

static void read_common(ss_json *j, ss_unet_config *u, ss_unet_layout *l)
{
    u->in_channels = ss_config_int(j, "in_channels", u->conditional ? 4 : 3, 1, SS_MAX_CHANNELS);
    u->out_channels = ss_config_int(j, "out_channels", u->conditional ? 4 : 3, 1, SS_MAX_CHANNELS);
    u->center_input = ss_json_bool(j, "center_input_sample", false);
    u->eps = (float)ss_config_double(j, "norm_eps", 1e-5, 0, 1);
    u->act = ss_config_act(j, "act_fn", SS_ACT_SILU);
    ss_config_double(j, "dropout", 0, 0, 1); /* matters in training only */
    ss_config_sample_size(j, &u->sample_h, &u->sample_w);
    l->groups = ss_config_int(j, "norm_num_groups", SS_UNET_GROUPS, 1, SS_MAX_CHANNELS);
    if (ss_config_is_null(j, "norm_num_groups"))
        l->groups = 0;
    l->mid_scale = (float)ss_config_double(j, "mid_block_scale_factor", 1, 1e-6, 1e6);
    l->downsample_padding = ss_config_int(j, "downsample_padding", 1, 0, 16);
    l->out_scale = 1;
}

static bool read_scale_shift(ss_json *j)
{
    static const char *const kinds[] = {"default", "scale_shift", NULL};

    return ss_json_choice(j, "resnet_time_scale_shift", kinds, 0) == 1;
}

/* ---- plain networks ---- */

static void check_plain(ss_json *j, const ss_unet_config *u, const ss_unet_layout *l)
{
    for (int i = 0; i < l->n; i++) {
        const bool down = l->down[i]->resampling == SS_RESAMPLE_FIR;
        const bool up = l->up[i]->resampling == SS_RESAMPLE_FIR;

        if (!l->groups && !(down && up))
            ss_json_complain(j, SS_FORMAT, "norm_num_groups", "only Skip blocks do without it");
        if (down && i < l->n - 1 && u->in_channels != 3)
            ss_json_complain(j, SS_FORMAT, "in_channels", "Skip blocks work with 3 channels only");
        if (up && i < l->n - 1 && u->out_channels != 3)
            ss_json_complain(j, SS_FORMAT, "out_channels", "Skip blocks work with 3 channels only");
    }
}

static void read_plain(ss_json *j, ss_unet_config *u)
{
    static const int channels[] = {224, 448, 672, 896};
    static const char *const down[] = {"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D",
                                       "AttnDownBlock2D"};
    static const char *const up[] = {"AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D",
                                     "UpBlock2D"};
    static const char *const mids[] = {"UNetMidBlock2D", NULL};
    static const char *const resamplings[] = {
        [SS_RESAMPLE_CONV] = "conv", [SS_RESAMPLE_RESNET] = "resnet", NULL};
    ss_unet_layout l = {0};

    read_common(j, u, &l);
    ss_layout_read_channels(j, &l, channels);
    const int layers = ss_config_int(j, "layers_per_block", 2, 1, SS_MAX_LAYERS - 1);
    for (int i = 0; i < l.n; i++)
        l.layers[i] = layers;
    ss_layout_read_types(j, u, "down_block_types", down, &l, ss_down_block_type, l.down);
    ss_layout_read_types(j, u, "up_block_types", up, &l, ss_up_block_type, l.up);
    ss_json_choice(j, "mid_block_type", mids, 0);
    l.mid = ss_config_is_null(j, "mid_block_type") ? NULL : ss_mid_block_type(mids[0]);
    check_plain(j, u, &l);

    u->conv_in_kernel = u->conv_out_kernel = 3;
    u->act_out = u->time_act = SS_ACT_SILU; /* whatever act_fn says */
    u->groups_out = l.groups ? l.groups : ss_unet_quarter_groups(l.channels[0]);
    read_time(j, u, l.channels[0]);
    u->n_timesteps = ss_config_int(j, "num_train_timesteps", 0, 1, 1 << 24);
    if (u->time == SS_TIME_LEARNED && !u->n_timesteps)
        ss_json_complain(j, SS_FORMAT, "num_train_timesteps", "a learned time embedding needs it");
    read_class(j, u, SS_ACT_SILU);

    const bool scale_shift = read_scale_shift(j);
    ss_layout_apply(u, &l, scale_shift);
    const int by_down = ss_json_choice(j, "downsample_type", resamplings, SS_RESAMPLE_CONV);
    const int by_up = ss_json_choice(j, "upsample_type", resamplings, SS_RESAMPLE_CONV);
    const int given = ss_config_int(j, "attention_head_dim", 8, 1, SS_MAX_CHANNELS);
    const bool one_head = ss_config_is_null(j, "attention_head_dim");
    for (int i = 0; i < l.n; i++) {
        set_heads(&u->down[i], one_head ? u->down[i].out : given);
        set_heads(&u->up[i], one_head ? u->up[i].out : given);
        /* the two options reach blocks with attention only */
        if (u->down[i].type->attend == SS_ATTEND_SELF && u->down[i].resampling != SS_RESAMPLE_FIR)
            u->down[i].resampling = (ss_resampling)by_down;
        if (u->up[i].type->attend == SS_ATTEND_SELF && u->up[i].resampling != SS_RESAMPLE_FIR)
            u->up[i].resampling = (ss_resampling)by_up;
    }
    const bool add_attention = ss_json_bool(j, "add_attention", true);
    int mid_groups = ss_config_int(j, "attn_norm_num_groups", 0, 1, SS_MAX_CHANNELS);
    if (u->has_mid) {
        if (!mid_groups && !scale_shift) /* with scale_shift and no number there is no norm */
            mid_groups = l.groups ? l.groups : ss_unet_quarter_groups(u->mid.out);
        u->mid.attends = add_attention;
        u->mid.attention_groups = mid_groups;
        set_heads(&u->mid, one_head ? u->mid.out : given);
    }
    /* The oldest files have these; they have no effect in any version that can read them. */
    ss_json_get(j, "conv_resample");
    ss_json_get(j, "resnet_num_groups");
}

/* ---- conditional networks ---- */

static void read_depths(ss_json *j, ss_unet_config *u)
{
    static const char key[] = "transformer_layers_per_block",
                      back_key[] = "reverse_transformer_layers_per_block";
    const json_t *v = ss_json_get(j, key), *back = ss_json_get(j, back_key);
    const int n = u->n_levels;
    json_t *one = json_integer(1);

    if (!one) {
        ss_json_complain(j, SS_NOMEM, key, "out of memory");
        return;
    }
    if (!v)
        v = one;
    if (back && !json_is_array(back))
        ss_json_complain(j, SS_FORMAT, back_key, "expected a list with one entry for each level");
    for (int i = 0; i < n; i++) {
        const json_t *down = ss_config_item(j, key, v, i, n);
        const json_t *up = back ? ss_config_item(j, back_key, back, i, n)
                                : ss_config_item(j, key, v, n - 1 - i, n);

        if (u->down[i].type->attend == SS_ATTEND_TRANSFORMER)
            ss_layout_read_depth(j, key, down, &u->down[i]);
        if (u->up[i].type->attend != SS_ATTEND_TRANSFORMER)
            continue;
        if (!back && json_is_array(up))
            ss_json_complain(j, SS_FORMAT, back_key, "a list of lists needs it");
        ss_layout_read_depth(j, back ? back_key : key, up, &u->up[i]);
    }
    if (u->has_mid && u->mid.type->attend == SS_ATTEND_TRANSFORMER) {
        u->mid.layers--; /* one attention between two residual blocks */
        ss_layout_read_depth(j, key, ss_config_item(j, key, v, n - 1, n), &u->mid);
        u->mid.layers++;
    }
    json_decref(one);
}

/* Sets the attention of one block; returns the width of the text it wants, 0 for none. */
static int set_attention(ss_json *j, ss_block_spec *s, int head_dim, int context, bool only_cross,
                         ss_norm_cross norm)
{
    set_heads(s, head_dim);
    if (s->type->attend != SS_ATTEND_TRANSFORMER && s->type->attend != SS_ATTEND_ADDED)
        return 0;
    s->context = context;
    s->only_cross = only_cross;
    s->norm_cross = norm;
    if (s->type->attend == SS_ATTEND_ADDED && s->out % head_dim)
        ss_json_complain(j, SS_FORMAT, "attention_head_dim",
                         "%d channels do not divide into heads of %d", s->out, head_dim);
    if (s->type->attend == SS_ATTEND_ADDED && norm == SS_NORM_CROSS_LAYER && s->out != context)
        ss_json_complain(j, SS_FORMAT, "cross_attention_norm",
                         "a layer_norm of %d channels does not fit a text of width %d", s->out,
                         context);
    return context;
}

/* Returns the width that attention in a block sees of the picture. */
static int own_width(const ss_block_spec *s)
{
    return s->type->attend == SS_ATTEND_TRANSFORMER ? s->heads * s->head : s->out;
}

/* Reads the attention of all blocks, and the text that it looks at. */
static void read_attention(ss_json *j, ss_unet_config *u)
{
    static const char *const norms[] = {"layer_norm", "group_norm", NULL};
    const int n = u->n_levels;
    int head_dim[SS_MAX_LEVELS], context[SS_MAX_LEVELS], wanted = 0, other = 0;
    bool fits = true; /* every context is as wide as what looks at it */
    bool only_cross[SS_MAX_LEVELS];

    ss_config_ints(j, "attention_head_dim", n, 8, 1, SS_MAX_CHANNELS, head_dim);
    ss_config_ints(j, "cross_attention_dim", n, 1280, 1, SS_MAX_CHANNELS, context);
    ss_config_bools(j, "only_cross_attention", n, only_cross);
    if (ss_config_is_null(j, "attention_head_dim"))
        ss_json_complain(j, SS_UNSUPPORTED, "attention_head_dim", "expected a number");
    if (ss_config_is_null(j, "cross_attention_dim"))
        ss_json_complain(j, SS_UNSUPPORTED, "cross_attention_dim", "expected a number");
    const bool lists = json_is_array(ss_json_get(j, "cross_attention_dim"));
    const bool one_only = !json_is_array(ss_json_get(j, "only_cross_attention"));
    const bool mid_only =
        ss_json_bool(j, "mid_block_only_cross_attention", one_only && only_cross[0]);
    const bool linear = ss_json_bool(j, "use_linear_projection", false);
    const bool upcast = ss_json_bool(j, "upcast_attention", false);
    const ss_norm_cross norm =
        (ss_norm_cross)(ss_json_choice(j, "cross_attention_norm", norms, -1) + SS_NORM_CROSS_LAYER);

    for (int i = 0; i <= 2 * n; i++) {
        const bool mid = i == 2 * n, up = i >= n;
        const int k = mid ? n - 1 : up ? 2 * n - 1 - i : i; /* the encoder's level */
        ss_block_spec *s = mid ? &u->mid : up ? &u->up[i - n] : &u->down[i];

        if (mid && !u->has_mid)
            break;
        const bool by_width = s->type->attend != SS_ATTEND_TRANSFORMER;
        const int width =
            set_attention(j, s, head_dim[up && !mid && by_width ? i - n : k], context[k],
                          !mid       ? only_cross[k]
                          : by_width ? mid_only
                                     : false,
                          norm);
        s->linear_projection = linear;
        s->upcast_attention = upcast;
        if (width && width != own_width(s))
            fits = false;
        if (width && wanted && width != wanted && !other)
            other = width;
        wanted = wanted ? wanted : width;
    }

    if (other && !fits)
        ss_json_complain(j, SS_FORMAT, "cross_attention_dim",
                         "one text cannot have width %d and width %d, and without a text each must "
                         "be that of its block",
                         wanted, other);
    if (other)
        wanted = 0; /* without a text: each block attends to itself */

    static const char *const projections[] = {"text_proj", NULL};
    const int hidden = ss_config_width(j, "encoder_hid_dim");
    const bool projected = ss_json_choice(j, "encoder_hid_dim_type", projections, -1) == 0;
    if (projected && !hidden)
        ss_json_complain(j, SS_FORMAT, "encoder_hid_dim", "text_proj needs it");
    if (hidden && lists)
        ss_json_complain(j, SS_UNSUPPORTED, "cross_attention_dim",
                         "expected one number, as texts are projected to it");
    u->text_to = hidden ? context[0] : 0;
    u->text_in = hidden ? hidden : wanted;
    u->text_optional = wanted && fits && !hidden;

    const int projection_in = ss_config_width(j, "projection_class_embeddings_input_dim");
    read_addition(j, u, projection_in, hidden ? hidden : lists ? 0 : context[0]);
    if (u->addition == SS_ADD_TEXT) {
        u->text_in = hidden ? hidden : context[0];
        u->text_optional = false;
    }
    if (u->class_kind == SS_CLASS_PROJECTION || u->class_kind == SS_CLASS_SIMPLE) {
        u->class_in = projection_in;
        if (!projection_in)
            ss_json_complain(j, SS_FORMAT, "projection_class_embeddings_input_dim",
                             "class_embed_type needs it");
    }
}

static void read_conditional(ss_json *j, ss_unet_config *u)
{
    static const int channels[] = {320, 640, 1280, 1280};
    static const char *const down[] = {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D",
                                       "CrossAttnDownBlock2D", "DownBlock2D"};
    static const char *const up[] = {"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D",
                                     "CrossAttnUpBlock2D"};
    static const char *const mids[] = {"UNetMidBlock2DCrossAttn", "UNetMidBlock2DSimpleCrossAttn",
                                       "UNetMidBlock2D", NULL};
    static const char *const attention_types[] = {"default", NULL};
    ss_unet_layout l = {0};

    read_common(j, u, &l);
    ss_layout_read_channels(j, &l, channels);
    if (!l.groups)
        ss_json_complain(j, SS_UNSUPPORTED, "norm_num_groups", "expected a number");
    ss_config_ints(j, "layers_per_block", l.n, 2, 1, SS_MAX_LAYERS - 1, l.layers);
    ss_layout_read_types(j, u, "down_block_types", down, &l, ss_down_block_type, l.down);
    ss_layout_read_types(j, u, "up_block_types", up, &l, ss_up_block_type, l.up);
    const int mid = ss_json_choice(j, "mid_block_type", mids, 0);
    l.mid = ss_config_is_null(j, "mid_block_type") ? NULL : ss_mid_block_type(mids[mid]);
    l.skip_time_act = ss_json_bool(j, "resnet_skip_time_act", false);
    l.out_scale = (float)ss_config_double(j, "resnet_out_scale_factor", 1, 1e-6, 1e6);

    u->conv_in_kernel = ss_config_int(j, "conv_in_kernel", 3, 1, MAX_KERNEL);
    u->conv_out_kernel = ss_config_int(j, "conv_out_kernel", 3, 1, MAX_KERNEL);
    u->groups_out = l.groups;
    u->act_out = u->time_act = u->act;
    read_time(j, u, l.channels[0]);
    u->time_post = ss_config_act(j, "timestep_post_act", SS_ACT_NONE);
    u->act_embedding = ss_config_act(j, "time_embedding_act_fn", SS_ACT_NONE);
    read_class(j, u, u->act);
    u->class_concat = ss_json_bool(j, "class_embeddings_concat", false);
    ss_layout_apply(u, &l, read_scale_shift(j));
    read_depths(j, u);
    read_attention(j, u);
    if (u->has_mid && mid == 2) { /* here this block is one residual block, no attention */
        u->mid.layers = 1;
        u->mid.attends = false;
    }
    if (u->class_concat && (u->class_kind == SS_CLASS_NONE || u->addition != SS_ADD_NONE))
        ss_json_complain(j, SS_FORMAT, "class_embeddings_concat",
                         "it needs a class embedding, and no addition_embed_type");

    ss_json_choice(j, "attention_type", attention_types, 0);
    ss_config_expect_bool(j, "dual_cross_attention", false);
    ss_config_expect_null(j, "num_attention_heads",
                          "diffusers refuses it too: attention_head_dim has that meaning");
    u->time_cond = ss_config_width(j, "time_cond_proj_dim");
}

/* Refuses options that magnitude-preserving layers (magnitude.h) have no counterpart of. */
static void check_magnitude(ss_json *j, const ss_unet_config *u)
{
    static const char why[] = "not with the remedy magnitude_preserving";

    if (u->conditional)
        ss_json_complain(j, SS_UNSUPPORTED, "_class_name", "%s, which " SS_UNET_PLAIN " can have",
                         why);
    if (u->act != SS_ACT_SILU)
        ss_json_complain(j, SS_UNSUPPORTED, "act_fn", "%s; silu", why);
    if (u->time != SS_TIME_POSITIONAL)
        ss_json_complain(j, SS_UNSUPPORTED, "time_embedding_type", "%s; positional", why);
    if (u->class_kind != SS_CLASS_NONE && u->class_kind != SS_CLASS_TABLE)
        ss_json_complain(j, SS_UNSUPPORTED, "class_embed_type", "%s; num_class_embeds is", why);
    for (int i = 0; i < u->n_levels; i++) {
        if (u->down[i].resampling == SS_RESAMPLE_FIR)
            ss_json_complain(j, SS_UNSUPPORTED, "down_block_types", "%s", why);
        if (u->up[i].resampling == SS_RESAMPLE_FIR)
            ss_json_complain(j, SS_UNSUPPORTED, "up_block_types", "%s", why);
    }
    if (u->down[0].scale_shift)
        ss_json_complain(j, SS_UNSUPPORTED, "resnet_time_scale_shift", "%s; default", why);
    if (u->has_mid && u->mid.out_scale != 1)
        ss_json_complain(j, SS_UNSUPPORTED, "mid_block_scale_factor", "%s; 1", why);
}

ss_code ss_unet_config_read(ss_json *j, bool conditional, ss_unet_config *u, ss_err *e)
{
    *u = (ss_unet_config){
        .class_name = conditional ? SS_UNET_CONDITIONAL : SS_UNET_PLAIN,
        .conditional = conditional,
    };
    ss_config_begin(j);
    if (conditional)
        read_conditional(j, u);
    else
        read_plain(j, u);
    ss_remedies_read(j, &u->remedies);
    if (u->remedies.magnitude)
        check_magnitude(j, u);
    ss_unet_read_motion(j, u);
    return ss_config_end(j, u->class_name, e);
}
