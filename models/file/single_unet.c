/* single_unet.c - configuration of a UNet2DConditionModel from its tensors
 *
 * Widths, depths and the places of attention are in the shapes. The number of heads is not: the
 * convention follows from how a transformer begins, with a convolution (Stable Diffusion 1.x: 8
 * heads) or a matrix (2.x and XL: heads of 64 channels; the upscaler: 8 heads).
 */
#include "models/file/single_infer.h"

#include <inttypes.h>
#include <stdio.h>

enum { MAX_LEVELS = 16, HEAD = 64, HEADS = 8 };

/* One side of a network: down_blocks or up_blocks. */
typedef struct {
    const char *name;
    int n;
    int depth[MAX_LEVELS];     /* transformer blocks in an attention; 0: it has none */
    int64_t width[MAX_LEVELS]; /* output channels */
    int layers[MAX_LEVELS];
    bool crosses[MAX_LEVELS]; /* its attn1 looks at the text, too */
} side;

/* Counts a block's resnets, or the transformer blocks of its first attention. */
static int count_in(const ss_inference *x, const char *block, int i, const char *list,
                    const char *after)
{
    char before[96];

    snprintf(before, sizeof before, "%s.%d.%s.", block, i, list);
    return ss_infer_count(x, before, after);
}

static void read_side(ss_inference *x, side *s)
{
    char before[32], name[96];

    snprintf(before, sizeof before, "%s.", s->name);
    s->n = ss_infer_count(x, before, ".resnets.0.conv1.weight");
    if (s->n < 1 || s->n > MAX_LEVELS) {
        ss_infer_fail(x, SS_FORMAT, "the configuration cannot be inferred: there are %d %s", s->n,
                      s->name);
        s->n = 1;
    }
    for (int i = 0; i < s->n; i++) {
        snprintf(name, sizeof name, "%s.%d.resnets.0.conv1.weight", s->name, i);
        s->width[i] = ss_infer_dim(x, ss_infer_find(x, "%s", name), name, 0);
        s->layers[i] = count_in(x, s->name, i, "resnets", ".conv1.weight");
        s->depth[i] = count_in(x, s->name, i, "attentions.0.transformer_blocks", ".norm1.weight");
        const ss_stored_tensor *k = ss_infer_find(
            x, "%s.%d.attentions.0.transformer_blocks.0.attn1.to_k.weight", s->name, i);
        s->crosses[i] = k && k->rank == 2 && k->dim[1] != s->width[i];
    }
}

static json_t *list_of(const int *values, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_integer(values[i]));
    return list;
}

/* Makes a JSON value of numbers: one where all are the same. */
static json_t *one_or_list(const int *values, int n)
{
    bool same = true;

    for (int i = 0; i < n; i++)
        same &= values[i] == values[0];
    return same ? json_integer(values[0]) : list_of(values, n);
}

static void set_blocks(ss_inference *x, const side *s, const char *key, const char *plain,
                       const char *cross)
{
    json_t *types = json_array();

    for (int i = 0; i < s->n; i++)
        json_array_append_new(types, json_string(s->depth[i] ? cross : plain));
    ss_infer_set(x, key, types, "%s.N.attentions are there, or not", s->name);
}

static void set_levels(ss_inference *x, const side *down, int mid_depth)
{
    json_t *widths = json_array();
    int depth[MAX_LEVELS];

    for (int i = 0; i < down->n; i++) {
        /* of a level without transformers nobody asks, but the last one is the middle's, too */
        depth[i] = down->depth[i] ? down->depth[i] : i == down->n - 1 && mid_depth ? mid_depth : 1;
        json_array_append_new(widths, json_integer(down->width[i]));
    }
    ss_infer_set(x, "block_out_channels", widths, "rows of down_blocks.N.resnets.0.conv1.weight");
    ss_infer_set(x, "layers_per_block", one_or_list(down->layers, down->n),
                 "number of down_blocks.N.resnets");
    bool one = true;
    for (int i = 0; i < down->n; i++)
        one &= !down->depth[i] || down->depth[i] == mid_depth || !mid_depth;
    if (one) /* levels without transformers have no say */
        for (int i = 0; i < down->n; i++)
            depth[i] = depth[down->n - 1];
    ss_infer_set(x, "transformer_layers_per_block", one_or_list(depth, down->n),
                 "number of attentions.0.transformer_blocks in down_blocks.N and mid_block");
}

/* True where a transformer begins with a matrix. */
static bool set_projection(ss_inference *x, const ss_stored_tensor *in)
{
    char text[128];
    const bool linear = in && in->rank == 2;

    ss_infer_set(x, "use_linear_projection", json_boolean(linear), "%s",
                 ss_infer_evidence(in, text, sizeof text));
    return linear;
}

static void set_heads(ss_inference *x, const side *down, bool linear, bool upscaler)
{
    const bool by_number = !linear || upscaler;
    int heads[MAX_LEVELS];

    for (int i = 0; i < down->n; i++) {
        heads[i] = by_number ? HEADS : (int)(down->width[i] / HEAD);
        heads[i] = heads[i] ? heads[i] : 1;
        if (down->depth[i] && down->width[i] % (by_number ? HEADS : HEAD))
            ss_infer_fail(x, SS_UNSUPPORTED,
                          "how many heads attention has cannot be inferred: down_blocks.%d is "
                          "%" PRId64 " wide, which is no multiple of %d; name a config.json by "
                          "--config",
                          i, down->width[i], by_number ? HEADS : HEAD);
    }
    if (by_number)
        ss_infer_set(x, "attention_head_dim", json_integer(HEADS),
                     "convention of %s: %d heads, which this key means",
                     upscaler ? "the upscaler" : ss_sd_version_name(SS_SD_1), HEADS);
    else
        ss_infer_set(x, "attention_head_dim", list_of(heads, down->n),
                     "convention of Stable Diffusion 2.x and XL: heads of %d channels; this key "
                     "means their number",
                     HEAD);
}

static void set_only_cross(ss_inference *x, const side *down)
{
    json_t *list = json_array();
    bool any = false;

    for (int i = 0; i < down->n; i++) {
        any |= down->crosses[i];
        json_array_append_new(list, json_boolean(down->crosses[i]));
    }
    if (any)
        ss_infer_set(
            x, "only_cross_attention", list,
            "columns of down_blocks.N.attentions.0.transformer_blocks.0.attn1.to_k.weight");
    else
        json_decref(list);
}

/* Sets what the network is told beside the text. Returns true for the table of an upscaler. */
static bool set_labels(ss_inference *x)
{
    const ss_stored_tensor *added = ss_infer_find(x, "add_embedding.linear_1.weight");
    const ss_stored_tensor *projected = ss_infer_find(x, "class_embedding.linear_1.weight");
    const ss_stored_tensor *table = ss_infer_find(x, "class_embedding.weight");
    const ss_stored_tensor *t = added ? added : projected ? projected : table;
    char text[128];

    if (!t)
        return false;
    ss_infer_evidence(t, text, sizeof text);
    if (t == table) {
        ss_infer_set(x, "num_class_embeds", json_integer(ss_infer_dim(x, t, t->name, 0)), "%s",
                     text);
        return true;
    }
    ss_infer_set(x, added ? "addition_embed_type" : "class_embed_type",
                 json_string(added ? "text_time" : "projection"), "%s", text);
    ss_infer_set(x, "projection_class_embeddings_input_dim",
                 json_integer(ss_infer_dim(x, t, t->name, 1)), "%s", text);
    if (added)
        ss_infer_set(x, "addition_time_embed_dim", json_integer(256), "convention of %s",
                     ss_sd_version_name(SS_SD_XL));
    return false;
}

static void set_size(ss_inference *x, int64_t text_width, bool upscaler)
{
    if (upscaler || text_width >= 1280)
        ss_infer_set(x, "sample_size", json_integer(128), "convention of %s",
                     upscaler ? "the upscaler" : "Stable Diffusion XL: 1024x1024 pixels");
    else
        ss_infer_set(x, "sample_size", json_integer(64), "convention: 512x512 pixels%s",
                     text_width == 1024 ? "; models of 768x768 pixels have 96" : "");
}

/* Refuses what only looks like Stable Diffusion by its first names. */
static void check_kind(ss_inference *x, const ss_stored_tensor *context)
{
    if (!context)
        ss_infer_fail(x, SS_UNSUPPORTED,
                      "the configuration of a network without cross-attention to a text cannot be "
                      "inferred; name a config.json by --config");
    if (ss_infer_find(x, "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight") ||
        ss_infer_find(x, "transformer_in.proj_in.weight"))
        ss_infer_fail(x, SS_UNSUPPORTED,
                      "the configuration of a network of videos cannot be inferred; name a "
                      "config.json by --config");
}

/* Finds a tensor of a transformer, of the first that there is: the middle's, or a level's. */
static const ss_stored_tensor *in_transformer(const ss_inference *x, const side *down,
                                              const char *name)
{
    const ss_stored_tensor *t = ss_infer_find(x, "mid_block.attentions.0.%s", name);

    for (int i = 0; i < down->n && !t; i++)
        t = ss_infer_find(x, "down_blocks.%d.attentions.0.%s", i, name);
    return t;
}

void ss_infer_unet(ss_inference *x)
{
    static const ss_infer_common common[] = {
        {"act_fn", "\"silu\""},
        {"norm_num_groups", "32"},
        {"norm_eps", "1e-05"},
        {"flip_sin_to_cos", "true"},
        {"freq_shift", "0"},
        {"downsample_padding", "1"},
        {"mid_block_scale_factor", "1"},
        {"center_input_sample", "false"},
        {0},
    };
    side down = {.name = "down_blocks"}, up = {.name = "up_blocks"};
    const ss_stored_tensor *in = ss_infer_find(x, "conv_in.weight");
    const ss_stored_tensor *out = ss_infer_find(x, "conv_out.weight");
    char text[128];

    read_side(x, &down);
    read_side(x, &up);
    const int mid_depth =
        ss_infer_count(x, "mid_block.attentions.0.transformer_blocks.", ".norm1.weight");
    const ss_stored_tensor *context =
        in_transformer(x, &down, "transformer_blocks.0.attn2.to_k.weight");
    check_kind(x, context);
    const int64_t text_width = ss_infer_dim(x, context, "attn2.to_k.weight", 1);

    ss_infer_set(x, "_class_name", json_string("UNet2DConditionModel"),
                 "convolutions with cross-attention to a text");
    ss_infer_set(x, "in_channels", json_integer(ss_infer_dim(x, in, "conv_in.weight", 1)), "%s",
                 ss_infer_evidence(in, text, sizeof text));
    ss_infer_set(x, "out_channels", json_integer(ss_infer_dim(x, out, "conv_out.weight", 0)), "%s",
                 ss_infer_evidence(out, text, sizeof text));
    set_levels(x, &down, mid_depth);
    set_blocks(x, &down, "down_block_types", "DownBlock2D", "CrossAttnDownBlock2D");
    set_blocks(x, &up, "up_block_types", "UpBlock2D", "CrossAttnUpBlock2D");
    if (!ss_infer_find(x, "mid_block.resnets.0.conv1.weight"))
        ss_infer_set(x, "mid_block_type", json_null(), "there is no mid_block");
    else if (!mid_depth)
        ss_infer_set(x, "mid_block_type", json_string("UNetMidBlock2D"),
                     "mid_block has no attentions");
    ss_infer_set(x, "cross_attention_dim", json_integer(text_width), "%s",
                 ss_infer_evidence(context, text, sizeof text));
    const bool linear = set_projection(x, in_transformer(x, &down, "proj_in.weight"));
    const bool upscaler = set_labels(x);
    set_heads(x, &down, linear, upscaler);
    set_only_cross(x, &down);
    set_size(x, text_width, upscaler);
    if (text_width == 1024 && !upscaler)
        ss_infer_set(x, "upcast_attention", json_false(),
                     "assumed; the published models of 768x768 pixels have true");
    ss_infer_set_common(x, common, "all models of latent diffusion have it");
}
