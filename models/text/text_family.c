/* text_family.c - see text_family.h */
#include "models/text/text_family.h"

#include "base/mem.h"
#include "models/text/clip.h"
#include "models/text/t5.h"

/* ---- CLIP ---- */

static ss_code read_clip(ss_json *j, ss_clip_class kind, void **config, ss_err *e)
{
    ss_clip_config *g = ss_calloc(1, sizeof *g);
    const ss_code rc = g ? ss_clip_config_read(j, kind, g, e) : ss_no_memory(e, j->name);

    if (rc == SS_OK)
        *config = g;
    else
        ss_free(g);
    return rc;
}

static ss_code read_clip_text(ss_json *j, void **config, ss_err *e)
{
    return read_clip(j, SS_CLIP_TEXT, config, e);
}

static ss_code read_clip_projection(ss_json *j, void **config, ss_err *e)
{
    return read_clip(j, SS_CLIP_PROJECTION, config, e);
}

static ss_code read_clip_both(ss_json *j, void **config, ss_err *e)
{
    return read_clip(j, SS_CLIP_BOTH, config, e);
}

static const ss_remedies no_remedies = {0};

static void clip_info(const void *config, ss_network_info *i)
{
    const ss_clip_config *g = config;

    *i = (ss_network_info){.remedies = &no_remedies,
                           .text = {.vocabulary = g->vocabulary,
                                    .most_tokens = g->positions,
                                    .width = g->width,
                                    .projected = g->projection,
                                    .pooled = true}};
}

static void *build_clip(ss_net *n, const void *config)
{
    return ss_clip_new(n, config);
}

static bool embed_clip(ss_ctx *c, const void *network, const ss_text_tokens *tokens,
                       ss_text_states *states)
{
    return ss_clip_embed(c, network, tokens, states);
}

/* ---- T5 ---- */

static ss_code read_t5(ss_json *j, const char *class_name, bool umt5, void **config, ss_err *e)
{
    ss_t5_config *g = ss_calloc(1, sizeof *g);
    const ss_code rc = g ? ss_t5_config_read(j, class_name, umt5, g, e) : ss_no_memory(e, j->name);

    if (rc == SS_OK)
        *config = g;
    else
        ss_free(g);
    return rc;
}

static ss_code read_t5_encoder(ss_json *j, void **config, ss_err *e)
{
    return read_t5(j, ss_t5_encoder_family.class_name, false, config, e);
}

static ss_code read_t5_conditional(ss_json *j, void **config, ss_err *e)
{
    return read_t5(j, ss_t5_conditional_family.class_name, false, config, e);
}

static ss_code read_umt5_encoder(ss_json *j, void **config, ss_err *e)
{
    return read_t5(j, ss_umt5_encoder_family.class_name, true, config, e);
}

static ss_code read_umt5_conditional(ss_json *j, void **config, ss_err *e)
{
    return read_t5(j, ss_umt5_conditional_family.class_name, true, config, e);
}

static void t5_info(const void *config, ss_network_info *i)
{
    const ss_t5_config *g = config;

    *i = (ss_network_info){.remedies = &no_remedies,
                           .text = {.vocabulary = g->vocabulary, .width = g->width}};
}

static void *build_t5(ss_net *n, const void *config)
{
    return ss_t5_new(n, config);
}

static bool embed_t5(ss_ctx *c, const void *network, const ss_text_tokens *tokens,
                     ss_text_states *states)
{
    return ss_t5_embed(c, network, tokens, states);
}

/* ---- the families ---- */

#define CLIP(name, class, reader)                     \
    const ss_family name = {.class_name = class,      \
                            .folder = "text_encoder", \
                            .role = SS_TEXT,          \
                            .read = reader,           \
                            .info = clip_info,        \
                            .build = build_clip,      \
                            .embed = embed_clip}
#define T5(name, class, reader)                       \
    const ss_family name = {.class_name = class,      \
                            .folder = "text_encoder", \
                            .role = SS_TEXT,          \
                            .read = reader,           \
                            .info = t5_info,          \
                            .build = build_t5,        \
                            .embed = embed_t5}

CLIP(ss_clip_text_family, "CLIPTextModel", read_clip_text);
CLIP(ss_clip_projection_family, "CLIPTextModelWithProjection", read_clip_projection);
CLIP(ss_clip_family, "CLIPModel", read_clip_both);
T5(ss_t5_encoder_family, "T5EncoderModel", read_t5_encoder);
T5(ss_t5_conditional_family, "T5ForConditionalGeneration", read_t5_conditional);
T5(ss_umt5_encoder_family, "UMT5EncoderModel", read_umt5_encoder);
T5(ss_umt5_conditional_family, "UMT5ForConditionalGeneration", read_umt5_conditional);
