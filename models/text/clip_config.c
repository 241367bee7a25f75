/* clip_config.c - see clip_config.h */
#include "models/text/clip_config.h"

#include "base/str.h"
#include "models/net/config_keys.h"

const char *ss_clip_class_name(ss_clip_class kind)
{
    static const char *const names[] = {[SS_CLIP_TEXT] = "CLIPTextModel",
                                        [SS_CLIP_PROJECTION] = "CLIPTextModelWithProjection",
                                        [SS_CLIP_BOTH] = "CLIPModel"};

    return names[kind];
}

/* Reads the keys of a CLIPTextConfig. */
static void read_text(ss_json *j, ss_clip_config *c)
{
    c->vocabulary = ss_config_int(j, "vocab_size", 49408, 1, SS_TEXT_MAX_VOCABULARY);
    c->positions = ss_config_int(j, "max_position_embeddings", 77, 1, SS_TEXT_MAX_TOKENS);
    c->width = ss_config_int(j, "hidden_size", 512, 1, SS_TEXT_MAX_WIDTH);
    c->inner = ss_config_int(j, "intermediate_size", 2048, 1, SS_TEXT_MAX_WIDTH);
    c->layers = ss_config_int(j, "num_hidden_layers", 12, 1, SS_TEXT_MAX_LAYERS);
    c->heads = ss_config_int(j, "num_attention_heads", 8, 1, SS_TEXT_MAX_WIDTH);
    c->projection = ss_config_int(j, "projection_dim", 512, 0, SS_TEXT_MAX_WIDTH);
    c->act = ss_text_act(j, "hidden_act", SS_ACT_QUICK_GELU);
    c->eps = (float)ss_config_double(j, "layer_norm_eps", 1e-5, 0, 1);
    c->end = ss_json_int(j, "eos_token_id", 49407);
    if (c->width % c->heads)
        ss_json_complain(j, SS_FORMAT, "num_attention_heads", "hidden_size is %d: not a multiple",
                         c->width);
    ss_json_get(j, "attention_dropout"); /* of trainings, as dropout, which SD 1.x has */
    ss_json_get(j, "dropout");
    ss_text_common_keys(j);
}

/* Reads text_config of a whole CLIP. text_config_dict, of old files, wins where it is there. */
static ss_code read_nested(ss_json *j, ss_clip_config *c, ss_err *e)
{
    json_t *plain = ss_json_get(j, "text_config"), *dict = ss_json_get(j, "text_config_dict");
    json_t *object = dict ? dict : plain;
    const char *key = dict ? "text_config_dict" : "text_config";
    ss_json text = {0};
    ss_str name = {0};

    if (!json_is_object(object)) {
        ss_json_complain(j, SS_FORMAT, key, "expected an object");
        return ss_json_done(j, e);
    }
    ss_str_addf(&name, "%s: %s", j->name, key);
    ss_code rc = name.failed ? ss_no_memory(e, j->name) : ss_json_wrap(&text, name.s, object, e);
    if (rc == SS_OK) {
        read_text(&text, c);
        rc = ss_config_end(&text, "CLIPTextConfig", e);
    }
    ss_json_release(&text);
    ss_str_release(&name);
    return rc;
}

/* Reads the keys of a CLIPConfig. The projection is as wide as they say, whatever text_config has.
 */
static ss_code read_both(ss_json *j, ss_clip_config *c, ss_err *e)
{
    static const char *const pictures[] = {"vision_config", "vision_config_dict",
                                           "logit_scale_init_value"};
    const ss_code rc = read_nested(j, c, e);

    c->projection = ss_config_int(j, "projection_dim", 512, 1, SS_TEXT_MAX_WIDTH);
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++)
        ss_json_get(j, pictures[i]);
    ss_text_common_keys(j);
    return rc;
}

ss_code ss_clip_config_read(ss_json *j, ss_clip_class kind, ss_clip_config *c, ss_err *e)
{
    *c = (ss_clip_config){.kind = kind, .class_name = ss_clip_class_name(kind)};
    ss_config_begin(j);
    if (kind == SS_CLIP_BOTH) {
        const ss_code rc = read_both(j, c, e);

        if (rc != SS_OK)
            return rc;
    } else {
        read_text(j, c);
    }
    if (kind == SS_CLIP_TEXT)
        c->projection = 0;
    else if (c->projection == 0)
        ss_json_complain(j, SS_FORMAT, "projection_dim", "expected 1 to %d", SS_TEXT_MAX_WIDTH);
    return ss_config_end(j, c->class_name, e);
}
