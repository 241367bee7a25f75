/* lora_names.c - see lora_names.h */
#include "models/file/lora_names.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends of names; an end that stands in another one comes after it. */
static const struct {
    const char *end;
    ss_lora_part part;
} parts[] = {
    {".lora_down.weight", SS_LORA_DOWN},
    {".lora_up.weight", SS_LORA_UP},
    {".lora_mid.weight", SS_LORA_MID},
    {".lora.down.weight", SS_LORA_DOWN},
    {".lora.up.weight", SS_LORA_UP},
    {".lora_linear_layer.down.weight", SS_LORA_DOWN},
    {".lora_linear_layer.up.weight", SS_LORA_UP},
    {"_lora.down.weight", SS_LORA_DOWN},
    {"_lora.up.weight", SS_LORA_UP},
    {".lora_A.weight", SS_LORA_DOWN},
    {".lora_B.weight", SS_LORA_UP},
    {".lora_A.default.weight", SS_LORA_DOWN},
    {".lora_B.default.weight", SS_LORA_UP},
    {".alpha", SS_LORA_ALPHA},
    {".dora_scale", SS_LORA_MAGNITUDE},
    {".lora_magnitude_vector", SS_LORA_MAGNITUDE},
    {".lora_magnitude_vector.weight", SS_LORA_MAGNITUDE},
    {".lora_magnitude_vector.default.weight", SS_LORA_MAGNITUDE},
    {".hada_w1_a", SS_LOHA_1A},
    {".hada_w1_b", SS_LOHA_1B},
    {".hada_w2_a", SS_LOHA_2A},
    {".hada_w2_b", SS_LOHA_2B},
    {".lokr_w1", SS_LOKR_1},
    {".lokr_w1_a", SS_LOKR_1A},
    {".lokr_w1_b", SS_LOKR_1B},
    {".lokr_w2", SS_LOKR_2},
    {".lokr_w2_a", SS_LOKR_2A},
    {".lokr_w2_b", SS_LOKR_2B},
    {".diff", SS_LORA_DIFF},
};

/* Ends of names of layers that cannot be merged. */
static const struct {
    const char *end, *what;
} unsupported[] = {
    {".hada_t1", "LoHa with cores"},
    {".hada_t2", "LoHa with cores"},
    {".lokr_t2", "LoKr with a core"},
    {".diff_b", "change of a bias"},
    {".w_norm", "change of a norm"},
    {".b_norm", "change of a norm"},
    {".oft_blocks", "OFT"},
    {".oft_diag", "OFT"},
    {".oft_r", "OFT"},
    {".oft_R.weight", "OFT"},
    {".boft_R", "BOFT"},
    {".boft_s", "BOFT"},
    {".lora_embedding_A", "embedding"},
    {".lora_embedding_B", "embedding"},
    {".lora_B.bias", "LoRA with a bias"},
    {".ia3_l", "IA3"},
    {".a1.weight", "GLoRA"},
    {".b1.weight", "GLoRA"},
    {".vera_lambda_b", "VeRA"},
    {".vera_lambda_d", "VeRA"},
    {".reshape_weight", "reshaped layer"},
    {".set_weight", "replaced layer"},
};

static const struct {
    const char *start, *component;
} components[] = {
    {"lora_unet_", "denoiser"},
    {"lora_transformer_", "denoiser"},
    {"lora_te_", "text_encoder"},
    {"lora_te1_", "text_encoder"},
    {"lora_te2_", "text_encoder_2"},
    {"lora_te3_", "text_encoder_3"},
    {"lycoris_", "denoiser"},
    {"unet.", "denoiser"},
    {"transformer.", "denoiser"},
    {"diffusion_model.", "denoiser"},
    {"model.diffusion_model.", "denoiser"},
    {"text_encoder.", "text_encoder"},
    {"text_encoder_2.", "text_encoder_2"},
    {"text_encoder_3.", "text_encoder_3"},
};

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);

    return n > m && strcmp(s + n - m, end) == 0;
}

static const char *after(const char *s, const char *start)
{
    const size_t n = strlen(start);

    return strncmp(s, start, n) == 0 ? s + n : NULL;
}

char *ss_lora_layer_name(const char *module)
{
    char *s = ss_strdup(module);

    for (char *c = s; c && *c; c++)
        *c = *c == '.' ? '_' : *c;
    return s;
}

/* Reads "7_" at the start of a name: the number, and what follows; NULL where there is none. */
static const char *number_at(const char *s, int *n)
{
    char *end;

    if (*s < '0' || *s > '9')
        return NULL;
    const long v = strtol(s, &end, 10);
    *n = v < 10000 ? (int)v : 10000;
    return *end == '_' ? end + 1 : NULL;
}

static const char *resnet_part(const char *part)
{
    static const char *const names[][2] = {{"in_layers_2", "conv1"},
                                           {"out_layers_3", "conv2"},
                                           {"emb_layers_1", "time_emb_proj"},
                                           {"skip_connection", "conv_shortcut"}};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(part, names[i][0]) == 0)
            return names[i][1];
    }
    return part;
}

/* Adds the layer at place `at` of a block's list: a resnet, attention, or a change of resolution.
 */
static void add_block(ss_str *s, const char *block, int number, int at, const char *rest)
{
    const char *resnet = resnet_part(rest);

    ss_str_addf(s, "%s_%d_", block, number);
    if (strcmp(rest, "op") == 0)
        ss_str_add(s, "downsamplers_0_conv");
    else if (strcmp(rest, "conv") == 0)
        ss_str_add(s, "upsamplers_0_conv");
    else if (resnet != rest)
        ss_str_addf(s, "resnets_%d_%s", at, resnet);
    else
        ss_str_addf(s, "attentions_%d_%s", at, rest);
}

/* Adds diffusers' name for one of latent diffusion; others as they are. */
static void translate(ss_str *s, const char *layer, int per_block)
{
    static const char *const whole[][2] = {
        {"time_embed_0", "time_embedding_linear_1"},
        {"time_embed_2", "time_embedding_linear_2"},
        {"label_emb_0_0", "add_embedding_linear_1"},
        {"label_emb_0_2", "add_embedding_linear_2"},
        {"input_blocks_0_0", "conv_in"},
        {"out_2", "conv_out"},
    };
    const char *rest;
    int i, j;

    for (size_t k = 0; k < sizeof whole / sizeof *whole; k++) {
        if (strcmp(layer, whole[k][0]) == 0) {
            ss_str_add(s, whole[k][1]);
            return;
        }
    }
    if ((rest = after(layer, "input_blocks_")) && (rest = number_at(rest, &i)) &&
        (rest = number_at(rest, &j)) && i > 0)
        add_block(s, "down_blocks", (i - 1) / per_block, (i - 1) % per_block, rest);
    else if ((rest = after(layer, "output_blocks_")) && (rest = number_at(rest, &i)) &&
             (rest = number_at(rest, &j)))
        add_block(s, "up_blocks", i / per_block, i % per_block, rest);
    else if ((rest = after(layer, "middle_block_")) && (rest = number_at(rest, &i)))
        ss_str_addf(s, i == 1 ? "mid_block_attentions_0_%s" : "mid_block_resnets_%2$d_%1$s",
                    resnet_part(rest), i / 2);
    else
        ss_str_add(s, layer);
}

/* Adds the layer that older diffusers named by the processor of an attention. */
static void add_processor(ss_str *s, const char *layer, bool text)
{
    static const char *const names[][2] = {
        {"_to_q", "_q_proj"}, {"_to_k", "_k_proj"}, {"_to_v", "_v_proj"}, {"_to_out", "_out_proj"}};
    const char *processor = strstr(layer, "_processor_");
    const size_t n = processor ? (size_t)(processor - layer) : strlen(layer);

    if (processor) {
        ss_str_addn(s, layer, n);
        ss_str_add(s, processor + strlen("_processor"));
        if (ends_with(layer, "_to_out"))
            ss_str_add(s, "_0");
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names && text; i++) {
        if (ends_with(layer, names[i][0])) {
            ss_str_addn(s, layer, n - strlen(names[i][0]));
            ss_str_add(s, names[i][1]);
            return;
        }
    }
    ss_str_add(s, layer);
}

/* Names the layer of a name without its part. */
static char *layer_of(const char *name, size_t n, bool processor, int per_block,
                      const char **component)
{
    ss_str cut = {0}, s = {0};
    const char *rest, *start;

    ss_str_addn(&cut, name, n);
    if (cut.failed)
        return NULL;
    for (start = cut.s ? cut.s : ""; (rest = after(start, "base_model.model."));)
        start = rest;
    *component = "";
    for (size_t i = 0; i < sizeof components / sizeof *components && !**component; i++) {
        if ((rest = after(start, components[i].start))) {
            *component = components[i].component;
            start = rest;
        }
    }
    char *layer = ss_lora_layer_name(start);
    if (layer && processor)
        add_processor(&s, layer, **component == 't');
    else if (layer)
        translate(&s, layer, per_block);
    s.failed |= !layer;
    ss_free(layer);
    ss_str_release(&cut);
    return ss_str_detach(&s);
}

ss_code ss_lora_name_read(const char *key, int per_block, ss_lora_name *n, ss_err *e)
{
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++) {
        if (ends_with(key, unsupported[i].end))
            return ss_fail(e, SS_UNSUPPORTED, "%s: this kind of layer (%s) cannot be merged",
                           SS_SHOW(key), unsupported[i].what);
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!ends_with(key, parts[i].end))
            continue;
        n->part = parts[i].part;
        n->layer = layer_of(key, strlen(key) - strlen(parts[i].end), parts[i].end[0] == '_',
                            per_block, &n->component);
        return n->layer ? SS_OK : ss_no_memory(e, key);
    }
    return ss_fail(e, SS_UNSUPPORTED, "%s is no part of a layer that is known", SS_SHOW(key));
}

void ss_lora_name_release(ss_lora_name *n)
{
    ss_free(n->layer);
    *n = (ss_lora_name){0};
}
